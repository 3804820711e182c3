/**
 * Where a sampling distribution is cut off: per row of logits the smallest one that stays, for top-k (Fan et al., arXiv
 * 1805.04833), top-p (Holtzman et al., arXiv 1904.09751) and min-p (Nguyen et al., arXiv 2407.01082). All three keep the
 * logits at or above a threshold, so equal logits stay or go together, and the order of the vocabulary plays no part.
 *
 * Nothing is sorted on the GPU: logits become u32 keys in the same order (order.ts), and the threshold is found four bits
 * at a time, from the highest: eight walks over the row, each summing the weight of 16 ranges of keys (radix selection).
 */
import { type KernelCall, type KernelSource, u32Params } from "../backends/webgpu/kernel.ts";
import { full } from "../create.ts";
import { apply, type HostView, type Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { add, maximum } from "./arithmetic.ts";
import { orderKey } from "./order.ts";
import { max } from "./reduce.ts";

/** What stays of a distribution; see `SampleOptions`. */
export interface Truncation {
  topK: number;
  topP: number;
  minP: number;
}

interface CutAttrs {
  /** `count`: the share-th largest logit; `mass`: the largest logit t with mass of (logits ≥ t) ≥ share. */
  by: "count" | "mass";
  share: number;
  /** 1/temperature. */
  scale: number;
}

/** Parts of a row that are walked at once. */
const parts = 32;

/**
 * threshold[r] of x [N, V], among the logits at or above floor [N], with the weight of logit x being 1 or
 * exp((x − top)·scale), top [N] the largest of the row. NaN counts for nothing.
 */
const cutOp: Op<CutAttrs> = {
  name: "truncate",
  arguments: ["x", "top", "floor"],
  infer: ([x]) => [{ shape: [x.shape[0]], dtype: x.dtype }],
  cpu([x, top, floor], [threshold], attrs) {
    for (let r = 0; r < x.shape[0]; r++)
      threshold.data[r] = cutOfRow(x, r, top.data[top.offset + r], floor.data[floor.offset + r], attrs);
  },
  webgpu([x, top, floor], [threshold], { by, share, scale }) {
    const [rows, n] = x.shape;
    const partial = x.device.empty([rows, parts, 16], "f32");
    const state = x.device.empty([rows, 3], "u32");
    const [mass, nan] = [by === "mass" ? 1 : 0, 0];
    const calls: KernelCall[] = [];
    for (let shift = 28; shift >= 0; shift -= 4) {
      calls.push({
        key: "truncate:parts",
        source: partsKernel,
        buffers: [x, top, floor, state, partial],
        params: [x.offset, top.offset, floor.offset, n, Math.ceil(n / parts), shift, mass, 0, nan, scale],
        count: rows * parts,
      });
      calls.push({
        key: "truncate:merge",
        source: mergeKernel,
        buffers: [partial, state, threshold],
        params: [shift, mass, share],
        count: rows,
      });
    }
    partial.dispose();
    state.dispose();
    return calls;
  },
};

function cutOfRow(x: HostView, row: number, top: number, floor: number, attrs: CutAttrs): number {
  const { by, share, scale } = attrs;
  const n = x.shape[1];
  const start = x.offset + row * n;
  const kept = Float64Array.from(x.data.subarray(start, start + n))
    .filter((value) => value >= floor)
    .sort()
    .reverse();
  if (by === "count") return kept[Math.min(share, kept.length) - 1];
  const weights = kept.map((value) => Math.exp((value - top) * scale));
  const target = share * weights.reduce((a, b) => a + b, 0);
  let mass = 0;
  const last = weights.findIndex((weight) => {
    mass += weight;
    return mass >= target;
  });
  return kept[last < 0 ? kept.length - 1 : last];
}

/** Per row and part: the weight of the keys whose upper bits are those chosen so far, by their next four bits. */
const partsKernel = (): KernelSource => ({
  buffers: [
    { name: "x", type: "u32" },
    { name: "top", type: "f32" },
    { name: "low", type: "u32" },
    { name: "state", type: "u32" },
    { name: "partial", type: "f32", write: true },
  ],
  params: [
    ...u32Params("offset", "offsetT", "offsetF", "n", "chunk", "shift", "mass", "flip", "nan"),
    { name: "scale", type: "f32" },
  ],
  helpers: orderKey("f32"),
  main: `let row = i / ${parts}u;
let start = (i % ${parts}u) * p.chunk;
let stop = min(start + p.chunk, p.n);
let lowest = max(1u, key(low[p.offsetF + row]));
let highest = top[p.offsetT + row];
var bins: array<f32, 16>;
for (var j = start; j < stop; j++) {
  let bits = x[p.offset + row * p.n + j];
  let k = key(bits);
  if (k < lowest) { continue; }
  if (p.shift < 28u && (k >> (p.shift + 4u)) != state[3u * row]) { continue; }
  var weight = 1.0;
  if (p.mass == 1u) { weight = exp((bitcast<f32>(bits) - highest) * p.scale); }
  bins[(k >> p.shift) & 15u] += weight;
}
for (var b = 0u; b < 16u; b++) { partial[16u * i + b] = bins[b]; }`,
});

/** Per row: the next four bits. The state is the bits so far, the weight above them, and the weight to reach. */
const mergeKernel = (): KernelSource => ({
  buffers: [
    { name: "partial", type: "f32" },
    { name: "state", type: "u32", write: true },
    { name: "threshold", type: "f32", write: true },
  ],
  params: [...u32Params("shift", "mass"), { name: "share", type: "f32" }],
  main: `var bins: array<f32, 16>;
for (var part = 0u; part < ${parts}u; part++) {
  for (var b = 0u; b < 16u; b++) { bins[b] += partial[16u * (${parts}u * i + part) + b]; }
}
var prefix = 0u;
var above = 0.0;
var goal = p.share;
if (p.shift < 28u) {
  prefix = state[3u * i];
  above = bitcast<f32>(state[3u * i + 1u]);
  goal = bitcast<f32>(state[3u * i + 2u]);
} else if (p.mass == 1u) {
  var total = 0.0;
  for (var b = 0u; b < 16u; b++) { total += bins[15u - b]; }
  goal = p.share * total;
}
// Where rounding keeps the sum below the goal, the lowest range that holds anything is the last.
var chosen = 0u;
var before = above;
for (var b = 0u; b < 16u; b++) {
  let weight = bins[15u - b];
  if (weight <= 0.0) { continue; }
  chosen = 15u - b;
  before = above;
  above += weight;
  if (above >= goal) { break; }
}
prefix = (prefix << 4u) | chosen;
state[3u * i] = prefix;
state[3u * i + 1u] = bitcast<u32>(before);
state[3u * i + 2u] = bitcast<u32>(goal);
if (p.shift == 0u) {
  threshold[i] = bitcast<f32>(select(0x80000000u | (0x80000000u - prefix), prefix - 0x80000000u, prefix >= 0x80000000u));
}`,
});

/**
 * The smallest logit of each row that stays [N], or undefined if all do. Top-k comes first, top-p takes its share of what
 * is left, min-p compares with the largest.
 */
export function cutoff(x: Tensor, temperature: number, { topK, topP, minP }: Truncation): Tensor | undefined {
  const rank = topK < x.shape[1];
  if (!rank && topP >= 1 && minP <= 0) return undefined;
  const top = max(x, { axes: -1 }); // [N]
  const scale = 1 / temperature;
  const ofLargest = (share: number) => add(top, Math.fround(temperature * Math.log(share)));
  let floor = minP > 0 ? ofLargest(minP) : undefined;
  let least = rank ? apply(cutOp, [x, top, lowest(top)], { by: "count", share: topK, scale }) : undefined;
  if (topP < 1) least = apply(cutOp, [x, top, least ?? lowest(top)], { by: "mass", share: topP, scale });
  if (floor && least) floor = maximum(floor, least);
  return floor ?? least;
}

/** A floor below every finite logit. */
function lowest(top: Tensor): Tensor {
  return full(top.shape, -3.4e38, { dtype: top.dtype, device: top.device });
}
