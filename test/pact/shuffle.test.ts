import { key } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endlessly, shuffled, uniformOf } from "../../packages/pact/src/shuffle.ts";

describe("shuffled", () => {
  it("is a permutation that the key alone decides", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 60 }), (seed, count) => {
        const order = shuffled(key(seed), count);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
        expect(shuffled(key(seed), count)).toEqual(order);
      }),
    );
    expect(shuffled(key(1), 40)).not.toEqual(shuffled(key(2), 40));
  });

  it("puts every number first about equally often", () => {
    const firsts = new Map<number, number>();
    for (let seed = 0; seed < 2000; seed++) {
      const [first] = shuffled(key(seed), 4);
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    // Five standard deviations of a binomial count of 2000 draws with probability 1/4.
    for (const number of [0, 1, 2, 3])
      expect(Math.abs((firsts.get(number) ?? 0) - 500)).toBeLessThan(5 * 19.4);
  });
});

it("endlessly continues where it was cut, and each pass holds every number once", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 9 }), fc.nat(20), (seed, count, cut) => {
      const whole = endlessly(key(seed), count, 0, 3 * count + cut);
      expect([
        ...endlessly(key(seed), count, 0, cut),
        ...endlessly(key(seed), count, cut, 3 * count),
      ]).toEqual(whole);
      for (let pass = 0; pass < 3; pass++)
        expect(new Set(whole.slice(pass * count, (pass + 1) * count)).size).toBe(count);
    }),
  );
});

it("uniformOf spans [0, 1)", () => {
  expect(uniformOf([0, 5])).toBe(0);
  expect(uniformOf([0xffffffff, 0])).toBeLessThan(1);
});
