/**
 * Masked attention over packed tokens, online softmax, nothing of size [N, N] stored (arXiv 2205.14135). What a query
 * may see is two ranges of keys, a prefix and its own document. That covers causal rows, packed documents, the prefix
 * tree of PACT (a shared prompt and trace, then branches; arXiv 2606.16215) and decoding from a flat cache, and it
 * leaves out exactly the keys that are masked, so no work is spent on them.
 */
import { vjp } from "../autodiff.ts";
import { type BufferType, u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import type { Device } from "../device.ts";
import { AutodiffError, DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type HostView, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { mul } from "./arithmetic.ts";
import { take } from "./indexing.ts";
import { where } from "./logic.ts";
import { matmul } from "./matmul.ts";
import { copyOp, permute } from "./movement.ts";
import { sum } from "./reduce.ts";
import { requireFloat, softmax } from "./softmax.ts";

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
function visit(ranges: HostView, i: number, f: (j: number) => void): void {
  const r = ranges.offset + 4 * i;
  for (let j = ranges.data[r]; j < ranges.data[r + 1]; j++) f(j);
  for (let j = ranges.data[r + 2]; j < ranges.data[r + 3]; j++) f(j);
}

function dimensions(q: { shape: readonly number[] }, k: { shape: readonly number[] }) {
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

/** y_i = Σⱼ softmaxⱼ(q_i·k_j/√D)·v_j over the visible j, and ln Σ e^score per query and head;  backward: attentionBackwardOp */
export const attentionOp: Op<null> = {
  name: "attention",
  infer([q, k, v, queries]) {
    requireFloat("attention", q);
    if (k.dtype !== q.dtype || v.dtype !== q.dtype) {
      throw new DTypeError(
        `attention: q, k and v have dtypes ${q.dtype}, ${k.dtype} and ${v.dtype}, expected one. Convert with cast(k, "${q.dtype}").`,
      );
    }
    const { heads, size, kvHeads, group } = dimensions(q, k);
    const fits =
      q.shape.length === 3 &&
      k.shape.length === 3 &&
      formatShape(k.shape) === formatShape(v.shape) &&
      k.shape[2] === size;
    if (!fits || !Number.isInteger(group) || queries.shape[0] !== q.shape[0]) {
      throw new ShapeError(
        `attention: expected q [Nq, H, D], k and v [Nk, Hkv, D] with H a multiple of Hkv and spans for Nq and Nk; received ` +
          `q ${formatShape(q.shape)}, k ${formatShape(k.shape)}, v ${formatShape(v.shape)}, spans for ${queries.shape[0]} queries (H ${heads}, Hkv ${kvHeads}).`,
      );
    }
    return [
      { shape: q.shape, dtype: q.dtype },
      { shape: q.shape.slice(0, 2), dtype: q.dtype },
    ];
  },
  cpu([q, k, v, ranges], [y, lse]) {
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
        lse.data[i * heads + h] = top + Math.log(total);
        const sums = new Float64Array(size);
        let n = 0;
        visit(ranges, i, (j) => {
          const w = Math.exp(scores[n++] - top) / total;
          for (let d = 0; d < size; d++) sums[d] += w * v.data[v.offset + (j * kvHeads + g) * size + d];
        });
        y.data.set(sums, at);
      }
    }
  },
  webgpu([q, k, v, ranges], [y, lse]) {
    const { heads, size, kvHeads } = dimensions(q, k);
    return [
      {
        key: `attention:${size}`,
        source: () => ({
          buffers: [
            { name: "q", type: vectorType(size) },
            { name: "k", type: vectorType(size) },
            { name: "v", type: vectorType(size) },
            { name: "ranges", type: "i32" },
            { name: "y", type: vectorType(size), write: true },
            { name: "lse", type: "f32", write: true },
          ],
          params: [
            ...u32Params("offsetQ", "offsetK", "offsetV", "offsetR", "heads", "kvHeads"),
            { name: "scale", type: "f32" },
          ],
          main: `let row = i / p.heads;
let g = (i % p.heads) / (p.heads / p.kvHeads);
${loadVector("qv", "q", `p.offsetQ + i * ${size}u`, size, "p.scale")}
${declareVector("sum", size)}
var top = -3.0e38;
var total = 0.0;
let r = p.offsetR + 4u * row;
for (var part = 0u; part < 2u; part++) {
  let stop = u32(ranges[r + 2u * part + 1u]);
  for (var j = u32(ranges[r + 2u * part]); j < stop; j++) {
    let at = (j * p.kvHeads + g) * ${size}u;
    ${loadVector("kv", "k", "p.offsetK + at", size)}
    let s = ${dotVector("qv", "kv", size)};
    ${loadVector("vv", "v", "p.offsetV + at", size)}
    let higher = max(top, s);
    let keep = exp(top - higher);
    let w = exp(s - higher);
    total = total * keep + w;
    ${eachVector(size, (c) => `sum${c} = sum${c} * keep + w * vv${c};`)}
    top = higher;
  }
}
lse[i] = top + log(total);
${storeVector("y", `i * ${size}u`, "sum", size, "(1.0 / total)")}`,
        }),
        buffers: [q, k, v, ranges, y, lse],
        params: [q.offset, k.offset, v.offset, ranges.offset, heads, kvHeads, 1 / Math.sqrt(size)],
        count: q.shape[0] * heads,
      },
    ];
  },
  vjp({ inputs: [q, k, v, queries, keys], outputs: [y, lse] }, [dy]) {
    if (!dy) return [null, null, null, null, null];
    if (keys.shape[0] !== k.shape[0]) {
      throw new AutodiffError(
        "attention: these spans were made without gradients. Call attentionSpans(ranges, keyCount, { gradients: true }).",
      );
    }
    const delta = sum(mul(dy, y), { axes: -1 });
    return [
      ...applyAll(attentionBackwardOp, [q, k, v, queries, keys, lse, delta, aligned(dy)], null),
      null,
      null,
    ];
  },
};

/**
 * With p_ij = e^(s_ij − lse_i), dp_ij = dy_i·v_j, ds_ij = p_ij(dp_ij − δ_i), δ_i = dy_i·y_i:
 * dq_i = Σⱼ ds_ij·k_j/√D, dk_j = Σᵢ ds_ij·q_i/√D, dv_j = Σᵢ p_ij·dy_i (arXiv 2205.14135, algorithm 4). One kernel walks the
 * keys of each query, one the queries of each key; scores are recomputed, nothing is added concurrently.
 */
const attentionBackwardOp: Op<null> = {
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
    return [
      {
        key: `attentionBackward:q:${size}`,
        source: () => ({
          buffers: [
            ...["q", "k", "v", "dy"].map((name) => ({ name, type: vectorType(size) })),
            ...["lse", "delta"].map((name) => ({ name, type: "f32" as const })),
            { name: "ranges", type: "i32" as const },
            { name: "dq", type: vectorType(size), write: true },
          ],
          params: [
            ...u32Params(
              "offsetQ",
              "offsetK",
              "offsetV",
              "offsetL",
              "offsetE",
              "offsetD",
              "offsetR",
              "heads",
              "kvHeads",
            ),
            { name: "scale", type: "f32" },
          ],
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
        params: [
          q.offset,
          k.offset,
          v.offset,
          lse.offset,
          delta.offset,
          dy.offset,
          ranges.offset,
          heads,
          kvHeads,
          scale,
        ],
        count: q.shape[0] * heads,
      },
      {
        key: `attentionBackward:kv:${size}`,
        source: () => ({
          buffers: [
            ...["q", "k", "v", "dy"].map((name) => ({ name, type: vectorType(size) })),
            ...["lse", "delta"].map((name) => ({ name, type: "f32" as const })),
            { name: "ranges", type: "i32" as const },
            { name: "keys", type: "i32" as const },
            { name: "dk", type: vectorType(size), write: true },
            { name: "dv", type: vectorType(size), write: true },
          ],
          params: [
            ...u32Params(
              "offsetQ",
              "offsetK",
              "offsetV",
              "offsetL",
              "offsetE",
              "offsetD",
              "offsetR",
              "offsetS",
              "heads",
              "kvHeads",
            ),
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
        params: [
          q.offset,
          k.offset,
          v.offset,
          lse.offset,
          delta.offset,
          dy.offset,
          ranges.offset,
          keys.offset,
          heads,
          kvHeads,
          scale,
        ],
        count: k.shape[0] * kvHeads,
      },
    ];
  },
  // NOTE: y, lse and δ depend on q, k, v; the composed definition carries those paths, so the saved ones get none.
  vjp({ inputs: [q, k, v, queries, , , , dy] }, dys) {
    const mask = spanMask(queries, k.shape[0]);
    const backward = (q: Tensor, k: Tensor, v: Tensor, dy: Tensor) =>
      vjp((q, k, v) => [composedAttention(q, k, v, mask)], [q, k, v], [dy]).grads;
    const [gq, gk, gv, gdy] = vjp(backward, [q, k, v, dy], dys).grads;
    return [gq, gk, gv, null, null, null, null, gdy];
  },
};

// A head's vector of any size lives in registers, as vec4 pieces with zeros past the end. Sizes that are multiples of 4
// are read and written as vec4; others element by element.
const pieces = (size: number) => Math.ceil(size / 4);
const isQuad = (size: number) => size % 4 === 0;
const vectorType = (size: number): BufferType => (isQuad(size) ? "vec4<f32>" : "f32");
const eachVector = (size: number, f: (piece: number) => string) =>
  Array.from({ length: pieces(size) }, (_, c) => f(c)).join(" ");
const lanes = (size: number, c: number) => Math.min(4, size - 4 * c);

function loadVector(name: string, buffer: string, at: string, size: number, scale?: string): string {
  const parts = eachVector(size, (c) => {
    const values = [0, 1, 2, 3].map((l) =>
      l < lanes(size, c) ? `${buffer}[${name}At + ${4 * c + l}u]` : "0.0",
    );
    const value = isQuad(size) ? `${buffer}[${name}At / 4u + ${c}u]` : `vec4<f32>(${values.join(", ")})`;
    return `let ${name}${c} = ${value}${scale ? ` * ${scale}` : ""};`;
  });
  return `let ${name}At = ${at}; ${parts}`;
}

function declareVector(name: string, size: number): string {
  return eachVector(size, (c) => `var ${name}${c} = vec4<f32>();`);
}

function dotVector(a: string, b: string, size: number): string {
  return `(${Array.from({ length: pieces(size) }, (_, c) => `dot(${a}${c}, ${b}${c})`).join(" + ")})`;
}

function storeVector(buffer: string, at: string, name: string, size: number, scale?: string): string {
  const factor = scale ? ` * ${scale}` : "";
  return eachVector(size, (c) =>
    isQuad(size)
      ? `${buffer}[(${at}) / 4u + ${c}u] = ${name}${c}${factor};`
      : Array.from(
          { length: lanes(size, c) },
          (_, l) => `${buffer}[${at} + ${4 * c + l}u] = ${name}${c}.${"xyzw"[l]}${factor};`,
        ).join(" "),
  );
}

/** Packed copies of views whose offset is no multiple of 4 elements, so that vec4 reads are aligned. */
function aligned(x: Tensor): Tensor {
  return x.contiguous && x.offset % 4 === 0 ? x : apply(copyOp, [x], null);
}

/**
 * Scaled dot-product attention: q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D], scale 1/√D. Query head h reads
 * key/value head ⌊h·Hkv/H⌋ (grouped-query attention, arXiv 2305.13245). `spans` says what each query sees.
 *
 * @example
 * ```ts
 * // Two causal documents of lengths 2 and 1 in one row of 3 tokens.
 * const spans = attentionSpans(Int32Array.of(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 3), 3);
 * attention(q, k, v, spans);
 * ```
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, spans: AttentionSpans): Tensor {
  const { queries, keys, keyCount } = spans;
  if (keyCount !== k.shape[0]) {
    throw new ShapeError(
      `attention: the spans are for ${keyCount} keys, k has shape ${formatShape(k.shape)}. Call attentionSpans(ranges, ${k.shape[0]}).`,
    );
  }
  return scope(() => applyAll(attentionOp, [aligned(q), aligned(k), aligned(v), queries, keys], null)[0]);
}
