/** Draws made of random words: ranges, categories, permutations and dropout, against the distributions they promise. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { chiSquare } from "../helpers/statistics.ts";

const device = await t.createDevice({ device: "cpu" });
const read = async (x: t.Tensor) => [...(await x.data())];

describe("randomUniform in a range", () => {
  test("fills it evenly", async () => {
    const n = 20_000;
    const x = await read(t.randomUniform(t.key(4), [n], { low: -2, high: 6, device }));
    for (const v of x) expect(v >= -2 && v < 6).toBe(true);
    const mean = x.reduce((a, b) => a + b, 0) / n;
    // Five standard errors: the deviation of 8·u is 8/√12.
    expect(Math.abs(mean - 2)).toBeLessThan((5 * 8) / Math.sqrt(12 * n));
  });

  test("is the range's map of [0, 1)", async () => {
    const unit = await read(t.randomUniform(t.key(4), [9], { dtype: "f64", device }));
    const wide = await read(t.randomUniform(t.key(4), [9], { low: 10, high: 30, dtype: "f64", device }));
    expect(wide).toEqual(unit.map((u) => 10 + 20 * u));
  });

  test("refuses an empty or infinite range, and integers", () => {
    const draw = (options: Parameters<typeof t.randomUniform>[2]) => () =>
      t.randomUniform(t.key(0), [1], { device, ...options });
    expect(draw({ low: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: randomUniform: low is 1, high is 1; expected low < high. Name both: { low: 0, high: 1 }.]`,
    );
    expect(draw({ high: Infinity })).toThrow(/randomUniform: high is Infinity/);
    expect(draw({ dtype: "i32" })).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: randomUniform: dtype is i32, expected a float. For whole numbers use randomBits or randomPermutation.]`,
    );
  });
});

describe("randomCategorical", () => {
  const logits = [2, 0, -1, 1.5, -3, 0.5, -Infinity];

  test("draws ids as often as softmax says, and never a ruled-out one", async () => {
    const rows = 6000;
    const x = t.expand(t.tensor(logits, { device }), [rows, logits.length]);
    const counts = new Array(logits.length).fill(0);
    for (const id of await read(t.randomCategorical(t.key(7), x))) counts[id]++;
    expect(counts.pop()).toBe(0);
    const weights = logits.slice(0, -1).map(Math.exp);
    const total = weights.reduce((a, b) => a + b, 0);
    const expected = weights.map((w) => (rows * w) / total);
    expect(chiSquare(counts, expected)).toBeLessThan(20.5); // 5 degrees of freedom, p = 0.001
  });

  test("takes row r's draw of sampleTokens with the key foldIn(k, r), for any leading axes", async () => {
    const x = t.tensor(new Draw(3).floats(6 * 5, -2, 2), { shape: [2, 3, 5], device });
    const drawn = t.randomCategorical(t.key(9), x);
    expect([drawn.dtype, drawn.shape]).toEqual(["i32", [2, 3]]);
    const keys = Uint32Array.from([0, 1, 2, 3, 4, 5].flatMap((r) => t.foldIn(t.key(9), r)));
    const { ids } = t.sampleTokens(t.reshape(x, [6, 5]), keys, { temperature: 1 });
    expect(await read(drawn)).toEqual(await read(ids));
    expect(t.randomCategorical(t.key(9), t.zeros([4], { device })).shape).toEqual([]);
    expect(t.randomCategorical(t.key(9), t.zeros([0, 4], { device })).shape).toEqual([0]);
  });

  test("refuses logits without classes", () => {
    expect(() =>
      t.randomCategorical(t.key(0), t.zeros([2, 0], { device })),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: randomCategorical: logits is f32[2, 0], expected [..., V] with V of at least 1. Give each row its classes: reshape(logits, [-1, V]).]`,
    );
    expect(() => t.randomCategorical(t.key(0), t.zeros([2], { dtype: "i32", device }))).toThrow(t.DTypeError);
  });
});

describe("randomPermutation", () => {
  test.each([0, 1, 2, 97])("of %s holds each number once", async (n) => {
    const order = await read(t.randomPermutation(t.key(5), n, { device }));
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  test("takes every order of 4 equally often", async () => {
    const draws = 12_000;
    const counts = new Map<string, number>();
    for (let i = 0; i < draws; i++) {
      const order = (await read(t.randomPermutation(t.foldIn(t.key(6), i), 4, { device }))).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const expected = new Array(24).fill(draws / 24);
    expect(chiSquare([...counts.values()], expected)).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001
  });

  test("follows its key", async () => {
    const order = async (seed: number) => read(t.randomPermutation(t.key(seed), 50, { device }));
    expect(await order(1)).toEqual(await order(1));
    expect(await order(1)).not.toEqual(await order(2));
  });

  test("refuses what is no count", () => {
    expect(() => t.randomPermutation(t.key(0), 2.5, { device })).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: randomPermutation: n is 2.5, expected a whole number from 0 to 2147483647. Pass the number of elements: x.shape[0].]`,
    );
  });
});

describe("dropout", () => {
  const n = 20_000;
  const x = t.tensor(new Draw(2).floats(n, 1, 2), { device });

  test.each([0.1, 0.5, 0.9])("drops a share of %s and scales the rest to the same sum", async (rate) => {
    const [y, values] = [await read(t.dropout(x, rate, t.key(3))), await read(x)];
    const kept = y.filter((v) => v !== 0).length;
    expect(Math.abs(kept / n - (1 - rate))).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / n));
    y.forEach((v, i) => {
      if (v !== 0) expect(v).toBeCloseTo(values[i] / (1 - rate), 12);
    });
  });

  test("keeps what randomBits says, and the gradient passes the same mask", async () => {
    const bits = await read(t.randomBits(t.key(3), [n], { device }));
    const slope = await read(t.grad((x: t.Tensor) => t.sum(t.dropout(x, 0.25, t.key(3))))(x));
    expect(slope).toEqual(bits.map((word) => (word >= 2 ** 30 ? 1 / 0.75 : 0)));
  });

  test("of rate 0 is the input; other keys drop other elements", async () => {
    expect(t.dropout(x, 0, t.key(3))).toBe(x);
    const mask = async (seed: number) => read(t.notEqual(t.dropout(x, 0.5, t.key(seed)), 0));
    const [a, b] = [await mask(1), await mask(2)];
    const agreeing = a.filter((m, i) => m === b[i]).length / n;
    expect(Math.abs(agreeing - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / n));
  });

  test.each([-0.1, 1, Number.NaN])("refuses a rate of %s", (rate) => {
    expect(() => t.dropout(x, rate, t.key(0))).toThrow(
      `dropout: rate is ${rate}, expected a number of at least 0 and below 1`,
    );
  });
});
