import { estimate, OptionError, passAtK, passHatK } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Every choice of k of the attempts, and the shares of them with any, and with nothing but, successes. */
function bruteForce(attempts: readonly boolean[], k: number): { any: number; every: number } {
  let count = 0;
  let any = 0;
  let every = 0;
  for (let mask = 0; mask < 2 ** attempts.length; mask++) {
    const chosen = attempts.filter((_, i) => (mask >> i) & 1);
    if (chosen.length !== k) continue;
    count++;
    if (chosen.some(Boolean)) any++;
    if (chosen.every(Boolean)) every++;
  }
  return { any: any / count, every: every / count };
}

const attemptsArbitrary = fc.array(fc.boolean(), { minLength: 1, maxLength: 9 });
const countOf = (attempts: readonly boolean[]) => attempts.filter(Boolean).length;

describe("pass@k and pass^k", () => {
  it("are the shares of all subsets of k attempts", () => {
    fc.assert(
      fc.property(attemptsArbitrary, (attempts) => {
        for (let k = 1; k <= attempts.length; k++) {
          const { any, every } = bruteForce(attempts, k);
          expect(passAtK(attempts.length, countOf(attempts), k)).toBeCloseTo(any, 12);
          expect(passHatK(attempts.length, countOf(attempts), k)).toBeCloseTo(every, 12);
        }
      }),
    );
  });
  it("of one attempt are both the share of successes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.nat(400), (n, some) => {
        const c = Math.min(n, some);
        expect(passAtK(n, c, 1)).toBeCloseTo(c / n, 12);
        expect(passHatK(n, c, 1)).toBeCloseTo(c / n, 12);
      }),
    );
  });
  it("rise and fall with k, stay in [0, 1], and mirror each other", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(300), (n, some) => {
        const c = Math.min(n, some);
        for (let k = 1; k <= Math.min(n, 40); k++) {
          const [at, hat] = [passAtK(n, c, k), passHatK(n, c, k)];
          expect(at).toBeGreaterThanOrEqual(0);
          expect(at).toBeLessThanOrEqual(1);
          expect(hat).toBeGreaterThanOrEqual(0);
          expect(hat).toBeLessThanOrEqual(at + 1e-12);
          // None of k fails exactly when all of k succeed.
          expect(at).toBeCloseTo(1 - passHatK(n, n - c, k), 12);
          if (k === 1) continue;
          expect(at).toBeGreaterThanOrEqual(passAtK(n, c, k - 1) - 1e-12);
          expect(hat).toBeLessThanOrEqual(passHatK(n, c, k - 1) + 1e-12);
        }
      }),
    );
  });
  it("know published values", () => {
    // By hand: C(7, 2) / C(10, 2) = 21 / 45.
    expect(passAtK(10, 3, 2)).toBeCloseTo(1 - 21 / 45, 12);
    expect(passHatK(10, 7, 2)).toBeCloseTo(21 / 45, 12);
    expect(passAtK(200, 1, 200)).toBe(1);
    expect(passHatK(200, 199, 200)).toBe(0);
  });
  it.each([
    [0, 0, 1],
    [3, 4, 1],
    [3, -1, 1],
    [3, 1, 4],
    [3, 1, 0],
    [3, 1.5, 1],
    [Number.NaN, 1, 1],
  ])("refuse n = %d, c = %d, k = %d", (n, c, k) => {
    expect(() => passAtK(n, c, k)).toThrow(OptionError);
    expect(() => passHatK(n, c, k)).toThrow(OptionError);
  });
});

describe("estimate", () => {
  it("has the mean inside its interval, inside [0, 1], the same every time", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (values) => {
          const { mean, low, high } = estimate([values]);
          expect(mean).toBeCloseTo(values.reduce((sum, v) => sum + v, 0) / values.length, 10);
          expect(low).toBeLessThanOrEqual(mean + 1e-12);
          expect(high).toBeGreaterThanOrEqual(mean - 1e-12);
          expect(low).toBeGreaterThanOrEqual(0);
          expect(high).toBeLessThanOrEqual(1);
          expect(estimate([values])).toEqual({ mean, low, high });
        },
      ),
      { numRuns: 25 },
    );
  });
  it("is about as wide as the normal interval for many tasks", () => {
    const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const { mean, low, high } = estimate([values]);
    const half = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
    expect(mean).toBe(0.25);
    expect(low).toBeCloseTo(0.25 - half, 2);
    expect(high).toBeCloseTo(0.25 + half, 2);
  });
  it("of tasks that are all right or all wrong has the exact one-sided bound, not a width of 0", () => {
    const ten = Array<number>(10).fill(1);
    // 0.025^(1/10) = 0.6915, the tabulated Clopper–Pearson bound for 10 of 10.
    expect(estimate([ten])).toEqual({ mean: 1, low: expect.closeTo(0.6915, 4), high: 1 });
    expect(estimate([ten.map(() => 0)])).toEqual({ mean: 0, low: 0, high: expect.closeTo(0.3085, 4) });
  });
  it("of groups is the unweighted mean of their means", () => {
    const { mean, low, high } = estimate([[1, 1, 0, 1], [0]]);
    expect(mean).toBe(0.375);
    expect(low).toBeGreaterThanOrEqual(0);
    expect(high).toBeLessThanOrEqual(0.5);
  });
  it("refuses no tasks", () => {
    expect(() => estimate([])).toThrow(OptionError);
    expect(() => estimate([[1], []])).toThrow(OptionError);
  });
});
