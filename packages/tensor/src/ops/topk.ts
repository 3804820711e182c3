/**
 * The k largest or smallest elements along an axis without a sort: each pick is the best element that comes after the
 * previous pick in the order (value, then index). k passes, meant for small k.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { zeros } from "../create.ts";
import { DTypeError, ValueError } from "../errors.ts";
import { applyAll, type HostView, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { exchange, formatShape, formatSpec, normalizeAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { scatterAdd } from "./gather.ts";
import { permute } from "./movement.ts";
import { ones, orderKey } from "./order.ts";

/** Options of `topk`. */
export interface TopkOptions {
  /** Axis to pick along; default the last. */
  axis?: number;
  /** The largest elements (default), or with `false` the smallest. */
  largest?: boolean;
}

interface TopkAttrs {
  k: number;
  largest: boolean;
}

/** Few long rows are searched in this many parts. */
const parts = 64;

/** True if a comes before b: the larger first, NaN above every number; for the smallest the other way round. */
function before(a: number, b: number, largest: boolean): boolean {
  const [high, low] = largest ? [a, b] : [b, a];
  return high > low || (Number.isNaN(high) && !Number.isNaN(low));
}

/** The index of the best element of a row that comes after `last` (−1: of all). */
function nextPick(x: HostView, row: number, n: number, last: number, largest: boolean): number {
  const at = (j: number) => x.data[row + j];
  let best = -1;
  for (let j = 0; j < n; j++) {
    const follows =
      last < 0 || before(at(last), at(j), largest) || (j > last && !before(at(j), at(last), largest));
    if (follows && (best < 0 || before(at(j), at(best), largest))) best = j;
  }
  return best;
}

/** values[r, j] = x[r, indices[r, j]], the j-th of row r in order, for x [..., n] → [..., k];  dx = dvalues put back there */
export const topkLastOp: Op<TopkAttrs> = {
  name: "topk",
  infer([x], { k }) {
    if (x.dtype === "bool")
      throw new DTypeError(`topk: x is ${formatSpec(x)}, expected numbers. Convert it: cast(x, "i32").`);
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: "i32" },
    ];
  },
  cpu([x], [values, indices], { k, largest }) {
    const n = x.shape[x.shape.length - 1];
    for (let i = 0; i < values.data.length; i++) {
      const row = x.offset + Math.floor(i / k) * n;
      const last = i % k === 0 ? -1 : indices.data[i - 1];
      indices.data[i] = nextPick(x, row, n, last, largest);
      values.data[i] = x.data[row + indices.data[i]];
    }
  },
  webgpu([x], [values, indices], { k, largest }) {
    const n = x.shape[x.rank - 1];
    const rows = x.size / n;
    const order = largest ? [0, ones] : [ones, 0];
    if (rows >= 512 || n < 2048 || k * parts > n) return [directCall(x, values, indices, order)];
    const chunk = Math.ceil(n / parts);
    const candidates = x.device.empty([rows, Math.ceil(n / chunk), k], "u32");
    const calls = [partCall(x, candidates, chunk, order), mergeCall(x, candidates, values, indices, order)];
    candidates.dispose();
    return calls;
  },
  vjp: ({ inputs: [x], outputs: [, indices] }, [dvalues]) => [
    dvalues && scatterAdd(zeros(x.shape, { dtype: x.dtype, device: x.device }), -1, indices, dvalues),
  ],
};

/**
 * WGSL that picks p.k elements of the row at x0, best first, from the candidates `candidate` for c in [first, stop), and
 * runs `write` for each. Candidates with equal values must come in order of index; `none` is no candidate, and is
 * what is picked when they run out.
 */
function picking(candidate: string, write: string): string {
  return `var lastKey = 0u;
var last = 0u;
for (var pick = 0u; pick < p.k; pick++) {
  var best = none;
  var top = 0u;
  for (var c = first; c < stop; c++) {
    let j = ${candidate};
    if (j == none) { continue; }
    let k = key(x[x0 + j]);
    let follows = pick == 0u || k < lastKey || (k == lastKey && j > last);
    if (follows && (best == none || k > top)) { best = j; top = k; }
  }
  ${write}
  lastKey = top;
  last = best;
}`;
}

const helpers = (x: Tensor) => `const none = ${ones}u;\n${orderKey(x.dtype)}`;
const writeBoth = `values[i * p.k + pick] = x[x0 + best];
  indices[i * p.k + pick] = i32(best);`;

/** One invocation per row. */
function directCall(x: Tensor, values: Tensor, indices: Tensor, order: readonly number[]): KernelCall {
  const n = x.shape[x.rank - 1];
  return {
    key: `topk:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type: "u32" },
        { name: "values", type: "u32", write: true },
        { name: "indices", type: "i32", write: true },
      ],
      params: u32Params("offset", "n", "k", "flip", "nan"),
      helpers: helpers(x),
      main: `let x0 = p.offset + i * p.n;
let first = 0u;
let stop = p.n;
${picking("c", writeBoth)}`,
    }),
    buffers: [x, values, indices],
    params: [x.offset, n, values.shape[values.rank - 1], ...order],
    count: x.size / n,
  };
}

/** One invocation per row and chunk: the chunk's own k best. */
function partCall(x: Tensor, candidates: Tensor, chunk: number, order: readonly number[]): KernelCall {
  return {
    key: `topk:part:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type: "u32" },
        { name: "candidates", type: "u32", write: true },
      ],
      params: u32Params("offset", "n", "k", "chunks", "chunk", "flip", "nan"),
      helpers: helpers(x),
      main: `let x0 = p.offset + (i / p.chunks) * p.n;
let first = (i % p.chunks) * p.chunk;
let stop = min(p.n, first + p.chunk);
${picking("c", "candidates[i * p.k + pick] = best;")}`,
    }),
    buffers: [x, candidates],
    params: [x.offset, x.shape[x.rank - 1], candidates.shape[2], candidates.shape[1], chunk, ...order],
    count: candidates.shape[0] * candidates.shape[1],
  };
}

/** One invocation per row: the k best of its chunks' candidates. */
function mergeCall(
  x: Tensor,
  candidates: Tensor,
  values: Tensor,
  indices: Tensor,
  order: readonly number[],
): KernelCall {
  const [rows, chunks, k] = candidates.shape;
  return {
    key: `topk:merge:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type: "u32" },
        { name: "candidates", type: "u32" },
        { name: "values", type: "u32", write: true },
        { name: "indices", type: "i32", write: true },
      ],
      params: u32Params("offset", "n", "k", "many", "flip", "nan"),
      helpers: helpers(x),
      main: `let x0 = p.offset + i * p.n;
let first = i * p.many;
let stop = first + p.many;
${picking("candidates[c]", writeBoth)}`,
    }),
    buffers: [x, candidates, values, indices],
    params: [x.offset, x.shape[x.rank - 1], k, chunks * k, ...order],
    count: rows,
  };
}

/**
 * The `k` largest (or smallest) elements along `axis` (default the last), best first, with their indices (i32); equal
 * elements in order of index. NaN counts as larger than every number, as in PyTorch. The gradient of the values goes to
 * the picked elements.
 *
 * @throws ValueError if `k` is no whole number from 0 to the size of the axis, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const { values, indices } = topk(tensor([3, 1, 4, 1, 5]), 2);
 * await values.data(); // → [5, 4]
 * await indices.data(); // → [4, 2]
 * await topk(tensor([3, 1, 4, 1, 5]), 2, { largest: false }).indices.data(); // → [1, 3]
 * topk(tensor([3, 1]), 3); // → throws ValueError
 * ```
 */
export function topk(x: Tensor, k: number, options: TopkOptions = {}): { values: Tensor; indices: Tensor } {
  requireTensors("topk", ["x"], [x]);
  requireOptions("topk", options, ["axis", "largest"]);
  const { axis = -1, largest = true } = options;
  const a = normalizeAxis("topk", axis, x.rank);
  const n = x.shape[a];
  if (!Number.isInteger(k) || k < 0 || k > n) {
    throw new ValueError(
      `topk: k is ${k}, expected a whole number from 0 to ${n}, the size of axis ${a} of x ${formatShape(x.shape)}. ` +
        `Take all of them: topk(x, ${n}).`,
    );
  }
  const swap = exchange(x.rank, a, x.rank - 1);
  return scope(() => {
    const [values, indices] = applyAll(topkLastOp, [permute(x, swap)], { k, largest });
    return { values: permute(values, swap), indices: permute(indices, swap) };
  });
}
