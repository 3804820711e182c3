/**
 * Drawing ids from logits by the Gumbel trick: fused with their log-probabilities (sampleTokens and sampleTogether, for decoding), or
 * ids alone (randomCategorical). Where a distribution is truncated, truncate.ts says at which logit.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import { computeType, isFloat } from "../dtype.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { requireFinite } from "../literals.ts";
import { applyAll, type HostView, type Op } from "../op.ts";
import { unrecorded } from "../recording.ts";
import { scope } from "../scope.ts";
import { broadcastShapes, formatShape, formatSpec, sameShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { reshape, slice } from "./movement.ts";
import { foldIn, type Key, refuseReplay, requireKey, threefry, threefryWgsl } from "./random.ts";
import { requireFloat } from "./softmax.ts";
import { cutoff } from "./truncate.ts";

/** Parts of the vocabulary that one row's sampling is split into on the GPU. */
const sampleParts = 16;

interface SampleAttrs {
  temperature: number;
}

/**
 * What `sampleTokens` draws from: softmax((logits + bias)/temperature), truncated. The steps are taken in this order, as in
 * Hugging Face transformers: bias, temperature, top-k, top-p of what is left, min-p.
 *
 * @example
 * ```ts
 * const options: SampleOptions = { temperature: 0.8, topP: 0.9 };
 * const { logProbs } = sampleTokens(tensor([[0, 9, 1]]), new Uint32Array(2), options);
 * await logProbs.data(); // → [0]
 * ```
 */
export interface SampleOptions {
  /** Divides the logits; 0 takes the likeliest id whatever the truncation. */
  temperature: number;
  /** Keeps the k likeliest ids, and those as likely as the last of them. Default: all. */
  topK?: number;
  /** Keeps an id if those likelier than it have less than this mass, so at least one; above 0, default 1: all. */
  topP?: number;
  /** Keeps ids at least this many times as likely as the likeliest; from 0 (default: all) to 1. */
  minP?: number;
  /** Added to the logits: a tensor [V], or one row for each of theirs [N, V]. −∞ forbids an id. */
  bias?: Tensor;
}

/** Uniform in (0, 1) from a row's key and the column: the noise of the Gumbel trick. */
function noise(keys: HostView, row: number, column: number): number {
  const at = keys.offset + 2 * row;
  return ((threefry([keys.data[at], keys.data[at + 1]], column, 1)[0] >>> 9) + 0.5) / 2 ** 23;
}

/**
 * id = argmaxⱼ (xⱼ/T + Gumbelⱼ), a sample of softmax(x/T) (Maddison et al., arXiv 1411.0030); T = 0: argmax xⱼ, the first of
 * equals. Second output [2, N]: the ids once more, as floats, and ln softmax(x/T)[id] (T = 0: at temperature 1), so that one
 * read tells both. With a third input, a threshold per row, only xⱼ ≥ threshold take part, in both. NaN is never drawn, and
 * makes its row's log-probability NaN.
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
      // Not f16, which holds no id above 2048 exactly.
      { shape: [2, x.shape[0]], dtype: computeType(x.dtype) },
    ];
  },
  cpu([x, keys, threshold], [ids, both], { temperature }) {
    const [rows, n] = x.shape;
    const scale = temperature > 0 ? 1 / temperature : 1;
    for (let r = 0; r < rows; r++) {
      const least = threshold ? threshold.data[threshold.offset + r] : Number.NEGATIVE_INFINITY;
      const scores = Float64Array.from({ length: n }, (_, j) => x.data[x.offset + r * n + j] * scale);
      const takesPart = (j: number) => !(x.data[x.offset + r * n + j] < least);
      let best = 0;
      let bestScore = Number.NEGATIVE_INFINITY;
      let top = Number.NEGATIVE_INFINITY;
      for (let j = 0; j < n; j++) {
        if (!takesPart(j)) continue;
        top = Math.max(top, scores[j]);
        const score = temperature > 0 ? scores[j] - Math.log(-Math.log(noise(keys, r, j))) : scores[j];
        if (score > bestScore) [best, bestScore] = [j, score];
      }
      let total = 0;
      for (let j = 0; j < n; j++) if (takesPart(j)) total += Math.exp(scores[j] - top);
      ids.data[r] = best;
      both.data[r] = best;
      both.data[rows + r] = scores[best] - top - Math.log(total);
    }
  },
  webgpu([x, keys, threshold], [ids, both], { temperature }) {
    const [rows, n] = x.shape;
    const scale = temperature > 0 ? 1 / temperature : 1;
    const nan = 0x7fc00000;
    // The vocabulary is walked in parts, or a batch of 64 rows would keep a single workgroup busy.
    const best = x.device.empty([rows, sampleParts], "i32");
    const partial = x.device.empty([rows, sampleParts, 3], "f32");
    const calls: KernelCall[] = [
      {
        key: threshold ? "sampleTokens:parts:truncated" : "sampleTokens:parts",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "keys", type: "u32" },
            ...(threshold ? [{ name: "threshold", type: "f32" as const }] : []),
            { name: "best", type: "i32", write: true },
            { name: "partial", type: "f32", write: true },
          ],
          params: [
            ...u32Params("offset", "offsetK", "offsetT", "n", "chunk", "greedy", "nan"),
            { name: "scale", type: "f32" },
          ],
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
var broken = false;
for (var j = start; j < stop; j++) {
  let logit = x[x0 + j];
  // Compilers may take numbers for NaN-free; bits they leave alone.
  if ((bitcast<u32>(logit) & 0x7fffffffu) > 0x7f800000u) { broken = true; continue; }
${threshold ? "  if (logit < threshold[p.offsetT + row]) { continue; }\n" : ""}  let s = logit * p.scale;
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
partial[3u * i + 2u] = select(total, bitcast<f32>(p.nan), broken);`,
        }),
        buffers: [x, keys, ...(threshold ? [threshold] : []), best, partial],
        params: [
          ...[x.offset, keys.offset, threshold?.offset ?? 0, n, Math.ceil(n / sampleParts)],
          ...[temperature > 0 ? 0 : 1, nan, scale],
        ],
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
            { name: "both", type: "f32", write: true },
          ],
          params: [...u32Params("offset", "n", "nan", "rows"), { name: "scale", type: "f32" }],
          main: `let first = i * ${sampleParts}u;
var id = best[first];
var bestScore = partial[3u * first];
var top = -3.0e38;
var total = 0.0;
var broken = false;
for (var part = first; part < first + ${sampleParts}u; part++) {
  if (partial[3u * part] > bestScore) { id = best[part]; bestScore = partial[3u * part]; }
  let weight = partial[3u * part + 2u];
  if ((bitcast<u32>(weight) & 0x7fffffffu) > 0x7f800000u) { broken = true; continue; }
  let higher = max(top, partial[3u * part + 1u]);
  total = total * exp(top - higher) + weight * exp(partial[3u * part + 1u] - higher);
  top = higher;
}
ids[i] = id;
both[i] = f32(id);
both[p.rows + i] = select(x[p.offset + i * p.n + u32(id)] * p.scale - top - log(total), bitcast<f32>(p.nan), broken);`,
        }),
        buffers: [x, best, partial, ids, both],
        params: [x.offset, n, nan, rows, scale],
        count: rows,
      },
    ];
    best.dispose();
    partial.dispose();
    return calls;
  },
};

/**
 * One token per row of logits [N, V], drawn with the row's own key (two words per row; captured functions take them as a
 * tensor u32 [N, 2]), so that a row's draw does not depend on its neighbours. `temperature` 0 takes the most likely token. Returns ids [N] i32 and their log-probabilities
 * [N] under the distribution drawn from, truncated and renormalised (greedy: softmax(logits + bias)).
 *
 * Truncation keeps logits at or above a threshold, so equally likely ids stay or go together; `topK` 1 with a unique
 * maximum has one choice. Devices agree on top-k and min-p exactly, on top-p except where the mass above an id equals
 * `topP` to rounding. NaN is never drawn and makes the log-probability of its row NaN; a row of −∞ gives id 0.
 *
 * @throws ShapeError unless logits are [N, V] with V > 0 and the bias is [V] or [N, V]; ValueError for a temperature that is
 * negative or not finite, a topK below 1 or no whole number, a topP outside (0, 1], a minP outside [0, 1] or another number
 * of key words; DTypeError for integers.
 * @example
 * ```ts
 * const logits = tensor([[0, 9, 1]]);
 * const { ids } = sampleTokens(logits, new Uint32Array(2), { temperature: 0 });
 * await ids.data(); // → [1]
 * const forbidden = tensor([0, -Infinity, 0]);
 * const drawn = sampleTokens(logits, new Uint32Array(2), { temperature: 1, topK: 1, bias: forbidden });
 * [await drawn.ids.item(), await drawn.logProbs.item()]; // → [2, 0]
 * sampleTokens(logits, new Uint32Array(2), { temperature: 1, topP: 0 }); // → throws ValueError
 * ```
 */
export function sampleTokens(
  logits: Tensor,
  keys: Uint32Array | Tensor,
  options: SampleOptions,
): { ids: Tensor; logProbs: Tensor } {
  return unrecorded(() =>
    scope(() => {
      const { ids, both } = sampleTogether(logits, keys, options);
      const own = reshape(slice(both, [1, 0], [2, ids.size]), [ids.size]); // [N]
      return { ids, logProbs: cast(own, logits.dtype) };
    }),
  );
}

/**
 * `sampleTokens` with one tensor for a single read: `both` [2, N] holds the ids as floats, exact up to 2²⁴, then their
 * log-probabilities. `ids` [N] i32 are for the device's next step.
 * @throws what `sampleTokens` throws
 * @example
 * ```ts
 * await sampleTogether(tensor([[0, 90, 1]]), new Uint32Array(2), { temperature: 1 }).both.data(); // → [1, 0]
 * ```
 */
export function sampleTogether(
  logits: Tensor,
  keys: Uint32Array | Tensor,
  options: SampleOptions,
): { ids: Tensor; both: Tensor } {
  requireTensors("sampleTokens", ["logits"], [logits]);
  requireOptions("sampleTokens", options, ["temperature", "topK", "topP", "minP", "bias"]);
  checkNumbers(options);
  const words = keys instanceof Tensor ? keys.size : keys.length;
  if (words !== 2 * logits.shape[0]) {
    throw new ValueError(
      `sampleTokens: keys has ${words} words, expected ${2 * logits.shape[0]} for ${logits.shape[0]} rows of logits, two each. ` +
        "Fold the row into a key: Uint32Array.from(rows.flatMap((row) => foldIn(k, row))).",
    );
  }
  if (keys instanceof Tensor) {
    requireTensors("sampleTokens", ["logits", "keys"], [logits, keys]);
    if (keys.dtype !== "u32")
      throw new DTypeError(
        `sampleTokens: keys is ${formatSpec(keys)}, expected u32. Make it of whole words: tensor(Uint32Array.from(words)).`,
      );
  } else if (options.temperature > 0) refuseReplay("sampleTokens");
  const { temperature, topK = Number.POSITIVE_INFINITY, topP = 1, minP = 0, bias } = options;
  return unrecorded(() =>
    scope(() => {
      const shape = [words / 2, 2];
      const onDevice =
        keys instanceof Tensor ? reshape(keys, shape) : tensor(keys, { shape, device: logits.device });
      const x = bias === undefined ? logits : biased(logits, bias);
      const inputs = [x, onDevice];
      if (temperature > 0 && x.rank === 2 && x.size > 0 && isFloat(x.dtype)) {
        const threshold = cutoff(x.dtype === "f16" ? cast(x, "f32") : x, temperature, { topK, topP, minP });
        if (threshold) inputs.push(threshold);
      }
      const [ids, both] = applyAll(sampleTokensOp, inputs, { temperature });
      return { ids, both };
    }),
  );
}

function biased(logits: Tensor, bias: Tensor): Tensor {
  requireTensors("sampleTokens", ["logits", "bias"], [logits, bias]);
  const fits = bias.rank >= 1 && bias.rank <= logits.rank && bias.shape.at(-1) === logits.shape.at(-1);
  if (!fits || !sameShape(broadcastShapes("sampleTokens", [logits.shape, bias.shape]), logits.shape)) {
    throw new ShapeError(
      `sampleTokens: bias is ${formatSpec(bias)}, logits is ${formatSpec(logits)}; expected one bias per id, [V] or [N, V]. ` +
        `Make one: zeros([${logits.shape.at(-1)}]).`,
    );
  }
  return add(logits, cast(bias, logits.dtype));
}

function checkNumbers({ temperature, topK, topP, minP }: SampleOptions): void {
  requireFinite("sampleTokens", "temperature", temperature);
  if (temperature < 0)
    throw new ValueError(
      `sampleTokens: temperature is ${temperature}, expected at least 0. For the likeliest token pass { temperature: 0 }.`,
    );
  const refuse = (name: string, value: number, expected: string, fix: string) => {
    throw new ValueError(`sampleTokens: ${name} is ${value}, expected ${expected}. ${fix}.`);
  };
  if (topK !== undefined && !(topK >= 1 && (Number.isInteger(topK) || topK === Number.POSITIVE_INFINITY)))
    refuse("topK", topK, "a whole number of at least 1", "To keep all ids leave it out");
  if (topP !== undefined && !(topP > 0 && topP <= 1))
    refuse("topP", topP, "a number above 0 and at most 1", "To keep only the likeliest id pass { topK: 1 }");
  if (minP !== undefined && !(minP >= 0 && minP <= 1))
    refuse("minP", minP, "a number from 0 to 1", "To keep all ids leave it out");
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
