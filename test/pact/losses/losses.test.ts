/** Properties of the losses: finite differences of each component, ratios of 1, exact zeros, scalar loops. */
import { gradcheck, mul, sum, tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { klPenalties } from "../../../packages/pact/src/losses/kl.ts";
import { type ObjectiveInputs, pactObjective } from "../../../packages/pact/src/losses/objective.ts";
import { clipStatistics, policyLosses } from "../../../packages/pact/src/losses/policy.ts";
import {
  type Aggregation,
  aggregationWeights,
  rolloutTokenWeights,
  sftTokenWeights,
} from "../../../packages/pact/src/losses/weights.ts";
import { cpuDevice } from "../device.ts";

const device = await cpuDevice();
const f64 = (values: readonly number[]) => tensor(Float64Array.from(values), { device });

/** Five tokens: inside the clip range, above and below it with either sign of A, and one for the dual clip. */
const newLogProbs = [-1.0, -0.5, -2.0, -0.4, -0.2];
const oldLogProbs = [-1.05, -1.2, -1.1, -1.3, -2.0];
const advantages = [0.7, 1.5, -1.2, -0.8, -0.5];

/** Constants on the device of another tensor: `gradcheck` computes on one of its own. */
const on = (other: ReturnType<typeof f64>, values: readonly number[]) =>
  tensor(Float64Array.from(values), { device: other.device });

describe("finite differences", () => {
  const points = [{ shape: [5], data: newLogProbs }];
  const weights = [0.1, 0.3, 0.2, 0.25, 0.15];

  it.each([
    ["policy surrogate with dual clip", 3],
    ["policy surrogate without", null],
  ])("%s", async (_, dualClip) => {
    await gradcheck(
      ([logProbs]) =>
        sum(
          mul(
            on(logProbs, weights),
            policyLosses(logProbs, on(logProbs, oldLogProbs), on(logProbs, advantages), {
              clipHigh: 0.28,
              dualClip,
            }),
          ),
        ),
      points,
    );
  });

  it("k3", async () => {
    await gradcheck(
      ([logProbs]) => sum(mul(on(logProbs, weights), klPenalties(logProbs, on(logProbs, oldLogProbs)))),
      points,
    );
  });

  it("the whole objective", async () => {
    await gradcheck(
      ([logProbs]) =>
        pactObjective(
          {
            logProbs,
            oldLogProbs: on(logProbs, oldLogProbs),
            referenceLogProbs: on(logProbs, [-1.2, -0.7, -1.9, -0.6, -0.3]),
            advantages: on(logProbs, advantages),
            policyWeights: on(logProbs, [0.3, 0.2, 0.25, 0, 0]),
            sftWeights: on(logProbs, [0, 0, 0, 0.6, 0.4]),
          },
          { sftWeight: 0.7, klCoefficient: 0.3 },
        ).loss,
      points,
    );
  });
});

describe("policy surrogate", () => {
  it("at equal log-probs is −A with gradient −A: every ratio is 1", async () => {
    const { value, grads } = valueAndGrad((logProbs: ReturnType<typeof f64>) =>
      sum(policyLosses(logProbs, f64(newLogProbs), f64(advantages))),
    )(f64(newLogProbs));
    expect(await value.item()).toBeCloseTo(-advantages.reduce((a, b) => a + b, 0), 12);
    (await grads.data()).forEach((gradient, token) => {
      expect(Number(gradient)).toBeCloseTo(-advantages[token], 12);
    });
  });

  it("never pushes a ratio further out of the clip range", async () => {
    const gradientAt = async (logRatio: number, advantage: number) => {
      const { grads } = valueAndGrad((logProbs: ReturnType<typeof f64>) =>
        sum(policyLosses(logProbs, f64([0]), f64([advantage]))),
      )(f64([logRatio]));
      return Number((await grads.data())[0]);
    };
    expect(await gradientAt(0.3, 1)).toBe(0); // r > 1.2 and A > 0: raised enough
    expect(await gradientAt(-0.3, -1)).toBe(0); // r < 0.8 and A < 0: lowered enough
    expect(await gradientAt(-0.3, 1)).toBeLessThan(0); // still to be raised
    expect(await gradientAt(0.3, -1)).toBeGreaterThan(0); // still to be lowered
    expect(await gradientAt(2, -1)).toBe(0); // r > 3 and A < 0: the dual clip bounds it
  });

  it("has no clip statistics for no tokens", () => {
    expect(clipStatistics([], [], [])).toEqual({ approximateKl: 0, clipFraction: 0, dualClipFraction: 0 });
  });
});

describe("k3", () => {
  it("is never negative and 0 at equality", async () => {
    const pairs = fc.array(fc.tuple(fc.double({ min: -30, max: 0 }), fc.double({ min: -30, max: 0 })), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(pairs, async (values) => {
        const fresh = values.map(([a]) => (Number.isNaN(a) ? 0 : a));
        const reference = values.map(([, b]) => (Number.isNaN(b) ? 0 : b));
        for (const value of await klPenalties(f64(fresh), f64(reference)).data()) {
          expect(Number(value)).toBeGreaterThanOrEqual(0);
        }
        for (const value of await klPenalties(f64(fresh), f64(fresh)).data()) expect(Number(value)).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe("objective", () => {
  const inputs = (given: Partial<Record<keyof ObjectiveInputs, number[]>> = {}) => ({
    oldLogProbs: f64(given.oldLogProbs ?? newLogProbs),
    advantages: f64(given.advantages ?? advantages),
    policyWeights: f64(given.policyWeights ?? [0.5, 0.5, 0, 0, 0]),
    sftWeights: f64(given.sftWeights ?? [0, 0, 0.5, 0.5, 0]),
  });
  const gradient = async (fixed: ReturnType<typeof inputs>) => {
    const { grads } = valueAndGrad(
      (logProbs: ReturnType<typeof f64>) => pactObjective({ ...fixed, logProbs }, { sftWeight: 2 }).loss,
    )(f64(newLogProbs));
    return Array.from(await grads.data(), Number);
  };

  it("is the sum of its terms, and tokens without weight get a gradient of exactly 0", async () => {
    const { loss, policy, sft } = pactObjective(
      { ...inputs(), logProbs: f64(newLogProbs) },
      { sftWeight: 2 },
    );
    expect(await loss.item()).toBeCloseTo((await policy.item()) + 2 * (await sft.item()), 12);
    expect((await gradient(inputs()))[4]).toBe(0);
  });

  it("advantages and old log-probs of expert tokens do not matter", async () => {
    const changed = inputs({ advantages: [0.7, 1.5, 9, 9, 9], oldLogProbs: [-1, -0.5, -9, -9, -9] });
    expect(await gradient(changed)).toEqual(await gradient(inputs()));
  });

  it("zero advantages and no SFT give a gradient of exactly 0", async () => {
    const still = inputs({ advantages: [0, 0, 0, 0, 0], sftWeights: [0, 0, 0, 0, 0] });
    for (const value of await gradient(still)) expect(Math.abs(value)).toBe(0);
  });
});

describe("weights", () => {
  const counts = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 });

  it("every aggregation equals a scalar loop", () => {
    const modes = [
      "token-mean",
      "seq-mean-token-mean",
      "seq-mean-token-sum",
      "seq-mean-token-sum-norm",
    ] as const;
    fc.assert(
      fc.property(counts, fc.constantFrom(...modes), (tokens, mode: Aggregation) => {
        // The loss of token n of row r is r + n/10.
        const rows = tokens.map((count, row) => Array.from({ length: count }, (_, n) => row + n / 10));
        const sums = rows.map((row) => row.reduce((a, b) => a + b, 0));
        const full = rows.filter((row) => row.length > 0);
        const expected = {
          "token-mean": () => sums.reduce((a, b) => a + b, 0) / rows.flat().length,
          "seq-mean-token-mean": () =>
            full.map((row) => row.reduce((a, b) => a + b, 0) / row.length).reduce((a, b) => a + b, 0) /
            full.length,
          "seq-mean-token-sum": () => sums.reduce((a, b) => a + b, 0) / full.length,
          "seq-mean-token-sum-norm": () => sums.reduce((a, b) => a + b, 0) / 7,
        }[mode]();
        const weights = aggregationWeights(tokens, mode, 7);
        const loss = rows.reduce((total, row, r) => total + row.reduce((a, b) => a + b * weights[r], 0), 0);
        expect(loss).toBeCloseTo(full.length === 0 ? 0 : expected, 9);
      }),
    );
    expect(() => aggregationWeights([1], "seq-mean-token-sum-norm")).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: aggregationWeights: seq-mean-token-sum-norm needs a positive scale, received undefined. Pass the longest row.]`,
    );
  });

  it("rollout weights of a prompt add up to 1/prompts; a longer rollout weighs no more than a short one", () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 9 }), (tokens, prompts) => {
        const filled = tokens.map((count) => count + 1);
        const weights = rolloutTokenWeights(filled, prompts);
        weights.forEach((weight, k) => {
          expect(weight * filled[k]).toBeCloseTo(1 / (prompts * filled.length), 12);
        });
        const all = rolloutTokenWeights(filled, prompts, "token");
        expect(all.reduce((total, weight, k) => total + weight * filled[k], 0)).toBeCloseTo(1 / prompts, 12);
      }),
    );
    expect(rolloutTokenWeights([0, 2], 1)).toEqual([0, 0.25]);
  });

  it("with R empty, λ_a cancels under `weights` and under nothing else", () => {
    const labels = [0, 2, 2, 0, 2];
    expect(sftTokenWeights(labels, 0.8, "weights")).toEqual(sftTokenWeights(labels, 0.2, "weights"));
    expect(sftTokenWeights(labels, 0.8, "count")).not.toEqual(sftTokenWeights(labels, 0.2, "count"));
    expect(sftTokenWeights(labels, 0.8, "perComponent")).not.toEqual(
      sftTokenWeights(labels, 0.2, "perComponent"),
    );
  });

  it("nothing to train gives no weight and no division by 0", () => {
    for (const normaliser of ["weights", "count", "perComponent"] as const) {
      expect(sftTokenWeights([0, 0], 0.5, normaliser)).toEqual([0, 0]);
      expect(sftTokenWeights([2, 0], 0, normaliser)).toEqual([0, 0]);
    }
  });
});
