/**
 * Values where devices like to differ: NaN, infinities, halves, the ends of the integers, division by 0. The same
 * checks run on cpu and webgpu.
 */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const top = 2 ** 31 - 1;
const low = -(2 ** 31);

/** Registers the checks for a device. */
export function specialChecks(device: t.Device): void {
  const make = (values: number[], dtype: t.DType = "f32") => t.tensor(values, { dtype, device });
  const read = async (x: t.Tensor) => [...(await x.data())];

  describe("not-a-number and infinities", () => {
    const x = () => make([nan, infinity, -infinity, 0, -3.4e38, 1e-45, -nan]);

    test("isNan and isFinite see the bits, in any layout", async () => {
      expect(await read(t.isNan(x()))).toEqual([1, 0, 0, 0, 0, 0, 1]);
      expect(await read(t.isFinite(x()))).toEqual([0, 0, 0, 1, 1, 1, 0]);
      expect(await read(t.isNan(t.flip(x())))).toEqual([1, 0, 0, 0, 0, 0, 1]);
      expect(await read(t.isFinite(t.slice(x(), [0], [7], [3])))).toEqual([0, 1, 0]);
    });

    test("are data for tensor, full, where, maskedFill and pad", async () => {
      const mask = make([1, 0], "bool");
      const y = make([1, 2]);
      expect(await read(t.full([2], nan, { device }))).toEqual([nan, nan]);
      expect(await read(t.where(mask, infinity, y))).toEqual([infinity, 2]);
      expect(await read(t.where(mask, nan, -infinity))).toEqual([nan, -infinity]);
      expect(await read(t.maskedFill(y, mask, -infinity))).toEqual([-infinity, 2]);
      expect(await read(t.pad(y, [[1, 0]], -infinity))).toEqual([-infinity, 1, 2]);
    });

    test("a bound left out of clamp is open", async () => {
      const y = make([infinity, -infinity, 3.4e38, -3.4e38, 1]);
      const big = Math.fround(3.4e38);
      expect(await read(t.clamp(y, { min: 0 }))).toEqual([infinity, 0, big, 0, 1]);
      expect(await read(t.clamp(y, { max: 0 }))).toEqual([0, -infinity, 0, -big, 0]);
      expect(await read(t.clamp(y, {}))).toEqual([infinity, -infinity, big, -big, 1]);
    });

    test("logSumExp of nothing but −∞ is −∞, of +∞ is +∞, and a −∞ beside numbers adds nothing", async () => {
      const rows = t.reshape(make([-infinity, -infinity, infinity, 0, -infinity, 3]), [3, 2]);
      const f = (x: t.Tensor) => t.logSumExp(x, { axes: 1 });
      expect(await read(f(rows))).toEqual([-infinity, infinity, 3]);
      const finite = t.slice(rows, [0, 0], [3, 2], [2, 1]);
      const slope = await read(t.grad((x: t.Tensor) => t.sum(f(x)))(finite));
      expect(slope.map((v) => Math.abs(v))).toEqual([0, 0, expect.closeTo(0, 30), 1]);
    });

    test("entropy takes classes that are ruled out", async () => {
      const x = make([0, 0, -infinity]);
      expect(await t.entropy(x).item()).toBeCloseTo(Math.log(2), 6);
      const slope = await read(t.grad((x: t.Tensor) => t.entropy(x))(x));
      for (const v of slope) expect(Math.abs(v)).toBeLessThan(1e-6);
    });

    test("1 to any power is 1", async () => {
      const any = make([nan, infinity, -infinity, 0, 2.5]);
      expect(await read(t.pow(make([1, 1, 1, 1, 1]), any))).toEqual([1, 1, 1, 1, 1]);
    });

    test("klDivergence takes classes that are ruled out", async () => {
      const p = make([0, 0, -infinity]);
      expect(await t.klDivergence(p, make([0, 0, 0])).item()).toBeCloseTo(Math.log(1.5), 6);
      const slopes = t.grad((p: t.Tensor, q: t.Tensor) => t.klDivergence(p, q))(p, make([0, 0, 0]));
      for (const slope of await read(slopes)) expect(Math.abs(slope)).toBeLessThan(1e-6);
      expect(await t.klDivergence(make([0, 0, 0]), p).item()).toBe(infinity);
    });
  });

  describe("small and large arguments", () => {
    const relative = async (x: t.Tensor, expected: readonly number[]) => {
      const values = await read(x);
      for (const [i, e] of expected.entries()) expect(Math.abs(values[i] / e - 1)).toBeLessThan(3e-6);
    };

    test("tails of softplus and logSigmoid keep their digits", async () => {
      const x = [-2, -10, -20, -60].map(Math.fround);
      const tails = x.map((v) => Math.log1p(Math.exp(v)));
      await relative(t.softplus(make(x)), tails);
      await relative(
        t.logSigmoid(t.neg(make(x))),
        tails.map((v) => -v),
      );
    });

    test("log1p and tanh keep the digits of a small argument", async () => {
      const x = [1e-6, -1e-6, 1.7e-6, 0.011, -0.011, 0.099, -0.101, 0.249, -0.251, 0.3].map(Math.fround);
      await relative(t.log1p(make(x)), x.map(Math.log1p));
      await relative(t.tanh(make(x)), x.map(Math.tanh));
    });

    test("sin and cos stay between −1 and 1, however large the angle", async () => {
      const x = make([1e5, -1e6, 1e7, 1e8, -1e10, 1e20, 3e38]);
      for (const y of [t.sin(x), t.cos(x)]) {
        for (const v of await read(y)) expect(Math.abs(v)).toBeLessThanOrEqual(1);
      }
    });
  });

  describe("rounding", () => {
    test("takes halves to the even neighbour", async () => {
      const x = make([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 8388607.5, 0.49999997, 2.4, -2.6]);
      expect((await read(t.round(x))).map((v) => v + 0)).toEqual([-2, -2, 0, 0, 2, 2, 8388608, 0, 2, -3]);
    });

    test("leaves whole numbers as they are, however large", async () => {
      const values = [1e10, -(2 ** 24) - 2, 3e38, 0, -7].map(Math.fround);
      for (const f of [t.round, t.floor, t.ceil]) expect(await read(f(make(values)))).toEqual(values);
      expect(await read(t.ceil(make([1.2, 1e-30])))).toEqual([2, 1]);
    });
  });

  describe("integers", () => {
    const ends = () => make([top, low, -1, 0, 7, -7], "i32");

    test("wrap at 32 bits", async () => {
      expect(await read(t.add(ends(), 1))).toEqual([low, low + 1, 0, 1, 8, -6]);
      expect(await read(t.sub(ends(), 1))).toEqual([top - 1, top, -2, -1, 6, -8]);
      expect(await read(t.mul(ends(), top))).toEqual([1, low, low + 1, 0, 2147483641, -2147483641]);
      expect(await read(t.square(ends()))).toEqual([1, 0, 1, 0, 49, 49]);
      expect(await read(t.neg(ends()))).toEqual([low + 1, low, 1, 0, -7, 7]);
      expect(await read(t.abs(ends()))).toEqual([top, low, 1, 0, 7, 7]);
      const words = make([0, 1, 2 ** 32 - 1], "u32");
      expect(await read(t.sub(words, 1))).toEqual([2 ** 32 - 1, 0, 2 ** 32 - 2]);
      expect(await read(t.neg(words))).toEqual([0, 2 ** 32 - 1, 1]);
      expect(await read(t.mul(words, words))).toEqual([0, 1, 1]);
      expect(await read(t.sign(words))).toEqual([0, 1, 1]);
    });

    test("long sums wrap, too, where doubles would lose digits", async () => {
      const [word, count] = [2 ** 32 - 1, 3_000_001];
      const x = t.expand(make([word], "u32"), [count]);
      const wrapped = BigInt.asUintN(32, BigInt(word) * BigInt(count));
      expect(await t.sum(x).item()).toBe(Number(wrapped));
      expect(await t.sum(t.cast(x, "i32")).item()).toBe(-count);
    });

    test("floats beyond the range become its end", async () => {
      const x = () => make([3e9, -3e9, 5e9, 2147483520, -1.9, 3.4e38, -infinity]);
      expect(await read(t.cast(x(), "i32"))).toEqual([top, low, top, 2147483520, -1, top, low]);
      const words = [3e9, 0, 2 ** 32 - 1, 2147483520, 0, 2 ** 32 - 1, 0];
      expect(await read(t.cast(x(), "u32"))).toEqual(words);
    });

    test("compare, clamp and select as their type says", async () => {
      const words = make([0, 5, 2 ** 32 - 1], "u32");
      expect(await read(t.greater(words, 4))).toEqual([0, 1, 1]);
      expect(await read(t.less(ends(), 0))).toEqual([0, 1, 1, 0, 0, 1]);
      expect(await read(t.clamp(words, { min: 3, max: 4_000_000_000 }))).toEqual([3, 5, 4_000_000_000]);
      expect(await read(t.clamp(ends(), { min: -5, max: 16_777_217 }))).toEqual([
        16_777_217, -5, -1, 0, 7, -5,
      ]);
      expect(await read(t.clamp(ends(), { max: 0 }))).toEqual([0, low, -1, 0, 0, -7]);
      expect(await read(t.maximum(words, 5))).toEqual([5, 5, 2 ** 32 - 1]);
      expect(await read(t.where(t.equal(words, 5), 2 ** 32 - 2, words))).toEqual([
        0,
        2 ** 32 - 2,
        2 ** 32 - 1,
      ]);
    });

    test("divide with NumPy's signs; by 0 gives 0", async () => {
      const a = make([7, -7, 7, -7, low, low, 5, -6], "i32");
      const b = make([3, 3, -3, -3, -1, 2, 0, 3], "i32");
      expect(await read(t.floorDiv(a, b))).toEqual([2, -3, -3, 2, low, low / 2, 0, -2]);
      expect((await read(t.remainder(a, b))).map((v) => v + 0)).toEqual([1, 2, -2, -1, 0, 0, 0, 0]);
      const words = make([2 ** 32 - 1, 9, 9], "u32");
      expect(await read(t.floorDiv(words, make([10, 0, 4], "u32")))).toEqual([429496729, 0, 2]);
      expect(await read(t.remainder(words, make([10, 0, 4], "u32")))).toEqual([5, 0, 1]);
    });
  });

  describe("crossEntropy", () => {
    const logits = () => t.reshape(make([1, 2, 3, 4, 0, -2]), [2, 3]);

    test("where nothing counts the mean is 0 and so is its gradient", async () => {
      const targets = make([-100, 1], "i32");
      const mask = make([1, 0], "bool");
      const { value, grads } = t.valueAndGrad((x: t.Tensor) => t.crossEntropy(x, targets, { mask }))(
        logits(),
      );
      expect(await value.item()).toBe(0);
      expect((await read(grads)).map((v) => v + 0)).toEqual([0, 0, 0, 0, 0, 0]);
    });

    test("weights are normalised by their sum", async () => {
      const targets = make([0, 2], "i32");
      const [a, b] = await read(t.crossEntropy(logits(), targets, { reduction: "none" }));
      const mean = await t.crossEntropy(logits(), targets, { mask: make([3, 1]) }).item();
      expect(mean).toBeCloseTo((3 * a + b) / 4, 5);
    });
  });

  describe("indices", () => {
    test("empty ones take and add nothing", async () => {
      const none = make([], "i32");
      const x = t.reshape(make([1, 2, 3, 4]), [2, 2]);
      expect(t.take(x, none).shape).toEqual([0, 2]);
      expect(t.gather(x, 1, t.reshape(none, [2, 0])).shape).toEqual([2, 0]);
      expect(t.oneHot(none, 3).shape).toEqual([0, 3]);
      expect(await read(t.indexAdd(x, 0, none, t.zeros([0, 2], { device })))).toEqual([1, 2, 3, 4]);
    });

    test("into an axis of size 0 are an error wherever they point", () => {
      const nothing = t.zeros([0, 2], { device });
      const index = make([0], "i32");
      expect(() => t.take(nothing, index)).toThrow(t.ValueError);
      expect(() => t.indexAdd(nothing, 0, index, t.zeros([1, 2], { device }))).toThrow(/axis of size 0/);
      expect(() => t.gather(nothing, 0, t.zeros([1, 2], { dtype: "i32", device }))).toThrow(t.ValueError);
    });
  });
}
