/**
 * Index of the largest element along an axis; the first of equals.
 */
import { bufferType, u32Params } from "../backends/webgpu/kernel.ts";
import { ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, normalizeAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { permute } from "./movement.ts";

const argmaxLastOp: Op<null> = {
  name: "argmax",
  infer: ([x]) => [{ shape: x.shape.slice(0, -1), dtype: "i32" }],
  cpu([x], [y]) {
    const n = x.shape[x.shape.length - 1];
    for (let r = 0; r < y.data.length; r++) {
      let best = 0;
      for (let j = 1; j < n; j++)
        if (x.data[x.offset + r * n + j] > x.data[x.offset + r * n + best]) best = j;
      y.data[r] = best;
    }
  },
  webgpu([x], [y]) {
    return [
      {
        key: `argmax:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: bufferType(x.dtype) },
            { name: "y", type: "i32", write: true },
          ],
          params: u32Params("offset", "n"),
          main: `let x0 = p.offset + i * p.n;
var best = 0u;
for (var j = 1u; j < p.n; j++) { if (x[x0 + j] > x[x0 + best]) { best = j; } }
y[i] = i32(best);`,
        }),
        buffers: [x, y],
        params: [x.offset, x.shape[x.rank - 1]],
        count: y.size,
      },
    ];
  },
};

/** Index (i32) of the largest element along `axis`, which is dropped; the first of equals. */
export function argmax(x: Tensor, axis = -1): Tensor {
  const a = normalizeAxis("argmax", axis, x.rank);
  if (x.shape[a] === 0)
    throw new ShapeError(
      `argmax: x is ${formatShape(x.shape)}, expected at least one element along axis ${a}. Name an axis that has some: argmax(x, 0).`,
    );
  const order = [...x.shape.map((_, i) => i).filter((i) => i !== a), a];
  return scope(() => apply(argmaxLastOp, [permute(x, order)], null));
}
