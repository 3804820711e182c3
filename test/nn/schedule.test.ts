import { constantSchedule, cosineSchedule, linearSchedule } from "@pact/nn";
import { ValueError } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

describe("schedules", () => {
  it("warm up linearly, moving from the first step", () => {
    const rate = constantSchedule({ peak: 2, warmup: 4 });
    expect([0, 1, 2, 3, 4, 100].map(rate)).toEqual([0.5, 1, 1.5, 2, 2, 2]);
  });

  it("linear reaches the middle half way and stays at the floor", () => {
    const rate = linearSchedule({ peak: 1, steps: 12, warmup: 2, finalFraction: 0.25 });
    expect([2, 7, 12, 50].map(rate)).toEqual([1, 0.625, 0.25, 0.25]);
  });

  it("cosine follows (1 + cos πp)/2", () => {
    const rate = cosineSchedule({ peak: 3, steps: 10 });
    for (const step of [0, 3, 5, 10])
      expect(rate(step)).toBeCloseTo((3 * (1 + Math.cos((Math.PI * step) / 10))) / 2, 14);
  });

  it("decay never rises after warm-up and stays within [floor, peak]", () => {
    const options = fc.record({
      peak: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      warmup: fc.nat(20),
      decay: fc.integer({ min: 1, max: 50 }),
      finalFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        options,
        fc.constantFrom(linearSchedule, cosineSchedule),
        ({ decay, ...rest }, schedule) => {
          const { peak, warmup, finalFraction } = rest;
          const rate = schedule({ ...rest, steps: warmup + decay });
          for (let step = warmup; step < warmup + decay + 3; step++) {
            expect(rate(step + 1)).toBeLessThanOrEqual(rate(step));
            expect(rate(step)).toBeLessThanOrEqual(peak);
            expect(rate(step)).toBeGreaterThanOrEqual(peak * finalFraction * (1 - 1e-12));
          }
        },
      ),
    );
  });

  it("refuse numbers that make no schedule", () => {
    expect(() => constantSchedule({ peak: -1 })).toThrow(ValueError);
    expect(() => linearSchedule({ peak: 1, steps: 5, warmup: 5 })).toThrow(
      /steps \(5\) must be above warmup \(5\)/,
    );
    expect(() => cosineSchedule({ peak: Number.NaN, steps: 5 })).toThrow(/peak must be a finite number/);
  });
});
