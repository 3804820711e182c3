/**
 * Drawing ids from logits by the Gumbel trick: fused with their log-probabilities (sampleTokens, for decoding), or ids
 * alone (randomCategorical).
 */
import { requireTensors } from "../arguments.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import { ShapeError, ValueError } from "../errors.ts";
import { requireFinite } from "../literals.ts";
import { applyAll, type HostView, type Op } from "../op.ts";
import { unrecorded } from "../recording.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { reshape } from "./movement.ts";
import { foldIn, type Key, requireKey, threefry, threefryWgsl } from "./random.ts";
import { requireFloat } from "./softmax.ts";

/** Parts of the vocabulary that one row's sampling is split into on the GPU. */
const sampleParts = 16;

interface SampleAttrs {
  temperature: number;
}

/** Uniform in (0, 1) from a row's key and the column: the noise of the Gumbel trick. */
function noise(keys: HostView, row: number, column: number): number {
  const at = keys.offset + 2 * row;
  return ((threefry([keys.data[at], keys.data[at + 1]], column, 1)[0] >>> 9) + 0.5) / 2 ** 23;
}

/**
 * id = argmaxⱼ (xⱼ/T + Gumbelⱼ), a sample of softmax(x/T) (Maddison et al., arXiv 1411.0030); T = 0: argmax xⱼ, the first of
 * equals. Second output: ln softmax(x/T)[id] (T = 0: at temperature 1).
 */
export const sampleTokensOp: Op<SampleAttrs> = {
  name: "sampleTokens",
  infer([x]) {
    requireFloat("sampleTokens", x);
    if (x.shape.length !== 2 || x.shape[1] === 0) {
      throw new ShapeError(
        `sampleTokens: logits is ${formatShape(x.shape)}, expected [N, V], one row per token to draw. ` +
          "Fold other axes into N: reshape(logits, [-1, V]).",
      );
    }
    return [
      { shape: [x.shape[0]], dtype: "i32" },
      { shape: [x.shape[0]], dtype: x.dtype },
    ];
  },
  cpu([x, keys], [ids, logProbs], { temperature }) {
    const [rows, n] = x.shape;
    const scale = temperature > 0 ? 1 / temperature : 1;
    for (let r = 0; r < rows; r++) {
      let best = 0;
      let bestScore = Number.NEGATIVE_INFINITY;
      let top = Number.NEGATIVE_INFINITY;
      for (let j = 0; j < n; j++) {
        const s = x.data[x.offset + r * n + j] * scale;
        top = Math.max(top, s);
        const score = temperature > 0 ? s - Math.log(-Math.log(noise(keys, r, j))) : s;
        if (score > bestScore) [best, bestScore] = [j, score];
      }
      let total = 0;
      for (let j = 0; j < n; j++) total += Math.exp(x.data[x.offset + r * n + j] * scale - top);
      ids.data[r] = best;
      logProbs.data[r] = x.data[x.offset + r * n + best] * scale - top - Math.log(total);
    }
  },
  webgpu([x, keys], [ids, logProbs], { temperature }) {
    const [rows, n] = x.shape;
    const scale = temperature > 0 ? 1 / temperature : 1;
    // The vocabulary is walked in parts, or a batch of 64 rows would keep a single workgroup busy.
    const best = x.device.empty([rows, sampleParts], "i32");
    const partial = x.device.empty([rows, sampleParts, 3], "f32");
    const calls: KernelCall[] = [
      {
        key: "sampleTokens:parts",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "keys", type: "u32" },
            { name: "best", type: "i32", write: true },
            { name: "partial", type: "f32", write: true },
          ],
          params: [...u32Params("offset", "offsetK", "n", "chunk", "greedy"), { name: "scale", type: "f32" }],
          helpers: threefryWgsl,
          main: `let row = i / ${sampleParts}u;
let start = (i % ${sampleParts}u) * p.chunk;
let stop = min(start + p.chunk, p.n);
let x0 = p.offset + row * p.n;
let k = vec2<u32>(keys[p.offsetK + 2u * row], keys[p.offsetK + 2u * row + 1u]);
var id = 0u;
var bestScore = -3.0e38;
var top = -3.0e38;
var total = 0.0;
for (var j = start; j < stop; j++) {
  let s = x[x0 + j] * p.scale;
  var score = s;
  if (p.greedy == 0u) {
    let u = (f32(threefry(k, vec2<u32>(j, 1u)).x >> 9u) + 0.5) / 8388608.0;
    score = s - log(-log(u));
  }
  if (score > bestScore) { id = j; bestScore = score; }
  let higher = max(top, s);
  total = total * exp(top - higher) + exp(s - higher);
  top = higher;
}
best[i] = i32(id);
partial[3u * i] = bestScore;
partial[3u * i + 1u] = top;
partial[3u * i + 2u] = total;`,
        }),
        buffers: [x, keys, best, partial],
        params: [x.offset, keys.offset, n, Math.ceil(n / sampleParts), temperature > 0 ? 0 : 1, scale],
        count: rows * sampleParts,
      },
      {
        key: "sampleTokens:merge",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "best", type: "i32" },
            { name: "partial", type: "f32" },
            { name: "ids", type: "i32", write: true },
            { name: "logProbs", type: "f32", write: true },
          ],
          params: [...u32Params("offset", "n"), { name: "scale", type: "f32" }],
          main: `let first = i * ${sampleParts}u;
var id = best[first];
var bestScore = partial[3u * first];
var top = partial[3u * first + 1u];
var total = partial[3u * first + 2u];
for (var part = first + 1u; part < first + ${sampleParts}u; part++) {
  if (partial[3u * part] > bestScore) { id = best[part]; bestScore = partial[3u * part]; }
  let higher = max(top, partial[3u * part + 1u]);
  total = total * exp(top - higher) + partial[3u * part + 2u] * exp(partial[3u * part + 1u] - higher);
  top = higher;
}
ids[i] = id;
logProbs[i] = x[p.offset + i * p.n + u32(id)] * p.scale - top - log(total);`,
        }),
        buffers: [x, best, partial, ids, logProbs],
        params: [x.offset, n, scale],
        count: rows,
      },
    ];
    best.dispose();
    partial.dispose();
    return calls;
  },
};

/**
 * One token per row of logits [R, V], drawn with the row's own key (two words per row), so that a row's draw does not
 * depend on its neighbours. `temperature` 0 takes the most likely token. Returns ids [R] i32 and their log-probabilities
 * [R] at that temperature (at 1 when greedy).
 *
 * @throws ShapeError unless logits are [R, V] with V > 0, ValueError for a temperature that is negative or not finite or
 * another number of key words, DTypeError for integers.
 * @example
 * ```ts
 * const { ids } = sampleTokens(tensor([[0, 9, 1]]), new Uint32Array(2), { temperature: 0 });
 * await ids.data(); // → [1]
 * ```
 */
export function sampleTokens(
  logits: Tensor,
  keys: Uint32Array,
  options: SampleAttrs,
): { ids: Tensor; logProbs: Tensor } {
  requireTensors("sampleTokens", ["logits"], [logits]);
  requireFinite("sampleTokens", "temperature", options.temperature);
  if (options.temperature < 0)
    throw new ValueError(
      `sampleTokens: temperature is ${options.temperature}, expected at least 0. For the likeliest token pass { temperature: 0 }.`,
    );
  if (keys.length !== 2 * logits.shape[0]) {
    throw new ValueError(
      `sampleTokens: keys has ${keys.length} words, expected ${2 * logits.shape[0]} for ${logits.shape[0]} rows of logits, two each. ` +
        "Fold the row into a key: Uint32Array.from(rows.flatMap((row) => foldIn(k, row))).",
    );
  }
  using onDevice = tensor(keys, { shape: [keys.length / 2, 2], device: logits.device });
  const [ids, logProbs] = unrecorded(() => applyAll(sampleTokensOp, [logits, onDevice], options));
  return { ids, logProbs };
}

/**
 * Ids drawn from softmax(logits) over the last axis: logits [..., V] → i32 [...]. Row r (counted through the leading
 * axes) takes the draw of sampleTokens with the key foldIn(k, r): argmaxⱼ (xⱼ + Gumbelⱼ). The noise is the same on every
 * device, so ids differ only where two sums are equal to within rounding. Logits of −∞ are never drawn; a row of nothing
 * else gives 0. No gradient.
 *
 * @throws ShapeError for a scalar or V = 0, DTypeError for integers.
 * @example
 * ```ts
 * await randomCategorical(key(1), tensor([[-Infinity, 0], [0, -Infinity]])).data(); // → [1, 0]
 * ```
 */
export function randomCategorical(k: Key, logits: Tensor): Tensor {
  requireKey("randomCategorical", k);
  requireTensors("randomCategorical", ["logits"], [logits]);
  const classes = logits.shape.at(-1) ?? 0;
  if (classes === 0) {
    throw new ShapeError(
      `randomCategorical: logits is ${formatSpec(logits)}, expected [..., V] with V of at least 1. Give each row its classes: reshape(logits, [-1, V]).`,
    );
  }
  requireFloat("randomCategorical", logits);
  const rows = logits.size / classes;
  const keys = Uint32Array.from(Array.from({ length: rows }, (_, r) => foldIn(k, r)).flat());
  return unrecorded(() =>
    scope(() => {
      const { ids } = sampleTokens(reshape(logits, [rows, classes]), keys, { temperature: 1 });
      return reshape(ids, logits.shape.slice(0, -1));
    }),
  );
}
