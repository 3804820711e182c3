/** Threefry against its published vectors, streams, distributions, and sampling against softmax. */
import {
  createDevice,
  foldIn,
  type Key,
  key,
  logProbGather,
  mul,
  randomBits,
  randomNormal,
  randomUniform,
  sampleTokens,
  tensor,
} from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { threefry } from "../../packages/tensor/src/ops/random.ts";
import { Draw } from "../helpers/draw.ts";
import { chiSquare } from "../helpers/statistics.ts";

const device = await createDevice({ device: "cpu" });

/** One key per row, from one seed. */
function rowKeys(seed: number, rows: number): Uint32Array {
  return Uint32Array.from(Array.from({ length: rows }, (_, r) => foldIn(key(seed), r)).flat());
}

describe("threefry2x32 with 20 rounds", () => {
  // Known answers of the Random123 distribution (kat_vectors), Salmon et al., SC 2011.
  test.each([
    ["zeros", [0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    ["ones", [0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    ["digits of pi", [0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
  ] as const)("%s", (_name, k, [c0, c1], expected) => {
    expect(threefry(k, c0, c1)).toEqual(expected);
  });

  test("randomBits is the first word at counters (i, 0)", async () => {
    const k = key(42);
    const bits = await randomBits(k, [2, 3], { device }).data();
    expect([...bits]).toEqual([0, 1, 2, 3, 4, 5].map((i) => threefry(k, i, 0)[0]));
  });
});

describe("keys", () => {
  test("a seed's 64 bits are the key, high word first", () => {
    expect(key(5)).toEqual([0, 5]);
    expect(key(2 ** 32 + 7)).toEqual([1, 7]);
    expect(key(0x123456789abcdef0n)).toEqual([0x12345678, 0x9abcdef0]);
    expect(key(-1)).toEqual([0xffffffff, 0xffffffff]);
  });

  test("folding in different numbers, or the same in another order, gives different streams", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(), fc.nat(), (seed, a, b) => {
        const k = key(seed);
        expect(foldIn(k, a)).toEqual(foldIn(k, a));
        expect(foldIn(k, a)).not.toEqual(k);
        if (a !== b) {
          expect(foldIn(k, a)).not.toEqual(foldIn(k, b));
          expect(foldIn(foldIn(k, a), b)).not.toEqual(foldIn(foldIn(k, b), a));
        }
      }),
    );
    expect(foldIn(key(1), 2 ** 40)).not.toEqual(foldIn(key(1), 0));
  });

  test("refuse what is no whole number", () => {
    expect(() => key(0.5)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: key: seed is 0.5, expected a whole number (number or bigint). Round it: key(Math.floor(seed)).]`,
    );
    expect(() => key(Number.NaN)).toThrow(/expected a whole number/);
    expect(() => foldIn(key(0), -1)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: foldIn: n is -1, expected a whole number of at least 0. Count steps or rows from 0: foldIn(k, 0).]`,
    );
  });
});

describe("distributions", () => {
  const n = 20_000;
  const moments = (x: ArrayLike<number>, power: number, centre = 0) =>
    Array.from(x, (v) => (v - centre) ** power).reduce((a, b) => a + b, 0) / x.length;

  test("uniform numbers fill [0, 1) evenly", async () => {
    const x = await randomUniform(key(1), [n], { device }).data();
    for (const v of x) expect(v >= 0 && v < 1).toBe(true);
    // Five standard errors of each mean.
    expect(Math.abs(moments(x, 1) - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(moments(x, 2, 0.5) - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
    const buckets = new Array(16).fill(0);
    for (const v of x) buckets[Math.floor(v * 16)]++;
    const chi = chiSquare(buckets, new Array(16).fill(n / 16));
    expect(chi).toBeLessThan(37.7); // 15 degrees of freedom, p = 0.001
  });

  test("normal numbers have mean 0, variance 1, no skew, kurtosis 3", async () => {
    const x = await randomNormal(key(2), [n], { device, dtype: "f64" }).data();
    const error = 5 / Math.sqrt(n);
    expect(Math.abs(moments(x, 1))).toBeLessThan(error);
    expect(Math.abs(moments(x, 2) - 1)).toBeLessThan(error * Math.sqrt(2));
    expect(Math.abs(moments(x, 3))).toBeLessThan(error * Math.sqrt(15));
    expect(Math.abs(moments(x, 4) - 3)).toBeLessThan(error * Math.sqrt(96));
  });

  test.each(["f32", "f64"] as const)(
    "normal numbers of a deviation are drawn and multiplied ones: %s",
    async (dtype) => {
      const options = { dtype, device };
      for (const deviation of [0.02, 0.02 / Math.sqrt(56), -1, 0]) {
        const drawn = await randomNormal(key(3), [3001], { deviation, ...options }).data();
        expect(drawn).toEqual(await mul(randomNormal(key(3), [3001], options), deviation).data());
      }
      expect(() => randomNormal(key(3), [2], { deviation: Number.NaN, ...options })).toThrow(
        /randomNormal: deviation is NaN, expected a finite number/,
      );
    },
  );

  test("equal keys give equal numbers, other keys others, and a longer tensor starts the same", async () => {
    const draw = async (k: Key, size: number) => [...(await randomNormal(k, [size], { device }).data())];
    expect(await draw(key(3), 8)).toEqual(await draw(key(3), 8));
    expect((await draw(key(3), 8)).slice(0, 5)).toEqual(await draw(key(3), 5));
    expect(await draw(key(4), 8)).not.toEqual(await draw(key(3), 8));
  });
});

describe("sampleTokens", () => {
  const logits = [2, 0, -1, 1.5, -3, 0.5, 0];
  const rows = 6000;
  const table = (values: number[]) =>
    tensor(
      Float64Array.from({ length: rows * values.length }, (_, i) => values[i % values.length]),
      {
        shape: [rows, values.length],
        device,
      },
    );

  test.each([0.5, 1, 2])("at temperature %s draws ids as often as softmax says", async (temperature) => {
    const { ids } = sampleTokens(table(logits), rowKeys(7, rows), { temperature });
    const counts = new Array(logits.length).fill(0);
    for (const id of await ids.data()) counts[id]++;
    const weights = logits.map((l) => Math.exp(l / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    const expected = weights.map((w) => (rows * w) / total);
    expect(chiSquare(counts, expected)).toBeLessThan(22.5); // 6 degrees of freedom, p = 0.001
  });

  test("reports the log-probability of what it drew, at its temperature", async () => {
    const draw = new Draw(5);
    const x = tensor(draw.floats(5 * 11, -3, 3), { shape: [5, 11], device });
    const { ids, logProbs } = sampleTokens(x, rowKeys(1, 5), { temperature: 0.7 });
    const expected = await logProbGather(x, ids, { temperature: 0.7 }).data();
    (await logProbs.data()).forEach((p, i) => {
      expect(p).toBeCloseTo(expected[i], 12);
    });
  });

  test("temperature 0 takes the first largest, with its log-probability at temperature 1", async () => {
    const x = tensor([1, 3, 3, 0, 5, 4, 4, 4], { shape: [2, 4], dtype: "f64", device });
    const { ids, logProbs } = sampleTokens(x, rowKeys(1, 2), { temperature: 0 });
    expect([...(await ids.data())]).toEqual([1, 0]);
    const expected = await logProbGather(x, ids).data();
    expect([...(await logProbs.data())]).toEqual([...expected]);
  });

  test("a row's draw does not depend on the rows beside it", async () => {
    const draw = new Draw(8);
    const x = tensor(draw.floats(6 * 9), { shape: [6, 9], device });
    const keys = rowKeys(3, 6);
    const all = await sampleTokens(x, keys, { temperature: 1 }).ids.data();
    for (let r = 0; r < 6; r++) {
      const row = tensor(Float64Array.from((await x.data()).slice(9 * r, 9 * r + 9)), {
        shape: [1, 9],
        device,
      });
      const own = sampleTokens(row, keys.slice(2 * r, 2 * r + 2), { temperature: 1 });
      expect(await own.ids.item()).toBe(all[r]);
    }
  });

  test("refuses a negative temperature, missing keys, and logits of another rank", () => {
    const x = tensor([[1, 2]], { device });
    const sample = (keys: Uint32Array, temperature: number) => () => sampleTokens(x, keys, { temperature });
    expect(sample(rowKeys(1, 1), -1)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: sampleTokens: temperature is -1, expected at least 0. For the likeliest token pass { temperature: 0 }.]`,
    );
    expect(sample(rowKeys(1, 1), Infinity)).toThrow(/temperature is Infinity, expected a finite number/);
    expect(sample(rowKeys(1, 1), Number.NaN)).toThrow(/temperature is NaN, expected a finite number/);
    expect(sample(rowKeys(1, 2), 1)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: sampleTokens: keys has 4 words, expected 2 for 1 rows of logits, two each. Fold the row into a key: Uint32Array.from(rows.flatMap((row) => foldIn(k, row))).]`,
    );
    const flat = tensor([1, 2], { device });
    expect(() => sampleTokens(flat, rowKeys(1, 2), { temperature: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: sampleTokens: logits is [2], expected [N, V], one row per token to draw. Fold other axes into N: reshape(logits, [-1, V]).]`,
    );
  });
});
