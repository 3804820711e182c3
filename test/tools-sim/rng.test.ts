import { hash, OptionError, Random } from "@pact/tools-sim";
import fc from "fast-check";
import { expect, it } from "vitest";

it("gives the same stream for the same labels and another one for others", () => {
  fc.assert(
    fc.property(fc.integer(), fc.string(), (seed, label) => {
      const draw = (...labels: (string | number)[]) => {
        const random = new Random(...labels);
        return Array.from({ length: 8 }, () => random.next());
      };
      expect(draw(label, seed)).toEqual(draw(label, seed));
      expect(draw(label, seed)).not.toEqual(draw(label, seed + 1));
    }),
  );
});

it("keeps the borders and types of hashed parts apart", () => {
  expect(hash("ab", "c")).not.toBe(hash("a", "bc"));
  expect(hash(12)).not.toBe(hash("12"));
});

it("is uniform enough: chi-square of 16 cells over 32,000 draws stays below the 0.9999 quantile", () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new Random("uniform", seed);
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 32_000; i++) counts[random.int(16)]++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
    expect(chiSquare).toBeLessThan(44.3);
  }
});

it("shuffles into permutations and leaves the list alone", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (items, seed) => {
      const copy = [...items];
      const shuffled = new Random(seed).shuffle(items);
      expect(items).toEqual(copy);
      expect([...shuffled].sort()).toEqual([...items].sort());
    }),
  );
});

it("refuses an empty range", () => {
  expect(() => new Random(1).int(0)).toThrow(OptionError);
});
