/**
 * Attention over a cache in f16, as in decoding: each invocation has a head of one query, and keys and values are widened as they
 * are read, so that no step makes an f32 copy of the cache. No gradient: who wants one has spans with its table, and attention.ts.
 */
import { u32Params } from "../backends/webgpu/kernel.ts";
import { AutodiffError } from "../errors.ts";
import type { Op } from "../op.ts";
import { attentionValues, dimensions } from "./attention-spans.ts";
import { eachQueryText, vectorType } from "./attention-wgsl.ts";

/** What a gradient says of spans that were made without its table. */
export const withoutTable =
  "attention: spans was made with { gradients: false }, expected the table that the backward pass reads. " +
  "Make it so: attentionSpans(ranges, keyCount, { gradients: true }).";

/** y_i = Σⱼ softmaxⱼ(q_i·k_j/√D)·v_j over the visible j: q and y [Nq, H, D] f32, k and v [Nk, Hkv, D] f16. */
export const cachedAttentionOp: Op<null> = {
  name: "cachedAttention",
  arguments: ["q", "k", "v", "spans.queries"],
  half: true,
  infer: ([q]) => [{ shape: q.shape, dtype: q.dtype }],
  cpu: (inputs, [y]) => attentionValues(inputs, y),
  webgpu([q, k, v, ranges], [y]) {
    const { queries, heads, size, kvHeads, scale } = dimensions(q, k);
    return [
      {
        key: `attention:cached:${size}`,
        source: () => ({
          buffers: [
            { name: "q", type: vectorType(size) },
            { name: "k", type: vectorType(size, true) },
            { name: "v", type: vectorType(size, true) },
            { name: "ranges", type: "i32" },
            { name: "y", type: vectorType(size), write: true },
          ],
          params: [
            ...u32Params("offsetQ", "offsetK", "offsetV", "offsetR", "heads", "kvHeads", "parts"),
            { name: "scale", type: "f32" },
          ],
          main: eachQueryText(size, true),
        }),
        buffers: [q, k, v, ranges, y],
        params: [q.offset, k.offset, v.offset, ranges.offset, heads, kvHeads, 2, scale],
        count: queries * heads,
      },
    ];
  },
  vjp: () => {
    throw new AutodiffError(withoutTable);
  },
};
