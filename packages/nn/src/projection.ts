/**
 * The linear layers of the decoder: y = x Wᵀ + b with W [out, in]; which have biases says `biasesOf` in config.ts. Where the
 * parameters hold an adapter for a layer (lora.ts), its low-rank product is added.
 */
import { add, cast, linear, mul, type Tensor } from "@pact/tensor";
import { type Params, param } from "./params.ts";

/** Names of a linear layer's adapter: A [rank, in], B [out, rank], and the mask [N, in] of dropout where there is one. */
export function adapterNames(name: string) {
  return { a: `${name}.lora_A.weight`, b: `${name}.lora_B.weight`, mask: `${name}.lora_mask` };
}

/** Applies the linear layer under `name` to `x` [N, in], giving [N, out]. */
export function project(params: Params, name: string, x: Tensor, bias: boolean): Tensor {
  const weight = param(params, `${name}.weight`);
  const y = bias ? linear(x, weight, param(params, `${name}.bias`)) : linear(x, weight);
  const { a, b, mask } = adapterNames(name);
  if (!Object.hasOwn(params, a)) return y;
  // Adapters are trained in f32, also beside a base in f16.
  const own = (part: string) => cast(param(params, part), x.dtype);
  const kept = Object.hasOwn(params, mask) ? mul(x, own(mask)) : x; // [N, in]
  return add(y, linear(linear(kept, own(a)), own(b)));
}
