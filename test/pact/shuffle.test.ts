import { key } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shuffled, uniformOf } from "../../packages/pact/src/shuffle.ts";

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

it("uniformOf spans [0, 1)", () => {
  expect(uniformOf([0, 5])).toBe(0);
  expect(uniformOf([0xffffffff, 0])).toBeLessThan(1);
});
