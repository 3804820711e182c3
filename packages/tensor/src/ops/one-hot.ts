/**
 * One-hot rows of class ids. A record of its own, so that ids outside the classes are found where they can be.
 */
import { requireTensors } from "../arguments.ts";
import { bufferType, u32Params } from "../backends/webgpu/kernel.ts";
import type { DType } from "../dtype.ts";
import { ValueError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { checkIndex, indexAt } from "./index-checks.ts";

/** y[…, c] = 1 if ids[…] = c else 0; no gradient, ids are whole numbers */
export const oneHotOp: Op<{ classes: number; dtype: DType }> = {
  name: "oneHot",
  infer([ids], { classes, dtype }) {
    checkIndex("oneHot", ids, classes, "ids");
    return [{ shape: [...ids.shape, classes], dtype }];
  },
  cpu([ids], [y], { classes }) {
    for (let i = 0; i * classes < y.data.length; i++)
      y.data[i * classes + indexAt("oneHot", ids, i, classes)] = 1;
  },
  webgpu([ids], [y], { classes, dtype }) {
    const type = bufferType(dtype);
    return [
      {
        key: `oneHot:${dtype}`,
        source: () => ({
          buffers: [
            { name: "ids", type: "i32" },
            { name: "y", type, write: true },
          ],
          params: u32Params("offset", "classes"),
          main: `y[i] = select(${type}(0), ${type}(1), u32(ids[p.offset + i / p.classes]) == i % p.classes);`,
        }),
        buffers: [ids, y],
        params: [ids.offset, classes],
        count: y.size,
      },
    ];
  },
};

/**
 * Rows of zeros with a 1 at each id: ids [...] i32 → [..., classes] of `dtype` (default f32).
 *
 * @throws ValueError for classes below 1 and, on cpu, an id outside 0 … classes − 1 (on webgpu its row is all zeros);
 * DTypeError if ids are not i32.
 * @example
 * ```ts
 * await oneHot(tensor([1, 0], { dtype: "i32" }), 3).data(); // → [0, 1, 0, 1, 0, 0]
 * ```
 */
export function oneHot(ids: Tensor, classes: number, options: { dtype?: DType } = {}): Tensor {
  requireTensors("oneHot", ["ids"], [ids]);
  if (!Number.isInteger(classes) || classes < 1) {
    throw new ValueError(
      `oneHot: classes is ${classes}, expected a whole number of at least 1. Pass one more than the largest id: oneHot(ids, 10).`,
    );
  }
  return apply(oneHotOp, [ids], { classes, dtype: options.dtype ?? "f32" });
}
