/**
 * Masked attention over packed tokens, online softmax, nothing of size [N, N] stored (arXiv 2205.14135). What a query
 * may see is two ranges of keys, a prefix and its own document. That covers causal rows, packed documents, the prefix
 * tree of PACT (a shared prompt and trace, then branches; arXiv 2606.16215) and decoding from a flat cache, and it
 * leaves out exactly the keys that are masked, so no work is spent on them.
 */
import { describe, requireTensors } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { AutodiffError, DeviceError, DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { attentionBackwardOp } from "./attention-backward.ts";
import { cachedAttentionOp, withoutTable } from "./attention-cached.ts";
import { type AttentionSpans, attentionValues, dimensions } from "./attention-spans.ts";
import { forwardText } from "./attention-subgroups.ts";
import { blocksOf, eachQueryText, sharedLanes, vectorType } from "./attention-wgsl.ts";
import { cast } from "./cast.ts";
import { copyOp } from "./movement.ts";
import { requireFloat } from "./softmax.ts";

/** y_i = Σⱼ softmaxⱼ(q_i·k_j/√D)·v_j over the visible j, and ln Σ e^score per query and head;  backward: attentionBackwardOp */
export const attentionOp: Op<{ readonly neighbours: boolean }> = {
  name: "attention",
  arguments: ["q", "k", "v", "spans.queries", "spans.keys"],
  infer([q, k, v, queries]) {
    requireFloat("attention", q, "q");
    const received = `q is ${formatSpec(q)}, k is ${formatSpec(k)}, v is ${formatSpec(v)}`;
    if (k.dtype !== q.dtype || v.dtype !== q.dtype) {
      const odd = k.dtype !== q.dtype ? "k" : "v";
      throw new DTypeError(
        `attention: dtypes differ: ${received}; expected one. Convert it: cast(${odd}, "${q.dtype}").`,
      );
    }
    const { heads, size, kvHeads, group } = dimensions(q, k);
    const fits =
      q.shape.length === 3 &&
      k.shape.length === 3 &&
      formatShape(k.shape) === formatShape(v.shape) &&
      k.shape[2] === size;
    if (!fits || !Number.isInteger(group) || queries.shape[0] !== q.shape[0]) {
      const fix =
        queries.shape[0] !== q.shape[0] && q.shape.length === 3
          ? `Pass one row of ranges per query: attentionSpans(ranges of length ${4 * q.shape[0]}, ${k.shape[0]}).`
          : "Fold batch and time into N: reshape(q, [-1, heads, size]).";
      throw new ShapeError(
        `attention: ${received}, spans has ${queries.shape[0]} queries; expected q [Nq, H, D], k and v [Nk, Hkv, D] with H ` +
          `a multiple of Hkv, and Nq queries (H is ${heads}, Hkv is ${kvHeads}). ${fix}`,
      );
    }
    return [
      { shape: q.shape, dtype: q.dtype },
      { shape: q.shape.slice(0, 2), dtype: q.dtype },
    ];
  },
  cpu: (inputs, [y, lse]) => attentionValues(inputs, y, lse),
  webgpu([q, k, v, ranges], [y, lse], { neighbours }) {
    const { queries, heads, size, keys, kvHeads, scale } = dimensions(q, k);
    const lanes = neighbours ? sharedLanes(q) : 0;
    return [
      {
        key: `attention:${size}${lanes ? ":subgroups" : ""}`,
        source: () => ({
          subgroups: lanes > 0,
          buffers: [
            { name: "q", type: vectorType(size) },
            { name: "k", type: vectorType(size) },
            { name: "v", type: vectorType(size) },
            { name: "ranges", type: "i32" },
            { name: "y", type: vectorType(size), write: true },
            { name: "lse", type: "f32", write: true },
          ],
          params: [
            ...u32Params(
              "offsetQ",
              "offsetK",
              "offsetV",
              "offsetR",
              "queries",
              "keys",
              "heads",
              "kvHeads",
              "parts",
            ),
            { name: "scale", type: "f32" },
          ],
          main: lanes > 0 ? forwardText(size, lanes) : eachQueryText(size),
        }),
        buffers: [q, k, v, ranges, y, lse],
        params: [q.offset, k.offset, v.offset, ranges.offset, queries, keys, heads, kvHeads, 2, scale],
        count: blocksOf(queries, lanes) * heads,
      },
    ];
  },
  vjp({ inputs: [q, k, v, queries, keys], outputs: [y, lse] }, [dy]) {
    if (!dy) return [null, null, null, null, null];
    if (keys.shape[0] !== k.shape[0]) {
      throw new AutodiffError(withoutTable);
    }
    return [
      ...applyAll(attentionBackwardOp, [q, k, v, queries, keys, lse, y, aligned(dy)], null),
      null,
      null,
    ];
  },
};

/** Packed copies of views whose offset is no multiple of 4 elements, so that vec4 reads are aligned. */
function aligned(x: Tensor): Tensor {
  return x.contiguous && x.offset % 4 === 0 ? x : apply(copyOp, [x], null);
}

/**
 * Scaled dot-product attention: y_i = Σⱼ softmaxⱼ(q_i·k_j/√D)·v_j over the keys j that query i sees. q [Nq, H, D], k and v
 * [Nk, Hkv, D] → [Nq, H, D] for N packed tokens, H heads, D the head size. `spans` (from `attentionSpans`) says what each
 * query sees: causal rows, packed documents, prefix trees, fewer queries than keys. Query head h reads key/value head
 * ⌊h·Hkv/H⌋ (grouped-query attention, arXiv 2305.13245). Memory grows with N, not N² (arXiv 2205.14135).
 *
 * NOTE: PyTorch's `scaled_dot_product_attention` takes [B, H, T, D]; here B and T are one packed axis and heads come
 * second: `reshape(permute(q, [0, 2, 1, 3]), [-1, heads, size])`.
 *
 * @throws ShapeError for other shapes, an H that Hkv does not divide, or spans made for other counts; DTypeError for two
 * dtypes; AutodiffError when a gradient needs spans made with `gradients: false`.
 * @example
 * Causal, one document: the first token sees itself alone.
 * ```ts
 * const [q, v] = [zeros([2, 1, 1]), tensor([[[1]], [[3]]])]; // [N 2, H 1, D 1]
 * const causal = attentionSpans(Int32Array.of(0, 0, 0, 1, 0, 0, 0, 2), 2);
 * await attention(q, q, v, causal).data(); // → [1, 2]
 * ```
 * @example
 * Grouped queries: four query heads share two key/value heads.
 * ```ts
 * const spans = attentionSpans(Int32Array.of(0, 0, 0, 1), 1);
 * const v = tensor([[[1], [2]]]); // [Nk 1, Hkv 2, D 1]
 * await attention(zeros([1, 4, 1]), v, v, spans).data(); // → [1, 1, 2, 2]
 * attention(zeros([1, 3, 1]), v, v, spans); // → throws ShapeError
 * ```
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, spans: AttentionSpans): Tensor {
  if (spans === undefined || !(spans.queries instanceof Tensor)) {
    throw new ValueError(
      `attention: spans is ${describe(spans)}, expected AttentionSpans. Make them: attentionSpans(ranges, keyCount).`,
    );
  }
  const { queries, keys, keyCount, neighbours } = spans;
  const device = requireTensors("attention", ["q", "k", "v"], [q, k, v]);
  if (queries.device !== device) {
    throw new DeviceError(
      `attention: q is ${describe(q)}, spans are on another device; expected one device. ` +
        "Make them beside q: attentionSpans(ranges, keyCount, { device: q.device }).",
    );
  }
  if (keyCount !== k.shape[0]) {
    throw new ShapeError(
      `attention: spans are over ${keyCount} keys, k is ${formatShape(k.shape)}; expected Nk = ${keyCount} keys [Nk, Hkv, D]. ` +
        `Make them for k: attentionSpans(ranges, ${k.shape[0]}).`,
    );
  }
  return scope(() => {
    const inputs = [aligned(q), aligned(k), aligned(v), queries];
    // Few queries, a large cache: it is read as it is.
    if (k.dtype === "f16" && !neighbours) {
      attentionOp.infer(inputs, { neighbours });
      return cast(apply(cachedAttentionOp, [cast(inputs[0], "f32"), ...inputs.slice(1)], null), q.dtype);
    }
    return applyAll(attentionOp, [...inputs, keys], { neighbours })[0];
  });
}
