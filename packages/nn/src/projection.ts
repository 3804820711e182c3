/**
 * The linear layers of the decoder: y = x Wᵀ + b with W [out, in]; which have biases says `biasesOf` in config.ts. Where the
 * parameters hold an adapter for a layer (lora.ts), its low-rank product is added.
 */
import { add, cast, customVjp, linear, matmul, mul, type Tensor, take } from "@pact/tensor";
import { type Params, param } from "./params.ts";

/** Names of a linear layer's adapter: A [rank, in], B [out, rank], and the mask [N, in] of dropout where there is one. */
export function adapterNames(name: string) {
  return { a: `${name}.lora_A.weight`, b: `${name}.lora_B.weight`, mask: `${name}.lora_mask` };
}

/** Parameters of a block whose masks, but for those of the layers `full`, are of `rows` [M] of the N tokens alone. */
export function withMasksOf(rows: Tensor, params: Params, full: readonly string[]): Params {
  const kept = full.map((name) => adapterNames(name).mask);
  const { mask } = adapterNames("");
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      const shortened = name.endsWith(mask) && !kept.includes(name);
      return [name, shortened ? take(value, rows) : value];
    }),
  );
}

/**
 * Applies the linear layer under `name` to `x` [N, in], giving [N, out].
 *
 * @throws AutodiffError where a layer's own weight is differentiated together with its adapter
 */
export function project(params: Params, name: string, x: Tensor, bias: boolean): Tensor {
  const weight = param(params, `${name}.weight`);
  const own = (input: Tensor) =>
    bias ? linear(input, weight, param(params, `${name}.bias`)) : linear(input, weight);
  const { a, b, mask } = adapterNames(name);
  if (!Object.hasOwn(params, a)) return own(x);
  const kept = Object.hasOwn(params, mask) ? mul(x, cast(param(params, mask), x.dtype)) : x; // [N, in]
  return besideFrozen(own, weight)(x, kept, param(params, a), param(params, b));
}

/**
 * A frozen layer and its adapter as one piece: while a gradient is recorded every tensor stays until the backward pass, and
 * the three products that it does not need would be most of what a layer keeps. Adapters are trained in f32, also beside
 * a base in f16.
 */
function besideFrozen(own: (x: Tensor) => Tensor, weight: Tensor) {
  return customVjp(
    (x: Tensor, kept: Tensor, a: Tensor, b: Tensor) =>
      add(own(x), linear(linear(kept, cast(a, x.dtype)), cast(b, x.dtype))),
    ({ inputs: [x, kept, a, b] }, dy) => {
      const [low, high] = [cast(a, x.dtype), cast(b, x.dtype)];
      const product = linear(kept, low); // [N, rank]
      const dProduct = matmul(dy, high); // [N, rank]
      const dLow = matmul(dProduct, kept, { transposeA: true });
      const dHigh = matmul(dy, product, { transposeA: true });
      return [matmul(dy, weight), matmul(dProduct, low), cast(dLow, a.dtype), cast(dHigh, b.dtype)];
    },
  );
}
