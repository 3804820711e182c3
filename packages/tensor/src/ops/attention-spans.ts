/**
 * What attention means: which keys each query sees (spans), and the definition composed from plain operations that the
 * fused records are tested against and differentiated twice through.
 */

import { describe, requireOptions } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import type { Device } from "../device.ts";
import { ValueError } from "../errors.ts";
import { apply, type HostView, type Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { mul } from "./arithmetic.ts";
import { take } from "./indexing.ts";
import { where } from "./logic.ts";
import { matmul } from "./matmul.ts";
import { permute } from "./movement.ts";
import { softmax } from "./softmax.ts";

/**
 * What each query sees, on a device. Make it with `attentionSpans`; it may serve every layer.
 *
 * @example
 * ```ts
 * const spans: AttentionSpans = attentionSpans(Int32Array.of(0, 0, 0, 1), 1);
 * spans.queries; // → i32[1, 4]
 * ```
 */
export interface AttentionSpans {
  /** [Nq, 4] i32: query i sees keys [r0, r1) ∪ [r2, r3). */
  queries: Tensor;
  /** [Nk, 2] i32: only queries in [s0, s1) can see key j, so that the backward pass skips the others; [0, 2] without gradients. */
  keys: Tensor;
  /** Nk, the number of keys that the ranges are about. */
  keyCount: number;
  /** Whether neighbouring queries see mostly the same keys, so that kernels should walk these together. */
  neighbours: boolean;
}

/**
 * Where spans live and whether a gradient will be asked for.
 *
 * @example
 * ```ts
 * const options: SpanOptions = { gradients: false };
 * attentionSpans(Int32Array.of(0, 0, 0, 1), 1, options).keys; // → i32[0, 2]
 * ```
 */
export interface SpanOptions {
  /** Default: the device of the last `init()`. */
  device?: Device;
  /** Default true; false spares decoding the table that only the backward pass reads. */
  gradients?: boolean;
}

/**
 * Spans from one row of four numbers per query, [Nq·4]: query i sees keys [r0, r1) ∪ [r2, r3), a prefix and its own range;
 * either may be empty, as (0, 0). `keyCount` is Nk. A causal document that starts at s has (0, 0, s, i + 1) for token i; a
 * branch of a prefix tree (prefixStart, prefixEnd, branchStart, i + 1).
 *
 * @throws ValueError for a range outside the keys, ranges that overlap, or a query that sees nothing.
 * @example
 * Causal: token i sees 0 … i.
 * ```ts
 * const causal = (count: number) => Int32Array.from({ length: 4 * count }, (_, n) => (n % 4 === 3 ? (n >> 2) + 1 : 0));
 * await attentionSpans(causal(3), 3).queries.data(); // → [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]
 * ```
 * @example
 * Packed segments: documents of 2 and 1 tokens in one row of 3.
 * ```ts
 * const spans = attentionSpans(Int32Array.of(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 3), 3);
 * const v = tensor([[[1]], [[3]], [[8]]]); // [N 3, H 1, D 1]
 * await attention(zeros([3, 1, 1]), v, v, spans).data(); // → [1, 2, 8]
 * ```
 * @example
 * Prefix tree: token 0 is shared, tokens 1 and 2 are branches that do not see each other.
 * ```ts
 * const spans = attentionSpans(Int32Array.of(0, 0, 0, 1, 0, 1, 1, 2, 0, 1, 2, 3), 3);
 * const v = tensor([[[1]], [[3]], [[9]]]);
 * await attention(zeros([3, 1, 1]), v, v, spans).data(); // → [1, 2, 5]
 * ```
 * @example
 * Tq < Tk: one new token sees 3 cached keys; a range outside the keys is an error.
 * ```ts
 * const spans = attentionSpans(Int32Array.of(0, 0, 0, 3), 3);
 * const v = tensor([[[1]], [[3]], [[8]]]);
 * await attention(zeros([1, 1, 1]), v, v, spans).data(); // → [4]
 * attentionSpans(Int32Array.of(0, 0, 0, 4), 3); // → throws ValueError
 * ```
 */
export function attentionSpans(
  ranges: Int32Array,
  keyCount: number,
  options: SpanOptions = {},
): AttentionSpans {
  requireOptions("attentionSpans", options, ["device", "gradients"]);
  const { device, gradients = true } = options;
  if (!(ranges instanceof Int32Array)) {
    throw new ValueError(
      `attentionSpans: ranges is ${describe(ranges)}, expected an Int32Array. Convert it: Int32Array.from(ranges).`,
    );
  }
  if (!Number.isInteger(keyCount) || keyCount < 0) {
    throw new ValueError(
      `attentionSpans: keyCount is ${keyCount}, expected a whole number of at least 0. Pass the first size of k: k.shape[0].`,
    );
  }
  const queryCount = ranges.length / 4;
  if (!Number.isInteger(queryCount)) {
    throw new ValueError(
      `attentionSpans: ranges has ${ranges.length} numbers, expected four per query. Pass (r0, r1, r2, r3) for each: Int32Array.of(0, 0, start, i + 1).`,
    );
  }
  const seen = new Int32Array(gradients ? keyCount * 2 : 0);
  for (let j = 0; j < seen.length / 2; j++) seen[2 * j] = queryCount;
  for (let i = 0; i < queryCount; i++) {
    const [a, b, c, d] = ranges.subarray(4 * i, 4 * i + 4);
    const prefix = b > a;
    const own = d > c;
    const inside = (!prefix || (a >= 0 && b <= keyCount)) && (!own || (c >= 0 && d <= keyCount));
    if (!inside || !(prefix || own) || (prefix && own && a < d && c < b)) {
      throw new ValueError(
        `attentionSpans: ranges of query ${i} are [${a}, ${b}) and [${c}, ${d}), expected ranges inside 0 … ${keyCount} keys that do not ` +
          `overlap and hold at least one key. For causal attention: Int32Array.of(0, 0, 0, ${i + 1}).`,
      );
    }
    if (!gradients) continue;
    for (const [from, to] of [
      [a, b],
      [c, d],
    ]) {
      for (let j = from; j < to; j++) {
        if (seen[2 * j] > i) seen[2 * j] = i;
        seen[2 * j + 1] = i + 1;
      }
    }
  }
  return {
    queries: tensor(ranges, { shape: [queryCount, 4], device }),
    keys: tensor(seen, { shape: [seen.length / 2, 2], device }),
    keyCount,
    neighbours: gradients || seenTogether(ranges),
  };
}

/** Neighbours whose keys are compared, as many as lanes walk keys together at most. */
const neighbourhood = 8;
/** Queries from which on a kernel of their own is worth building, in prompts say. */
const manyQueries = 256;

/** Whether there are many queries, and eight neighbours together walk at most twice as many keys as each by itself. */
function seenTogether(ranges: Int32Array): boolean {
  if (ranges.length < 4 * manyQueries) return false;
  let [together, alone] = [0, 0];
  for (let first = 0; first < ranges.length; first += 4 * neighbourhood) {
    const [begin, end] = [
      [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
      [0, 0],
    ];
    let longest = 0;
    for (let r = first; r < Math.min(ranges.length, first + 4 * neighbourhood); r += 4) {
      let own = 0;
      for (const part of [0, 1]) {
        const [from, to] = [ranges[r + 2 * part], ranges[r + 2 * part + 1]];
        if (to <= from) continue;
        begin[part] = Math.min(begin[part], from);
        end[part] = Math.max(end[part], to);
        own += to - from;
      }
      longest = Math.max(longest, own);
    }
    for (const part of [0, 1]) together += Math.max(0, end[part] - begin[part]);
    alone += longest;
  }
  return together <= 2 * alone;
}

/** Visits the keys that query i sees. */
export function visit(ranges: HostView, i: number, f: (j: number) => void): void {
  const r = ranges.offset + 4 * i;
  for (let j = ranges.data[r]; j < ranges.data[r + 1]; j++) f(j);
  for (let j = ranges.data[r + 2]; j < ranges.data[r + 3]; j++) f(j);
}

export function dimensions(q: { shape: readonly number[] }, k: { shape: readonly number[] }) {
  const [queries, heads, size] = q.shape;
  const [keys, kvHeads] = k.shape;
  return { queries, heads, size, keys, kvHeads, group: heads / kvHeads, scale: 1 / Math.sqrt(size) };
}

/** The definition: y [Nq, H, D], and ln Σ e^score per query and head. */
export function attentionValues([q, k, v, ranges]: readonly HostView[], y: HostView, lse?: HostView): void {
  const { queries, heads, size, kvHeads, group, scale } = dimensions(q, k);
  for (let i = 0; i < queries; i++) {
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / group);
      const at = (i * heads + h) * size;
      let top = Number.NEGATIVE_INFINITY;
      const scores: number[] = [];
      visit(ranges, i, (j) => {
        let s = 0;
        for (let d = 0; d < size; d++)
          s += q.data[q.offset + at + d] * k.data[k.offset + (j * kvHeads + g) * size + d];
        scores.push(s * scale);
        top = Math.max(top, s * scale);
      });
      let total = 0;
      for (const s of scores) total += Math.exp(s - top);
      if (lse) lse.data[i * heads + h] = top + Math.log(total);
      const sums = new Float64Array(size);
      let n = 0;
      visit(ranges, i, (j) => {
        const w = Math.exp(scores[n++] - top) / total;
        for (let d = 0; d < size; d++) sums[d] += w * v.data[v.offset + (j * kvHeads + g) * size + d];
      });
      y.data.set(sums, at);
    }
  }
}

/** Attention from explicit scores [H, Nq, Nk], composed: the definition that the fused records are tested against. */
export function composedAttention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor): Tensor {
  const { heads, group, scale } = dimensions(q, k);
  const pick = tensor(
    Int32Array.from({ length: heads }, (_, h) => Math.floor(h / group)),
    { device: q.device },
  );
  const [kk, vv] = [take(k, pick, 1), take(v, pick, 1)];
  const scores = mul(matmul(permute(q, [1, 0, 2]), permute(kk, [1, 2, 0])), scale);
  const weights = softmax(where(mask, scores, -1e30));
  return permute(matmul(weights, permute(vv, [1, 0, 2])), [1, 0, 2]);
}

/** The mask [Nq, Nk] that spans stand for, on the host's side of the reference. */
function denseMask(queries: HostView, keyCount: number): Uint8Array {
  const rows = queries.shape[0];
  const mask = new Uint8Array(rows * keyCount);
  for (let i = 0; i < rows; i++)
    visit(queries, i, (j) => {
      mask[i * keyCount + j] = 1;
    });
  return mask;
}

/** mask[i, j] = 1 if query i sees key j, as a record so that second derivatives can build it on the device. */
const spanMaskOp: Op<{ keys: number }> = {
  name: "spanMask",
  infer: ([ranges], { keys }) => [{ shape: [ranges.shape[0], keys], dtype: "bool" }],
  cpu([ranges], [mask], { keys }) {
    mask.data.set(denseMask(ranges, keys));
  },
  webgpu([ranges], [mask], { keys }) {
    return [
      {
        key: "spanMask",
        source: () => ({
          buffers: [
            { name: "ranges", type: "i32" },
            { name: "mask", type: "u32", write: true },
          ],
          params: u32Params("offset", "keys"),
          main: `let r = p.offset + 4u * (i / p.keys);
let j = i32(i % p.keys);
mask[i] = select(0u, 1u, (j >= ranges[r] && j < ranges[r + 1u]) || (j >= ranges[r + 2u] && j < ranges[r + 3u]));`,
        }),
        buffers: [ranges, mask],
        params: [ranges.offset, keys],
        count: mask.size,
      },
    ];
  },
};

/** The mask [Nq, Nk] of spans' query ranges, as bools. */
export function spanMask(queries: Tensor, keyCount: number): Tensor {
  return apply(spanMaskOp, [queries], { keys: keyCount });
}
