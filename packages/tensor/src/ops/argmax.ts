/**
 * Index of the largest or smallest element, along an axis or of all; the first of equals. A NaN is both larger and
 * smaller than every number, as in NumPy and PyTorch: the first one is found.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, normalizeAxis, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { permute, reshape, unsqueeze } from "./movement.ts";
import { ones, orderKey } from "./order.ts";

/** Options of `argmax` and `argmin`. */
export interface ArgOptions {
  /** Keep the reduced axis with size 1 (all axes, if none was named); default false. */
  keepDims?: boolean;
}

/** Few long rows are searched in this many parts. */
const parts = 64;

/** y[r] = the index of the extreme of x[r, ·], for x [..., n] → [...];  no derivative */
function extreme(name: string, smallest: boolean): Op<null> {
  return {
    name,
    infer: ([x]) => [{ shape: x.shape.slice(0, -1), dtype: "i32" }],
    cpu([x], [y]) {
      const n = x.shape[x.shape.length - 1];
      for (let r = 0; r < y.data.length; r++) {
        const row = x.offset + r * n;
        let best = 0;
        for (let j = 1; j < n && !Number.isNaN(x.data[row + best]); j++) {
          const [a, b] = [x.data[row + j], x.data[row + best]];
          if ((smallest ? a < b : a > b) || Number.isNaN(a)) best = j;
        }
        y.data[r] = best;
      }
    },
    webgpu([x], [y]) {
      const n = x.shape[x.rank - 1];
      const flip = smallest ? ones : 0;
      if (y.size >= 512 || n < 2048) return [search(x, y, flip, n)];
      const chunk = Math.ceil(n / parts);
      const found = x.device.empty([y.size, Math.ceil(n / chunk)], "i32");
      const calls = [search(x, found, flip, chunk), best(x, found, y, flip)];
      found.dispose();
      return calls;
    },
  };
}

/** One invocation per row and chunk of it. */
function search(x: Tensor, out: Tensor, flip: number, chunk: number): KernelCall {
  const n = x.shape[x.rank - 1];
  return {
    key: `argmax:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type: "u32" },
        { name: "y", type: "i32", write: true },
      ],
      params: u32Params("offset", "n", "chunk", "flip", "nan"),
      helpers: orderKey(x.dtype),
      main: `let chunks = (p.n + p.chunk - 1u) / p.chunk;
let x0 = p.offset + (i / chunks) * p.n;
let start = (i % chunks) * p.chunk;
var best = start;
var top = key(x[x0 + start]);
for (var j = start + 1u; j < min(p.n, start + p.chunk); j++) {
  let k = key(x[x0 + j]);
  if (k > top) { best = j; top = k; }
}
y[i] = i32(best);`,
    }),
    buffers: [x, out],
    params: [x.offset, n, chunk, flip, ones],
    count: out.size,
  };
}

/** One invocation per row: the best of what its chunks found. */
function best(x: Tensor, found: Tensor, y: Tensor, flip: number): KernelCall {
  return {
    key: `argmax:best:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type: "u32" },
        { name: "found", type: "i32" },
        { name: "y", type: "i32", write: true },
      ],
      params: u32Params("offset", "n", "chunks", "flip", "nan"),
      helpers: orderKey(x.dtype),
      main: `let x0 = p.offset + i * p.n;
let first = i * p.chunks;
var best = found[first];
var top = key(x[x0 + u32(best)]);
for (var c = first + 1u; c < first + p.chunks; c++) {
  let k = key(x[x0 + u32(found[c])]);
  if (k > top) { best = found[c]; top = k; }
}
y[i] = best;`,
    }),
    buffers: [x, found, y],
    params: [x.offset, x.shape[x.rank - 1], found.shape[1], flip, ones],
    count: y.size,
  };
}

const argmaxOp = extreme("argmax", false);
const argminOp = extreme("argmin", true);

function along(op: Op<null>, x: Tensor, axis: number | undefined, options: ArgOptions): Tensor {
  requireTensors(op.name, ["x"], [x]);
  requireOptions(op.name, options, ["keepDims"]);
  const a = axis === undefined ? undefined : normalizeAxis(op.name, axis, x.rank);
  if (sizeOf(a === undefined ? x.shape : [x.shape[a]]) === 0) {
    throw new ShapeError(
      `${op.name}: x is ${formatShape(x.shape)}, expected at least one element${a === undefined ? "" : ` along axis ${a}`}. ` +
        `Name an axis that has some: ${op.name}(x, 0).`,
    );
  }
  return scope(() => {
    if (a === undefined) {
      const y = apply(op, [reshape(x, [x.size])], null);
      return options.keepDims
        ? reshape(
            y,
            x.shape.map(() => 1),
          )
        : y;
    }
    const order = [...x.shape.map((_, i) => i).filter((i) => i !== a), a];
    const y = apply(op, [permute(x, order)], null);
    return options.keepDims ? unsqueeze(y, a) : y;
  });
}

/**
 * Index (i32) of the largest element along `axis`, which is dropped unless `keepDims`; without an axis, the index in
 * the flattened tensor. The first of equals; a NaN counts as larger than every number. As in NumPy. No gradient.
 *
 * @throws ShapeError if there is no element, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, 5, 5], [7, 2, 3]]);
 * await argmax(x, 1).data(); // → [1, 0]
 * await argmax(x).data(); // → [3]
 * argmax(x, 1, { keepDims: true }); // → i32[2, 1]
 * ```
 */
export function argmax(x: Tensor, axis?: number, options: ArgOptions = {}): Tensor {
  return along(argmaxOp, x, axis, options);
}

/**
 * Index (i32) of the smallest element along `axis`, which is dropped unless `keepDims`; without an axis, the index in
 * the flattened tensor. The first of equals; a NaN counts as smaller than every number. As in NumPy. No gradient.
 *
 * @throws ShapeError if there is no element, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, 5, 5], [7, 2, 2]]);
 * await argmin(x, 1).data(); // → [0, 1]
 * await argmin(x).data(); // → [0]
 * argmin(tensor([]), 0); // → throws ShapeError
 * ```
 */
export function argmin(x: Tensor, axis?: number, options: ArgOptions = {}): Tensor {
  return along(argminOp, x, axis, options);
}
