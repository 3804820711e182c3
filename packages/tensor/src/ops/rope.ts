/**
 * Rotary position embedding (arXiv 2104.09864) in the "rotate half" layout of Hugging Face: dimension i pairs with
 * i + D/2, angle = position · theta^(−2i/D).
 */
import { u32Params } from "../backends/webgpu/kernel.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { sinCosWgsl } from "./math.ts";
import { requireFloat } from "./softmax.ts";

interface RopeAttrs {
  theta: number;
  /** 1 rotates forward, −1 back (the derivative). */
  sign: number;
}

/** y = R(angle)·x for each pair of dimensions;  dx = R(−angle)·dy */
export const ropeOp: Op<RopeAttrs> = {
  name: "rope",
  infer([x, positions]) {
    requireFloat("rope", x);
    if (positions.dtype !== "i32")
      throw new DTypeError(
        `rope: positions have dtype ${positions.dtype}, expected i32. Convert with cast(positions, "i32").`,
      );
    if (x.shape.length !== 3 || x.shape[2] % 2 !== 0 || !sameShape(positions.shape, [x.shape[0]])) {
      throw new ShapeError(
        `rope: expected x [N, H, D] with even D and positions [N], received ${formatShape(x.shape)} and ${formatShape(positions.shape)}. Fold other dimensions into N with reshape.`,
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
 * Rotates each pair (i, i + D/2) of x [N, H, D] by its position's angle; positions [N] are i32, `theta` defaults to 1e4.
 */
export function rope(x: Tensor, positions: Tensor, options: { theta?: number } = {}): Tensor {
  return apply(ropeOp, [x, positions], { theta: options.theta ?? 10000, sign: 1 });
}
