/**
 * gather and scatterAdd: one index per element, along an axis. Repeated indices add up in a fixed order. Whole rows are in
 * indexing.ts, which also says what an index outside does.
 */
import { requireTensors } from "../arguments.ts";
import { bufferType, u32Params } from "../backends/webgpu/kernel.ts";
import { zeros } from "../create.ts";
import { ShapeError } from "../errors.ts";
import { apply, type Op, type Spec } from "../op.ts";
import { scope } from "../scope.ts";
import { exchange, formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkAlong, checkIndex, checkSummed, indexAt } from "./index-checks.ts";
import { permute } from "./movement.ts";

/** Splits a shape around the last axis: rows of length `size`. Both records below work on the last axis. */
function lastAxis(x: Spec): [number, number] {
  const n = x.shape[x.shape.length - 1];
  return [sizeOf(x.shape.slice(0, -1)), n];
}

/** y[r, j] = x[r, index[r, j]];  dx = scatterAdd of dy */
export const gatherLastOp: Op<null> = {
  name: "gatherLast",
  half: true,
  infer([x, index]) {
    checkIndex("gather", index, lastAxis(x)[1]);
    return [{ shape: index.shape, dtype: x.dtype }];
  },
  cpu([x, index], [y]) {
    const [rows, n] = lastAxis(x);
    const width = index.shape[index.shape.length - 1];
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < width; j++)
        y.data[r * width + j] = x.data[x.offset + r * n + indexAt("gather", index, r * width + j, n)];
    }
  },
  webgpu([x, index], [y]) {
    return [
      {
        key: `gatherLast:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: bufferType(x.dtype) },
            { name: "index", type: "i32" },
            { name: "y", type: bufferType(x.dtype), write: true },
          ],
          params: u32Params("offset", "offsetI", "n", "width"),
          main: `let at = u32(index[p.offsetI + i]);
if (at < p.n) { y[i] = x[p.offset + (i / p.width) * p.n + at]; } else { y[i] = ${bufferType(x.dtype)}(0); }`,
        }),
        buffers: [x, index, y],
        params: [x.offset, index.offset, x.shape[x.rank - 1], index.shape[index.rank - 1]],
        count: y.size,
      },
    ];
  },
  vjp: ({ inputs: [x, index] }, [dy]) => [
    dy && apply(scatterLastOp, [zeros(x.shape, { dtype: x.dtype, device: x.device }), index, dy], null),
    null,
  ],
};

/** y = x; y[r, index[r, j]] += source[r, j];  dx = dy, dsource = gather(dy, index) */
export const scatterLastOp: Op<null> = {
  name: "scatterLast",
  infer([x, index, source]) {
    checkIndex("scatterAdd", index, lastAxis(x)[1]);
    checkSummed("scatterAdd", x, source);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  cpu([x, index, source], [y]) {
    const [rows, n] = lastAxis(x);
    const width = index.shape[index.shape.length - 1];
    y.data.set(x.data.subarray(x.offset, x.offset + y.data.length));
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < width; j++) {
        y.data[r * n + indexAt("scatterAdd", index, r * width + j, n)] +=
          source.data[source.offset + r * width + j];
      }
    }
  },
  webgpu([x, index, source], [y]) {
    const [rows, n] = lastAxis(x);
    return [
      {
        // One invocation per row, so that repeated indices add up in order.
        key: `scatterLast:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: bufferType(x.dtype) },
            { name: "index", type: "i32" },
            { name: "source", type: bufferType(x.dtype) },
            { name: "y", type: bufferType(x.dtype), write: true },
          ],
          params: u32Params("offset", "offsetI", "offsetS", "n", "width"),
          main: `for (var j = 0u; j < p.n; j++) { y[i * p.n + j] = x[p.offset + i * p.n + j]; }
for (var j = 0u; j < p.width; j++) {
  let at = i * p.width + j;
  let to = u32(index[p.offsetI + at]);
  if (to < p.n) { y[i * p.n + to] = y[i * p.n + to] + source[p.offsetS + at]; }
}`,
        }),
        buffers: [x, index, source, y],
        params: [x.offset, index.offset, source.offset, n, index.shape[index.rank - 1]],
        count: rows,
      },
    ];
  },
  vjp: ({ inputs: [, index] }, [dy]) => [dy, null, dy && apply(gatherLastOp, [dy, index], null)],
};

/**
 * y[…, j, …] = x[…, index[…, j, …], …] along `axis`; index is i32 and matches x in every other dimension (PyTorch's
 * gather, NumPy's take_along_axis).
 *
 * @throws ShapeError for another dimension, DTypeError if index is not i32, ValueError for an index outside (cpu).
 * @example
 * ```ts
 * const index = tensor([[2], [0]], { dtype: "i32" });
 * await gather(tensor([[1, 2, 3], [4, 5, 6]]), 1, index).data(); // → [3, 4]
 * ```
 */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  requireTensors("gather", ["x", "index"], [x, index]);
  const swap = exchange(x.rank, checkAlong("gather", x, axis, index), x.rank - 1);
  return scope(() => permute(apply(gatherLastOp, [permute(x, swap), permute(index, swap)], null), swap));
}

/**
 * A copy of x with source[…, j, …] added at index[…, j, …] along `axis`; repeated indices add up in order.
 *
 * @throws as gather; ShapeError unless source and index have one shape, DTypeError for bools or mixed dtypes.
 * @example
 * ```ts
 * const index = tensor([1, 1], { dtype: "i32" });
 * await scatterAdd(zeros([3]), 0, index, tensor([5, 6])).data(); // → [0, 11, 0]
 * ```
 */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  requireTensors("scatterAdd", ["x", "index", "source"], [x, index, source]);
  const swap = exchange(x.rank, checkAlong("scatterAdd", x, axis, index), x.rank - 1);
  if (formatShape(source.shape) !== formatShape(index.shape)) {
    throw new ShapeError(
      `scatterAdd: source is ${formatShape(source.shape)}, index is ${formatShape(index.shape)}; expected one shape. ` +
        "Stretch the smaller one: expand(source, index.shape).",
    );
  }
  return scope(() =>
    permute(
      apply(scatterLastOp, [permute(x, swap), permute(index, swap), permute(source, swap)], null),
      swap,
    ),
  );
}
