/**
 * Random numbers without state: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011) turns (key, counter) into bits. The bits are the same on every device; equal keys give equal
 * numbers, so use a new key (`foldIn`) for each use. Draws from logits are in sampling.ts, dropout in dropout.ts.
 */
import { describe, requireDType, requireOptions } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { activeRecording } from "../capture/active.ts";
import { type CreateOptions, checkShape, tensor } from "../create.ts";
import { defaultDevice } from "../device.ts";
import { convert, type DType, isFloat, type TypedArray } from "../dtype.ts";
import { CaptureError, DTypeError, ValueError } from "../errors.ts";
import { narrowF16, roundToOdd, widenF16 } from "../half.ts";
import { requireFinite } from "../literals.ts";
import { apply, type Op } from "../op.ts";
import { unrecorded } from "../recording.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

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
export const threefryWgsl = `fn threefry(k: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
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

/** Checks that `k` is a key and not, say, a seed. */
export function requireKey(op: string, k: unknown): asserts k is Key {
  if (Array.isArray(k) && k.length === 2 && k.every((word) => Number.isInteger(word))) return;
  const fix = Number.isSafeInteger(k) ? `key(${k})` : "key(5)";
  throw new ValueError(`${op}: the key is ${describe(k)}, expected two words. Make one of a seed: ${fix}.`);
}

/**
 * Checks that nothing is captured: a key is a number of the host, and a replay would draw with it again. `use` is what to do
 * with words that are passed in.
 */
export function refuseReplay(op: string, use = ""): void {
  if (!activeRecording()) return;
  throw new CaptureError(
    `${op}: a function is being captured, expected no draw from a key: every replay would draw the same numbers. ` +
      `Draw outside and pass the result in: step(x, randomBits(k, x.shape))${use}.`,
  );
}

/** Uniform in [0, 1) from the top 24 bits of a word: every such number is exact in f32. */
const unit = (word: number) => (word >>> 8) / 2 ** 24;

/**
 * The stream named by a whole number, a seed: its 64 bits.
 *
 * @throws ValueError if the seed is no whole number.
 * @example
 * ```ts
 * key(5); // → [0, 5]
 * ```
 */
export function key(seed: number | bigint): Key {
  if (typeof seed !== "bigint" && !Number.isSafeInteger(seed)) {
    const [what, fix] =
      typeof seed === "number"
        ? [seed, "Round it: key(Math.floor(seed))"]
        : [describe(seed), "Any will do: key(5)"];
    throw new ValueError(`key: seed is ${what}, expected a whole number (number or bigint). ${fix}.`);
  }
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

/**
 * A new stream for the n-th use of `k`, independent of `k` and of other n.
 *
 * @throws ValueError if n is no whole number of at least 0.
 * @example
 * ```ts
 * const keys = [0, 1].map((step) => foldIn(key(5), step));
 * keys[0][0] === keys[1][0]; // → false
 * ```
 */
export function foldIn(k: Key, n: number): Key {
  requireKey("foldIn", k);
  if (!Number.isSafeInteger(n) || n < 0)
    throw new ValueError(
      `foldIn: n is ${n}, expected a whole number of at least 0. Count steps or rows from 0: foldIn(k, 0).`,
    );
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

/**
 * Random u32 words: element i is the first word of Threefry-2x32-20 at counter (i, 0), the same on every device.
 *
 * @throws ShapeError for a shape that is none.
 * @example
 * ```ts
 * randomBits(key(1), [2, 3]); // → u32[2, 3]
 * ```
 */
export function randomBits(k: Key, shape: Shape, options: Pick<CreateOptions, "device"> = {}): Tensor {
  requireKey("randomBits", k);
  refuseReplay("randomBits");
  checkShape("randomBits", shape);
  const device = options.device ?? defaultDevice();
  using anchor = device.empty([1], "u32");
  return unrecorded(() => apply(randomBitsOp, [anchor], { key: k, shape }));
}

/** Numbers made on the host, as any device would from the same words; meant for weights and noise, not for gigabytes. */
function fromWords(
  name: string,
  k: Key,
  shape: Shape,
  options: CreateOptions,
  value: (words: [number, number]) => number,
  factor = 1,
): Tensor {
  requireKey(name, k);
  refuseReplay(name);
  checkShape(name, shape);
  const dtype = options.dtype ?? "f32";
  requireDType(name, dtype);
  if (!isFloat(dtype)) {
    throw new DTypeError(
      `${name}: dtype is ${dtype}, expected a float. For whole numbers use randomBits or randomPermutation.`,
    );
  }
  const device = options.device ?? defaultDevice();
  // Before the host makes as many numbers as the device could never hold.
  device.assertFits(name, shape, dtype);
  const values = Float64Array.from({ length: sizeOf(shape) }, (_, i) => value(threefry(k, i, 0)));
  const drawn = factor === 1 ? values : scaled(values, factor, dtype);
  return tensor(drawn, { shape, dtype, device });
}

/** The products that `mul` gives in `dtype`: both factors rounded to it, then their product. */
function scaled(values: Float64Array, factor: number, dtype: DType): TypedArray {
  const held = (numbers: ArrayLike<number>) =>
    dtype === "f16" ? widenF16(narrowF16(roundToOdd(numbers))) : convert(dtype, numbers);
  const [by] = held([factor]);
  return held(values).map((v) => v * by);
}

/**
 * Uniform numbers in [low, high), default [0, 1), the same on every device: low + (high − low)·u with 24 random bits in
 * u. As in NumPy, rounding to the dtype can reach `high` unless it is 1 above a `low` of 0.
 *
 * @throws ValueError unless low < high, both finite; DTypeError for integers; ShapeError for a shape that is none.
 * @example
 * ```ts
 * const x = randomUniform(key(1), [1000], { low: -1, high: 1 });
 * await less(abs(mean(x)), 0.1).item(); // → 1
 * ```
 */
export function randomUniform(
  k: Key,
  shape: Shape,
  options: CreateOptions & { low?: number; high?: number } = {},
): Tensor {
  requireOptions("randomUniform", options, ["low", "high", "dtype", "device"]);
  const { low = 0, high = 1 } = options;
  requireFinite("randomUniform", "low", low);
  requireFinite("randomUniform", "high", high);
  if (low >= high) {
    throw new ValueError(
      `randomUniform: low is ${low}, high is ${high}; expected low < high. Name both: { low: 0, high: 1 }.`,
    );
  }
  return fromWords("randomUniform", k, shape, options, ([a]) => low + (high - low) * unit(a));
}

/**
 * Normal numbers with mean 0 and a deviation (default 1), the same on every device: √(−2 ln u)·cos 2πv (Box and Muller,
 * 1958) of two words per element. With 24 bits in u, none is beyond 5.77 deviations. With a deviation, the numbers have the
 * bits of `mul(randomNormal(k, shape), deviation)`.
 *
 * @throws ValueError for a deviation that is no finite number; DTypeError for integers; ShapeError for a shape that is none.
 * @example
 * ```ts
 * const x = randomNormal(key(1), [1000]);
 * await less(abs(mean(x)), 0.15).item(); // → 1
 * ```
 */
export function randomNormal(
  k: Key,
  shape: Shape,
  options: CreateOptions & { deviation?: number } = {},
): Tensor {
  requireOptions("randomNormal", options, ["deviation", "dtype", "device"]);
  const { deviation = 1 } = options;
  requireFinite("randomNormal", "deviation", deviation);
  const value = ([a, b]: [number, number]) => {
    const u = unit(a) + 2 ** -24; // in (0, 1]
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * unit(b));
  };
  return fromWords("randomNormal", k, shape, options, value, deviation);
}

/** Counter word that keeps a permutation's draws apart from randomBits (0) and sampleTokens (1) under one key. */
const permutationStream = 2;

/**
 * The numbers 0 … n − 1 in random order: i32 [n], the same on every device. Fisher and Yates' shuffle (Durstenfeld,
 * CACM 1964); a word that would favour some places (Threefry's range is no multiple of them) is drawn again, so that
 * each order is as likely as the words are uniform.
 *
 * @throws ValueError unless n is a whole number from 0 to 2³¹ − 1.
 * @example
 * ```ts
 * await sum(randomPermutation(key(1), 5)).item(); // → 10
 * ```
 */
export function randomPermutation(k: Key, n: number, options: Pick<CreateOptions, "device"> = {}): Tensor {
  requireKey("randomPermutation", k);
  refuseReplay("randomPermutation");
  if (!Number.isInteger(n) || n < 0 || n >= 2 ** 31) {
    throw new ValueError(
      `randomPermutation: n is ${n}, expected a whole number from 0 to 2147483647. Pass the number of elements: x.shape[0].`,
    );
  }
  const device = options.device ?? defaultDevice();
  device.assertFits("randomPermutation", [n], "i32");
  let counter = 0;
  const below = (places: number) => {
    const fair = 2 ** 32 - (2 ** 32 % places);
    for (;;) {
      const [word] = threefry(k, counter++, permutationStream);
      if (word < fair) return word % places;
    }
  };
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return tensor(order, { device });
}
