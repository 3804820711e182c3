import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AdvantageName,
  advantageEstimator,
  advantageRegistry,
} from "../../packages/pact/src/advantage-registry.ts";
import { turnAdvantages } from "../../packages/pact/src/advantages.ts";

const names = Object.keys(advantageRegistry) as AdvantageName[];
const rewards = [[1, 0.5], [0], [0.25, 0.25, 0]];
const groups = [5, 5, 5];
const near = (actual: readonly (readonly number[])[], expected: readonly (readonly number[])[]) =>
  expected.forEach((row, k) => {
    expect(actual[k]).toHaveLength(row.length);
    row.forEach((value, t) => {
      expect(actual[k][t]).toBeCloseTo(value, 6);
    });
  });

describe("advantages by name", () => {
  it("are the formulas", () => {
    const [mean, deviation] = [
      2 / 3,
      Math.sqrt(((1.5 - 2 / 3) ** 2 + (2 / 3) ** 2 + (0.5 - 2 / 3) ** 2) / 2),
    ];
    const each = (f: (total: number) => number) => [[f(1.5), f(1.5)], [f(0)], [f(0.5), f(0.5), f(0.5)]];
    near(
      advantageRegistry.grpo(rewards, groups),
      each((R) => (R - mean) / (deviation + 1e-6)),
    );
    near(
      advantageRegistry["dr-grpo"](rewards, groups),
      each((R) => R - mean),
    );
    near(
      advantageRegistry.rloo(rewards, groups),
      each((R) => R - (2 - R) / 2),
    );
    const { combined } = turnAdvantages(rewards, groups);
    expect(advantageRegistry.turn(rewards, groups)).toEqual(combined);
    near(
      advantageRegistry["turn-mean"](rewards, groups),
      combined.map((row) => row.map((value) => value / 2)),
    );
  });

  it("rloo is dr-grpo times K/(K − 1)", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 2, maxLength: 8 }), (values) => {
        const list = values.map((value) => [value / 10]);
        const same = values.map(() => 0);
        const K = values.length;
        near(
          advantageRegistry.rloo(list, same),
          advantageRegistry["dr-grpo"](list, same).map(([value]) => [(value * K) / (K - 1)]),
        );
      }),
    );
  });

  it.each(names)(
    "%s: equal rewards give exactly 0, a shift changes nothing, groups may interleave",
    (name) => {
      const estimate = advantageEstimator(name);
      for (const rollouts of [2, 3, 8])
        expect(estimate(new Array(rollouts).fill([0.1, 0.7]), new Array(rollouts).fill(0)).flat()).toEqual(
          new Array(2 * rollouts).fill(0),
        );
      const flat = [[0.3], [1], [0.2], [0.9], [0.4], [0.4]];
      const mixed = [1, 2, 1, 2, 2, 1];
      const shifted = flat.map(([value]) => [value + 16]);
      near(estimate(shifted, mixed), estimate(flat, mixed));
      const order = [4, 1, 3, 5, 0, 2];
      const permuted = estimate(
        order.map((k) => flat[k]),
        order.map((k) => mixed[k]),
      );
      near(
        permuted,
        order.map((k) => estimate(flat, mixed)[k]),
      );
    },
  );

  it("a group of one keeps its reward", () => {
    for (const name of ["dr-grpo", "rloo"] as const)
      expect(advantageRegistry[name]([[0.5]], [0])).toEqual([[0.5]]);
    near(advantageRegistry.grpo([[0.5]], [0]), [[0.5]]);
  });

  it("refuses other names, also those of object properties", () => {
    expect(() => advantageEstimator("gae")).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: advantageEstimator: no estimator "gae". Take one of grpo, dr-grpo, rloo, turn, turn-mean.]`,
    );
    expect(() => advantageEstimator("toString")).toThrow("no estimator");
  });
});
