/**
 * The backward pass of attention, fused: scores are recomputed from the saved row sums, nothing of size [N, N] is stored.
 */
import { vjp } from "../autodiff.ts";
import { type BufferType, u32Params } from "../backends/webgpu/kernel.ts";
import type { Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { composedAttention, dimensions, spanMask, visit } from "./attention-spans.ts";
import {
  declareVector,
  dotVector,
  eachVector,
  loadVector,
  storeVector,
  vectorType,
} from "./attention-wgsl.ts";

/** What both kernels read, and their offsets in the order of `offsets` below. */
const sharedBuffers = (size: number): { name: string; type: BufferType }[] => [
  ...["q", "k", "v", "dy"].map((name) => ({ name, type: vectorType(size) })),
  ...["lse", "delta"].map((name) => ({ name, type: "f32" as const })),
  { name: "ranges", type: "i32" },
];
const sharedOffsets = ["offsetQ", "offsetK", "offsetV", "offsetL", "offsetE", "offsetD", "offsetR"];

/**
 * With p_ij = e^(s_ij − lse_i), dp_ij = dy_i·v_j, ds_ij = p_ij(dp_ij − δ_i), δ_i = dy_i·y_i:
 * dq_i = Σⱼ ds_ij·k_j/√D, dk_j = Σᵢ ds_ij·q_i/√D, dv_j = Σᵢ p_ij·dy_i (arXiv 2205.14135, algorithm 4). One kernel walks the
 * keys of each query, one the queries of each key; scores are recomputed, nothing is added concurrently.
 */
export const attentionBackwardOp: Op<null> = {
  name: "attentionBackward",
  infer: ([q, k, v]) => [q, k, v].map((x) => ({ shape: x.shape, dtype: x.dtype })),
  cpu([q, k, v, ranges, , lse, delta, dy], [dq, dk, dv]) {
    const { queries, heads, size, kvHeads, group, scale } = dimensions(q, k);
    for (let i = 0; i < queries; i++) {
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / group);
        const at = (i * heads + h) * size;
        visit(ranges, i, (j) => {
          const to = (j * kvHeads + g) * size;
          let s = 0;
          let dp = 0;
          for (let d = 0; d < size; d++) {
            s += q.data[q.offset + at + d] * k.data[k.offset + to + d];
            dp += dy.data[dy.offset + at + d] * v.data[v.offset + to + d];
          }
          const w = Math.exp(s * scale - lse.data[lse.offset + i * heads + h]);
          const ds = w * (dp - delta.data[delta.offset + i * heads + h]) * scale;
          for (let d = 0; d < size; d++) {
            dq.data[at + d] += ds * k.data[k.offset + to + d];
            dk.data[to + d] += ds * q.data[q.offset + at + d];
            dv.data[to + d] += w * dy.data[dy.offset + at + d];
          }
        });
      }
    }
  },
  webgpu([q, k, v, ranges, keys, lse, delta, dy], [dq, dk, dv]) {
    const { heads, size, kvHeads } = dimensions(q, k);
    const scale = 1 / Math.sqrt(size);
    const offsets = [q, k, v, lse, delta, dy, ranges].map((t) => t.offset);
    return [
      {
        key: `attentionBackward:q:${size}`,
        source: () => ({
          buffers: [...sharedBuffers(size), { name: "dq", type: vectorType(size), write: true }],
          params: [...u32Params(...sharedOffsets, "heads", "kvHeads"), { name: "scale", type: "f32" }],
          main: `let row = i / p.heads;
let g = (i % p.heads) / (p.heads / p.kvHeads);
${loadVector("qv", "q", `p.offsetQ + i * ${size}u`, size, "p.scale")}
${loadVector("dv", "dy", `p.offsetD + i * ${size}u`, size)}
${declareVector("sum", size)}
let rowLse = lse[p.offsetL + i];
let rowDelta = delta[p.offsetE + i];
let r = p.offsetR + 4u * row;
for (var part = 0u; part < 2u; part++) {
  let stop = u32(ranges[r + 2u * part + 1u]);
  for (var j = u32(ranges[r + 2u * part]); j < stop; j++) {
    let at = (j * p.kvHeads + g) * ${size}u;
    ${loadVector("kv", "k", "p.offsetK + at", size)}
    ${loadVector("vv", "v", "p.offsetV + at", size)}
    let w = exp(${dotVector("qv", "kv", size)} - rowLse);
    let ds = w * (${dotVector("dv", "vv", size)} - rowDelta) * p.scale;
    ${eachVector(size, (c) => `sum${c} += ds * kv${c};`)}
  }
}
${storeVector("dq", `i * ${size}u`, "sum", size)}`,
        }),
        buffers: [q, k, v, dy, lse, delta, ranges, dq],
        params: [...offsets, heads, kvHeads, scale],
        count: q.shape[0] * heads,
      },
      {
        key: `attentionBackward:kv:${size}`,
        source: () => ({
          buffers: [
            ...sharedBuffers(size),
            { name: "keys", type: "i32" as const },
            { name: "dk", type: vectorType(size), write: true },
            { name: "dv", type: vectorType(size), write: true },
          ],
          params: [
            ...u32Params(...sharedOffsets, "offsetS", "heads", "kvHeads"),
            { name: "scale", type: "f32" },
          ],
          main: `let j = i / p.kvHeads;
let g = i % p.kvHeads;
let group = p.heads / p.kvHeads;
${loadVector("kv", "k", `p.offsetK + i * ${size}u`, size, "p.scale")}
${loadVector("vv", "v", `p.offsetV + i * ${size}u`, size)}
${declareVector("sumK", size)}
${declareVector("sumV", size)}
let stop = u32(keys[p.offsetS + 2u * j + 1u]);
for (var row = u32(keys[p.offsetS + 2u * j]); row < stop; row++) {
  let r = p.offsetR + 4u * row;
  let key = i32(j);
  if ((key >= ranges[r] && key < ranges[r + 1u]) || (key >= ranges[r + 2u] && key < ranges[r + 3u])) {
    for (var h = g * group; h < (g + 1u) * group; h++) {
      let n = row * p.heads + h;
      ${loadVector("qv", "q", `p.offsetQ + n * ${size}u`, size)}
      ${loadVector("d", "dy", `p.offsetD + n * ${size}u`, size)}
      let w = exp(${dotVector("qv", "kv", size)} - lse[p.offsetL + n]);
      let ds = w * (${dotVector("d", "vv", size)} - delta[p.offsetE + n]) * p.scale;
      ${eachVector(size, (c) => `sumK${c} += ds * qv${c}; sumV${c} += w * d${c};`)}
    }
  }
}
${storeVector("dk", `i * ${size}u`, "sumK", size)}
${storeVector("dv", `i * ${size}u`, "sumV", size)}`,
        }),
        buffers: [q, k, v, dy, lse, delta, ranges, keys, dk, dv],
        params: [...offsets, keys.offset, heads, kvHeads, scale],
        count: k.shape[0] * kvHeads,
      },
    ];
  },
  // NOTE: y, lse and δ depend on q, k, v; the composed definition carries those paths, so the saved ones get none.
  vjp({ inputs: [q, k, v, queries, , , , dy] }, dys) {
    const mask = spanMask(queries, k.shape[0]);
    const backward = (q: Tensor, k: Tensor, v: Tensor, dy: Tensor): readonly Tensor[] =>
      vjp((q, k, v) => [composedAttention(q, k, v, mask)], [q, k, v], [dy]).grads;
    const [gq, gk, gv, gdy] = vjp(backward, [q, k, v, dy], dys).grads;
    return [gq, gk, gv, null, null, null, null, gdy];
  },
};
