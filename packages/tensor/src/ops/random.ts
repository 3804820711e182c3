/**
 * Random numbers without state: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011) turns (key, counter) into bits. The bits are the same on every device; equal keys give equal
 * numbers, so use a new key (`foldIn`) for each use.
 */
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { type CreateOptions, checkShape, tensor } from "../create.ts";
import { defaultDevice } from "../device.ts";
import { ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type HostView, type Op, unrecorded } from "../op.ts";
import { formatShape, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { requireFloat } from "./softmax.ts";

/** 64 bits that name a stream of random numbers. */
export type Key = readonly [number, number];

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** Threefry-2x32-20 of one counter. */
export function threefry([k0, k1]: Key, c0: number, c1: number): [number, number] {
  const schedule = [k0, k1, (k0 ^ k1 ^ 0x1bd11bda) >>> 0];
  let x = (c0 + k0) >>> 0;
  let y = (c1 + k1) >>> 0;
  for (let round = 0; round < 20; round++) {
    const r = rotations[round % 8];
    x = (x + y) >>> 0;
    y = (((y << r) | (y >>> (32 - r))) ^ x) >>> 0;
    if (round % 4 === 3) {
      const s = (round + 1) / 4;
      x = (x + schedule[s % 3]) >>> 0;
      y = (y + schedule[(s + 1) % 3] + s) >>> 0;
    }
  }
  return [x, y];
}

/** The same in WGSL, unrolled: indexing small arrays at run time costs more than the cipher itself on software adapters. */
const threefryWgsl = `fn threefry(k: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
  let k2 = k.x ^ k.y ^ 0x1bd11bdau;
  var x = c.x + k.x;
  var y = c.y + k.y;
${Array.from({ length: 20 }, (_, round) => {
  const r = rotations[round % 8];
  const mix = `  x += y; y = ((y << ${r}u) | (y >> ${32 - r}u)) ^ x;`;
  const s = (round + 1) / 4;
  const word = (i: number) => ["k.x", "k.y", "k2"][i % 3];
  return round % 4 === 3 ? `${mix} x += ${word(s)}; y += ${word(s + 1)} + ${s}u;` : mix;
}).join("\n")}
  return vec2<u32>(x, y);
}`;

/** The stream named by a whole number: a seed. */
export function key(seed: number | bigint): Key {
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
    throw new ValueError(`key: seed ${seed} is no whole number; pass an integer or a bigint.`);
  }
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

/** A new stream for the n-th use of `k`, independent of `k` and of other n. */
export function foldIn(k: Key, n: number): Key {
  if (!Number.isSafeInteger(n) || n < 0)
    throw new ValueError(`foldIn: ${n} is no whole number of at least 0.`);
  return threefry(k, Math.floor(n / 2 ** 32), n >>> 0);
}

/** u32 bits: element i is the first word of threefry(key, (i, 0)). */
export const randomBitsOp: Op<{ key: Key; shape: Shape }> = {
  name: "randomBits",
  // NOTE: the input only says where to compute; random numbers depend on no tensor.
  infer: (_inputs, { shape }) => [{ shape, dtype: "u32" }],
  cpu(_inputs, [y], { key: k }) {
    for (let i = 0; i < y.data.length; i++) y.data[i] = threefry(k, i, 0)[0];
  },
  webgpu(_inputs, [y], { key: k }) {
    return [
      {
        key: "randomBits",
        source: () => ({
          buffers: [{ name: "y", type: "u32", write: true }],
          params: u32Params("k0", "k1"),
          helpers: threefryWgsl,
          main: "y[i] = threefry(vec2<u32>(p.k0, p.k1), vec2<u32>(i, 0u)).x;",
        }),
        buffers: [y],
        params: [k[0], k[1]],
        count: y.size,
      },
    ];
  },
};

/** Random 32-bit words. */
export function randomBits(k: Key, shape: Shape, options: CreateOptions = {}): Tensor {
  checkShape("randomBits", shape);
  const device = options.device ?? defaultDevice();
  using anchor = device.empty([1], "u32");
  return unrecorded(() => apply(randomBitsOp, [anchor], { key: k, shape }));
}

/** Uniform numbers in [0, 1): 24 random bits each. */
export function randomUniform(k: Key, shape: Shape, options: CreateOptions = {}): Tensor {
  // The host computes the words' top 24 bits exactly as any device would; small tensors (weights, noise) only.
  const values = Float64Array.from(
    { length: sizeOf(shape) },
    (_, i) => (threefry(k, i, 0)[0] >>> 8) / 2 ** 24,
  );
  return tensor(values, { shape, dtype: options.dtype ?? "f32", device: options.device });
}

/** Normal numbers with mean 0 and deviation 1 (Box–Muller on two words per element), the same on every device. */
export function randomNormal(k: Key, shape: Shape, options: CreateOptions = {}): Tensor {
  const values = Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    const [a, b] = threefry(k, i, 0);
    return (
      Math.sqrt(-2 * Math.log(((a >>> 8) + 1) / 2 ** 24)) * Math.cos((2 * Math.PI * (b >>> 8)) / 2 ** 24)
    );
  });
  return tensor(values, { shape, dtype: options.dtype ?? "f32", device: options.device });
}

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
        `sampleTokens: expected logits [rows, vocabulary], received ${formatShape(x.shape)}. Bring them there with reshape.`,
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
 */
export function sampleTokens(
  logits: Tensor,
  keys: Uint32Array,
  options: SampleAttrs,
): { ids: Tensor; logProbs: Tensor } {
  if (!(options.temperature >= 0))
    throw new ValueError(`sampleTokens: temperature ${options.temperature} must be at least 0.`);
  if (keys.length !== 2 * logits.shape[0]) {
    throw new ValueError(
      `sampleTokens: expected ${2 * logits.shape[0]} key words for ${logits.shape[0]} rows, received ${keys.length}.`,
    );
  }
  using onDevice = tensor(keys, { shape: [keys.length / 2, 2], device: logits.device });
  const [ids, logProbs] = unrecorded(() => applyAll(sampleTokensOp, [logits, onDevice], options));
  return { ids, logProbs };
}
