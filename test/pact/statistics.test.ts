import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  meanOverRuns,
  pairedDifference,
  studentProbability,
  studentQuantile,
} from "../../packages/pact/src/statistics.ts";

describe("Student's t", () => {
  // Two-sided 95 % points of any statistics table.
  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [4, 2.776],
    [5, 2.571],
    [9, 2.262],
    [10, 2.228],
    [30, 2.042],
    [60, 2.0],
    [99, 1.984],
  ])("with %i degrees of freedom has its 95 %% point at %d", (freedom, point) => {
    expect(studentQuantile(0.95, freedom)).toBeCloseTo(point, 3);
  });

  it("probability and quantile are inverse, and the probability rises", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.integer({ min: 1, max: 99 }),
        (probability, freedom) => {
          const t = studentQuantile(probability, freedom);
          expect(studentProbability(t, freedom)).toBeCloseTo(probability, 9);
          expect(studentProbability(t + 0.1, freedom)).toBeGreaterThan(probability);
        },
      ),
    );
  });
});

describe("means over runs", () => {
  it("have the interval that t gives, and none for a single run", () => {
    const mean = meanOverRuns([1, 2, 3]);
    expect(mean).toMatchObject({ mean: 2, runs: 3 });
    expect(mean?.interval?.high).toBeCloseTo(2 + (4.302653 * 1) / Math.sqrt(3), 5);
    expect(mean?.interval?.low).toBeCloseTo(2 - (4.302653 * 1) / Math.sqrt(3), 5);
    expect(meanOverRuns([0.5])).toEqual({ mean: 0.5, interval: null, runs: 1 });
    expect(meanOverRuns([])).toBeUndefined();
  });

  it("paired differences use the seeds that both have", () => {
    const values = new Map([
      [1, 0.5],
      [2, 0.7],
      [4, 9],
    ]);
    const baseline = new Map([
      [2, 0.4],
      [1, 0.4],
      [3, 0],
    ]);
    const paired = pairedDifference(values, baseline);
    expect(paired?.runs).toBe(2);
    expect(paired?.mean).toBeCloseTo(0.2, 12);
    expect(pairedDifference(new Map([[1, 1]]), new Map([[2, 1]]))).toBeUndefined();
  });
});
