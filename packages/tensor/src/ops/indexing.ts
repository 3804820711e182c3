/**
 * Indexing of whole rows: take, embedding and indexAdd; single elements are in gather.ts. Sums over repeated indices run
 * in a fixed order (no float atomics), so embedding gradients are the same bits from run to run.
 *
 * Indices count from 0. One outside its axis is a ValueError on cpu. On webgpu the host never sees the numbers: there
 * it reads 0 and adds nothing.
 */
import { requireTensors } from "../arguments.ts";
import { bufferType, u32Params, valueType } from "../backends/webgpu/kernel.ts";
import { ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { exchange, formatShape, normalizeAxis, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { checkIndex, checkSummed, indexAt } from "./index-checks.ts";
import { permute, reshape } from "./movement.ts";

/** y[i, c] = x[index[i], c] for x [R, C], index [n];  dx = indexRows(dy): rows of dy summed by index */
export const takeRowsOp: Op<null> = {
  name: "takeRows",
  half: true,
  infer([x, index]) {
    checkIndex("take", index, x.shape[0]);
    return [{ shape: [index.shape[0], x.shape[1]], dtype: x.dtype }];
  },
  cpu([x, index], [y]) {
    const [rows, width] = x.shape;
    for (let i = 0; i < index.shape[0]; i++) {
      const from = x.offset + indexAt("take", index, i, rows) * width;
      for (let c = 0; c < width; c++) y.data[i * width + c] = x.data[from + c];
    }
  },
  webgpu([x, index], [y]) {
    return [
      {
        key: `takeRows:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: bufferType(x.dtype) },
            { name: "index", type: "i32" },
            { name: "y", type: bufferType(x.dtype), write: true },
          ],
          params: u32Params("offset", "offsetI", "rows", "width"),
          main: `let row = u32(index[p.offsetI + i / p.width]);
var value = ${valueType(x.dtype)}(0);
if (row < p.rows) { value = ${valueType(x.dtype)}(x[p.offset + row * p.width + i % p.width]); }
y[i] = ${bufferType(x.dtype)}(value);`,
        }),
        buffers: [x, index, y],
        params: [x.offset, index.offset, x.shape[0], x.shape[1]],
        count: y.size,
      },
    ];
  },
  vjp: ({ inputs: [x, index] }, [dy]) => [dy && apply(addRowsOp, [dy, index], { rows: x.shape[0] }), null],
};

/** Invocations that sort indices: each walks all of them, so more do more work; fewer leave a GPU idle. */
const sortingInvocations = 64;

/**
 * y[r, c] = Σ_{i: index[i] = r} x[i, c] for x [n, C] → [rows, C];  dx = takeRows(dy, index)
 *
 * First kernel, a counting sort: each invocation has a stretch of rows, for which it walks the indices twice. It counts those
 * of each row, and the smaller ones before them; then it writes the positions that hold a row, in order. Second, one
 * invocation per element: adds the list of its row. No atomics.
 */
export const addRowsOp: Op<{ rows: number }> = {
  name: "addRows",
  infer([x, index], { rows }) {
    checkIndex("indexAdd", index, rows);
    checkSummed("indexAdd", x, x);
    return [{ shape: [rows, x.shape[1]], dtype: x.dtype }];
  },
  cpu([x, index], [y], { rows }) {
    const width = x.shape[1];
    y.data.fill(0, y.offset, y.offset + rows * width);
    for (let i = 0; i < index.shape[0]; i++) {
      const to = y.offset + indexAt("indexAdd", index, i, rows) * width;
      for (let c = 0; c < width; c++) y.data[to + c] += x.data[x.offset + i * width + c];
    }
  },
  webgpu([x, index], [y], { rows }) {
    const n = index.shape[0];
    const stretch = Math.ceil(rows / sortingInvocations) || 1;
    const bounds = x.device.empty([rows + 1], "u32");
    const order = x.device.empty([Math.max(n, 1)], "u32");
    const calls = [
      {
        key: "addRows:order",
        source: () => ({
          buffers: [
            { name: "index", type: "i32" as const },
            { name: "bounds", type: "u32" as const, write: true },
            { name: "order", type: "u32" as const, write: true },
          ],
          params: u32Params("offsetI", "n", "rows", "stretch"),
          main: `let first = i32(i * p.stretch);
let stop = i32(min(p.rows, (i + 1u) * p.stretch));
if (i == 0u) { bounds[0] = 0u; }
for (var row = first; row < stop; row++) { bounds[row + 1] = 0u; }
var at = 0u;
for (var j = 0u; j < p.n; j++) {
  let row = index[p.offsetI + j];
  if (row >= 0 && row < first) { at++; }
  if (row >= first && row < stop) { bounds[row + 1]++; }
}
// bounds[row + 1] is where the row's list goes on; behind its last entry, the next one begins.
for (var row = first; row < stop; row++) {
  let begin = at;
  at += bounds[row + 1];
  bounds[row + 1] = begin;
}
for (var j = 0u; j < p.n; j++) {
  let row = index[p.offsetI + j];
  if (row >= first && row < stop) {
    order[bounds[row + 1]] = j;
    bounds[row + 1]++;
  }
}`,
        }),
        buffers: [index, bounds, order],
        params: [index.offset, n, rows, stretch],
        count: Math.max(1, Math.ceil(rows / stretch)),
      },
      {
        key: `addRows:sum:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: bufferType(x.dtype) },
            { name: "bounds", type: "u32" as const },
            { name: "order", type: "u32" as const },
            { name: "y", type: bufferType(x.dtype), write: true },
          ],
          params: u32Params("offset", "offsetY", "width"),
          main: `let row = i / p.width;
let c = i % p.width;
var total = ${bufferType(x.dtype)}(0);
for (var j = bounds[row]; j < bounds[row + 1u]; j++) { total += x[p.offset + order[j] * p.width + c]; }
y[p.offsetY + i] = total;`,
        }),
        buffers: [x, bounds, order, y],
        params: [x.offset, y.offset, x.shape[1]],
        count: y.size,
      },
    ];
    bounds.dispose();
    order.dispose();
    return calls;
  },
  vjp: ({ inputs: [, index] }, [dy]) => [dy && apply(takeRowsOp, [dy, index], null), null],
};

function asRows(x: Tensor): Tensor {
  return reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
}

/**
 * Slices of x along `axis` (default 0) at `index` [n] i32: PyTorch's index_select. Gradients of repeated indices add up.
 *
 * @throws ShapeError if index is not [n], DTypeError if it is not i32, ValueError for an index outside (cpu).
 * @example
 * ```ts
 * const index = tensor([2, 0], { dtype: "i32" });
 * await take(tensor([[1, 2], [3, 4], [5, 6]]), index).data(); // → [5, 6, 1, 2]
 * ```
 */
export function take(x: Tensor, index: Tensor, axis = 0): Tensor {
  requireTensors("take", ["x", "index"], [x, index]);
  if (index.rank !== 1)
    throw new ShapeError(
      `take: index is ${formatShape(index.shape)}, expected one axis [n]. For rows at ids of any shape use embedding(x, index).`,
    );
  const a = normalizeAxis("take", axis, x.rank);
  const swap = exchange(x.rank, a, 0);
  return scope(() => {
    const moved = a === 0 ? x : permute(x, swap);
    const y = reshape(apply(takeRowsOp, [asRows(moved), index], null), [index.size, ...moved.shape.slice(1)]);
    return a === 0 ? y : permute(y, swap);
  });
}

/**
 * Rows of weight [V, C] at ids [...] i32 → [..., C].
 *
 * @throws as take.
 * @example
 * ```ts
 * embedding(zeros([50, 8]), tensor([[1, 2, 3]], { dtype: "i32" })); // → f32[1, 3, 8]
 * ```
 */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  requireTensors("embedding", ["weight", "ids"], [weight, ids]);
  checkIndex("embedding", ids, weight.shape[0], "ids");
  return scope(() =>
    reshape(take(weight, reshape(ids, [ids.size])), [...ids.shape, ...weight.shape.slice(1)]),
  );
}

/**
 * A copy of x with the slices of source added at `index` [n] along `axis`: PyTorch's index_add.
 *
 * @throws as take; ShapeError unless source is x with n entries along axis, DTypeError for bools or mixed dtypes.
 * @example
 * ```ts
 * const index = tensor([1, 1], { dtype: "i32" });
 * await indexAdd(zeros([2]), 0, index, tensor([5, 6])).data(); // → [0, 11]
 * ```
 */
export function indexAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  requireTensors("indexAdd", ["x", "index", "source"], [x, index, source]);
  const a = normalizeAxis("indexAdd", axis, x.rank);
  if (index.rank !== 1 || !sameShape(source.shape, x.shape.with(a, index.size))) {
    throw new ShapeError(
      `indexAdd: x is ${formatShape(x.shape)}, index is ${formatShape(index.shape)}, source is ${formatShape(source.shape)}; expected index [n] and ` +
        `source like x with size n along axis ${a}. Stretch it: expand(source, ${formatShape(x.shape.with(a, index.size))}).`,
    );
  }
  return scope(() => {
    const swap = exchange(x.rank, a, 0);
    const [to, from] = [permute(x, swap), permute(source, swap)];
    const sums = reshape(apply(addRowsOp, [asRows(from), index], { rows: to.shape[0] }), to.shape);
    return add(x, permute(sums, swap));
  });
}
