/**
 * Rotary position embedding (arXiv 2104.09864) in the "rotate half" layout of Hugging Face: dimension i pairs with
 * i + D/2, angle = position · theta^(−2i/D).
 */
import { requireOptions } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { formatShape, formatSpec, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { requireFloat } from "./softmax.ts";
import { sinCosWgsl } from "./trigonometry.ts";

interface RopeAttrs {
  theta: number;
  /** 1 rotates forward, −1 back (the derivative). */
  sign: number;
}

/** y = R(angle)·x for each pair of dimensions;  dx = R(−angle)·dy */
export const ropeOp: Op<RopeAttrs> = {
  name: "rope",
  arguments: ["x", "positions"],
  infer([x, positions]) {
    requireFloat("rope", x);
    if (positions.dtype !== "i32")
      throw new DTypeError(
        `rope: positions is ${formatSpec(positions)}, expected i32. Convert it: cast(positions, "i32").`,
      );
    if (x.shape.length !== 3 || x.shape[2] % 2 !== 0 || !sameShape(positions.shape, [x.shape[0]])) {
      throw new ShapeError(
        `rope: x is ${formatShape(x.shape)}, positions is ${formatShape(positions.shape)}; expected x [N, H, D] with even D and positions [N]. ` +
          "Fold other axes into N: reshape(x, [-1, heads, size]).",
      );
    }
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  cpu([x, positions], [y], { theta, sign }) {
    const [rows, heads, size] = x.shape;
    const half = size / 2;
    for (let t = 0; t < rows; t++) {
      for (let d = 0; d < half; d++) {
        const angle = positions.data[positions.offset + t] * theta ** ((-2 * d) / size);
        const [c, s] = [Math.cos(angle), sign * Math.sin(angle)];
        for (let h = 0; h < heads; h++) {
          const i = (t * heads + h) * size + d;
          const [a, b] = [x.data[x.offset + i], x.data[x.offset + i + half]];
          y.data[i] = a * c - b * s;
          y.data[i + half] = b * c + a * s;
        }
      }
    }
  },
  webgpu([x, positions], [y], { theta, sign }) {
    const [, heads, size] = x.shape;
    return [
      {
        key: "rope",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "positions", type: "i32" },
            { name: "y", type: "f32", write: true },
          ],
          params: [
            ...u32Params("offset", "offsetP", "heads", "half"),
            { name: "logTheta", type: "f32" },
            { name: "sign", type: "f32" },
          ],
          helpers: sinCosWgsl,
          main: `let d = i % p.half;
let row = i / p.half;
let at = row * 2u * p.half + d;
let angle = f32(positions[p.offsetP + row / p.heads]) * exp2(-f32(d) / f32(p.half) * p.logTheta);
let turn = sinCos(angle);
let c = turn.y;
let s = p.sign * turn.x;
let a = x[p.offset + at];
let b = x[p.offset + at + p.half];
y[at] = a * c - b * s;
y[at + p.half] = b * c + a * s;`,
        }),
        buffers: [x, positions, y],
        params: [x.offset, positions.offset, heads, size / 2, Math.log2(theta), sign],
        count: x.size / 2,
      },
    ];
  },
  vjp: ({ inputs: [, positions], attrs }, [dy]) => [
    dy && apply(ropeOp, [dy, positions], { ...attrs, sign: -attrs.sign }),
    null,
  ],
};

/**
 * Rotary position embedding: turns each pair (xᵢ, xᵢ₊D/2) of x [N, H, D] by the angle position·theta^(−2i/D) in radians,
 * N packed tokens, H heads, D even (arXiv 2104.09864, in Hugging Face's "rotate half" layout). positions [N] are i32;
 * `theta` is 1e4 by default (Qwen3 uses 1e6). The gradient flows to x.
 *
 * @throws ShapeError for other shapes or an odd D; DTypeError for positions that are not i32; ValueError for a theta that
 * is not above 0.
 * @example
 * ```ts
 * const x = tensor([[[1, 0]], [[1, 0]]]); // [N 2, H 1, D 2]
 * await rope(x, tensor(Int32Array.of(0, 1))).data(); // → [1, 0, 0.5403023, 0.841471]
 * rope(x, tensor([0, 1])); // → throws DTypeError
 * ```
 */
export function rope(x: Tensor, positions: Tensor, options: { theta?: number } = {}): Tensor {
  requireOptions("rope", options, ["theta"]);
  const theta = options.theta ?? 10000;
  if (!(theta > 0 && theta < Number.POSITIVE_INFINITY))
    throw new ValueError(`rope: theta is ${theta}, expected a finite number above 0. Pass { theta: 10000 }.`);
  return apply(ropeOp, [x, positions], { theta, sign: 1 });
}
