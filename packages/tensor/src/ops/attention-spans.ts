/**
 * What attention means: which keys each query sees (spans), and the definition composed from plain operations that the
 * fused records are tested against and differentiated twice through.
 */

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

/** What each query sees, on a device. Make it with `attentionSpans`. */
export interface AttentionSpans {
  /** [Nq, 4] i32: query i sees keys [r0, r1) ∪ [r2, r3). */
  queries: Tensor;
  /** [Nk, 2] i32: only queries in [s0, s1) can see key j, so that the backward pass skips the others; [0, 2] without gradients. */
  keys: Tensor;
  /** Nk, the number of keys that the ranges are about. */
  keyCount: number;
}

/** Where spans live and whether a gradient will be asked for. */
export interface SpanOptions {
  /** Default: the device of the last `init()`. */
  device?: Device;
  /** Default true; false spares decoding the table that only the backward pass reads. */
  gradients?: boolean;
}

/**
 * Spans from one row of four numbers per query: a prefix range [r0, r1) and an own range [r2, r3) of keys, either may
 * be empty. A causal document that starts at s has (0, 0, s, i + 1); a branch of a prefix tree (prefixStart,
 * prefixEnd, branchStart, i + 1).
 *
 * @throws ValueError for a range outside the keys, ranges that overlap, or a query that sees nothing.
 */
export function attentionSpans(
  ranges: Int32Array,
  keyCount: number,
  options: SpanOptions = {},
): AttentionSpans {
  const { device, gradients = true } = options;
  const queryCount = ranges.length / 4;
  if (!Number.isInteger(queryCount)) {
    throw new ValueError(
      `attentionSpans: expected four numbers per query, received ${ranges.length} in all. Pass (r0, r1, r2, r3) for each.`,
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
        `attentionSpans: query ${i} has ranges [${a}, ${b}) and [${c}, ${d}) over ${keyCount} keys; they must lie inside, not overlap, and hold at least one key.`,
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
  };
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
