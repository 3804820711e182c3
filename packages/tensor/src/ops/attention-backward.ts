/**
 * The backward pass of attention, fused: scores are recomputed from the saved row sums, nothing of size [N, N] is stored.
 */
import { vjp } from "../autodiff.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import type { Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { composedAttention, dimensions, spanMask, visit } from "./attention-spans.ts";
import { keysText, queriesText } from "./attention-subgroups.ts";
import { blocksOf, eachKeyText, eachQueryBackwardText, sharedLanes, vectorType } from "./attention-wgsl.ts";

/**
 * With p_ij = e^(s_ij − lse_i), dp_ij = dy_i·v_j, ds_ij = p_ij(dp_ij − δ_i), δ_i = dy_i·y_i:
 * dq_i = Σⱼ ds_ij·k_j/√D, dk_j = Σᵢ ds_ij·q_i/√D, dv_j = Σᵢ p_ij·dy_i (arXiv 2205.14135, algorithm 4). One kernel walks the
 * keys of each query, one the queries of each key; scores are recomputed, nothing is added concurrently.
 */
export const attentionBackwardOp: Op<null> = {
  name: "attentionBackward",
  infer: ([q, k, v]) => [q, k, v].map((x) => ({ shape: x.shape, dtype: x.dtype })),
  cpu([q, k, v, ranges, , lse, y, dy], [dq, dk, dv]) {
    const { queries, heads, size, kvHeads, group, scale } = dimensions(q, k);
    for (let i = 0; i < queries; i++) {
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / group);
        const at = (i * heads + h) * size;
        let delta = 0;
        for (let d = 0; d < size; d++) delta += dy.data[dy.offset + at + d] * y.data[y.offset + at + d];
        visit(ranges, i, (j) => {
          const to = (j * kvHeads + g) * size;
          let s = 0;
          let dp = 0;
          for (let d = 0; d < size; d++) {
            s += q.data[q.offset + at + d] * k.data[k.offset + to + d];
            dp += dy.data[dy.offset + at + d] * v.data[v.offset + to + d];
          }
          const w = Math.exp(s * scale - lse.data[lse.offset + i * heads + h]);
          const ds = w * (dp - delta) * scale;
          for (let d = 0; d < size; d++) {
            dq.data[at + d] += ds * k.data[k.offset + to + d];
            dk.data[to + d] += ds * q.data[q.offset + at + d];
            dv.data[to + d] += w * dy.data[dy.offset + at + d];
          }
        });
      }
    }
  },
  webgpu([q, k, v, ranges, keys, lse, y, dy], [dq, dk, dv]) {
    const { queries, heads, size, keys: keyCount, kvHeads, scale } = dimensions(q, k);
    const lanes = sharedLanes(q);
    const type = vectorType(size);
    const suffix = lanes > 0 ? ":subgroups" : "";
    const params = [
      ...u32Params(
        "queries",
        "keys",
        "heads",
        "kvHeads",
        "offsetQ",
        "offsetK",
        "offsetV",
        "offsetD",
        "offsetR",
      ),
      { name: "scale", type: "f32" as const },
    ];
    const values = [
      ...[queries, keyCount, heads, kvHeads, q.offset, k.offset, v.offset, dy.offset, ranges.offset],
      scale,
    ];
    const read = (names: string) => names.split(" ").map((name) => ({ name, type }));
    /** lse and δ of each query and head side by side, from the first kernel to the second. */
    const stats = q.device.empty([queries, heads, 2], "f32");
    const calls: KernelCall[] = [
      {
        key: `attentionBackward:q:${size}${suffix}`,
        source: () => ({
          subgroups: lanes > 0,
          buffers: [
            ...read("q k v dy y"),
            { name: "lse", type: "f32" },
            { name: "ranges", type: "i32" },
            { name: "dq", type, write: true },
            { name: "stats", type: "f32", write: true },
          ],
          params: [...params, ...u32Params("offsetY", "offsetL", "parts", "pieces")],
          main: lanes > 0 ? queriesText(size, lanes) : eachQueryBackwardText(size),
        }),
        buffers: [q, k, v, dy, y, lse, ranges, dq, stats],
        params: [...values, y.offset, lse.offset, 2, size / 4],
        count: blocksOf(queries, lanes) * heads,
      },
      {
        key: `attentionBackward:kv:${size}${suffix}`,
        source: () => ({
          subgroups: lanes > 0,
          buffers: [
            ...read("q k v dy"),
            { name: "stats", type: "f32" },
            { name: "ranges", type: "i32" },
            { name: "keys", type: "i32" },
            { name: "dk", type, write: true },
            { name: "dv", type, write: true },
          ],
          params: [...params, ...u32Params("offsetS")],
          main: lanes > 0 ? keysText(size, lanes) : eachKeyText(size),
        }),
        buffers: [q, k, v, dy, stats, ranges, keys, dk, dv],
        params: [...values, keys.offset],
        count: blocksOf(keyCount, lanes) * kvHeads,
      },
    ];
    stats.dispose();
    return calls;
  },
  // NOTE: y and lse depend on q, k, v; the composed definition carries those paths, so the saved ones get none.
  vjp({ inputs: [q, k, v, queries, , , , dy] }, dys) {
    const mask = spanMask(queries, k.shape[0]);
    const backward = (q: Tensor, k: Tensor, v: Tensor, dy: Tensor): readonly Tensor[] =>
      vjp((q, k, v) => [composedAttention(q, k, v, mask)], [q, k, v], [dy]).grads;
    const [gq, gk, gv, gdy] = vjp(backward, [q, k, v, dy], dys).grads;
    return [gq, gk, gv, null, null, null, null, gdy];
  },
};
