/** Named objectives against plain loops, and what each aggregation promises about length. */
import { tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type PolicyBatch,
  type PolicyRecipe,
  type PolicyRecipeName,
  policyObjective,
  policyRecipe,
  policyRecipes,
} from "../../../packages/pact/src/losses/recipes.ts";
import { sampledSequences } from "../../../packages/pact/src/losses/sequences.ts";
import {
  aggregationWeights,
  rolloutTokenWeights,
  sftTokenWeights,
} from "../../../packages/pact/src/losses/weights.ts";
import { roleCode, roles } from "../../../packages/pact/src/roles.ts";
import { cpuDevice } from "../device.ts";
import { type GoldenTensor, goldenCases, rowsOf } from "../golden.ts";

const device = await cpuDevice();
const f64 = (values: readonly number[]) => tensor(Float64Array.from(values), { device });
const names = Object.keys(policyRecipes) as PolicyRecipeName[];

/** Rollouts of two groups that interleave, tokens in any order, one rollout without tokens. */
const rewards = [[1, 0.5], [0], [0.25, 0.25], [1], [0.75]];
const groups = [7, 3, 7, 3, 7];
const sequences = [0, 0, 0, 1, 3, 3, 2, 2, -1];
const turns = [0, 1, 1, 0, 0, 0, 0, 1, 0];
const fresh = [-1.0, -0.5, -2.0, -0.4, -0.2, -1.7, -0.9, -1.3, -0.1];
const old = [-1.05, -1.2, -1.1, -1.3, -2.0, -1.6, -1.1, -1.2, -5];
const batch: PolicyBatch = { rewards, groups, sequences, turns, oldLogProbs: f64(old), maxLength: 12 };

async function evaluate(recipe: PolicyRecipeName | PolicyRecipe, given: PolicyBatch, logProbs = fresh) {
  const prepared = policyObjective(recipe, given);
  const { value, grads } = valueAndGrad(prepared.loss)(f64(logProbs));
  return { ...prepared, value: await value.item(), gradient: Array.from(await grads.data(), Number) };
}

/** The same objective from scalars alone, for one advantage per rollout. */
function loop(recipe: PolicyRecipe): number {
  const totals = rewards.map((row) => row.reduce((a, b) => a + b, 0));
  const advantageOf = (k: number) => {
    const others = totals.filter(
      (_, j) => groups[j] === groups[k] && (recipe.advantage !== "rloo" || j !== k),
    );
    const mean = others.reduce((a, b) => a + b, 0) / others.length;
    if (recipe.advantage !== "grpo") return totals[k] - mean;
    const variance = others.reduce((a, b) => a + (b - mean) ** 2, 0) / (others.length - 1);
    return (totals[k] - mean) / (Math.sqrt(variance) + 1e-6);
  };
  const tokensOf = (k: number) => sequences.flatMap((id, n) => (id === k ? [n] : []));
  const lossOf = (k: number, n: number) => {
    const A = advantageOf(k);
    if (recipe.policyLoss === "reinforce") return -A * fresh[n];
    const { clipLow = 0, clipHigh = 0 } = recipe.clip;
    const clip = (r: number) => Math.max(1 - clipLow, Math.min(1 + clipHigh, r));
    if (recipe.policyLoss === "cispo") return -clip(Math.exp(fresh[n] - old[n])) * A * fresh[n];
    const over = recipe.policyLoss === "gspo" ? tokensOf(k) : [n];
    const r = Math.exp(over.reduce((total, m) => total + fresh[m] - old[m], 0) / over.length);
    return -Math.min(r * A, clip(r) * A);
  };
  const rows = rewards.map((_, k) => tokensOf(k).map((n) => lossOf(k, n)));
  const total = (row: readonly number[]) => row.reduce((a, b) => a + b, 0);
  const filled = rows.filter((row) => row.length > 0);
  const mean = (values: readonly number[]) => total(values) / values.length;
  if (recipe.aggregation === "token-mean") return mean(rows.flat());
  if (recipe.aggregation === "seq-mean-token-mean") return mean(filled.map(mean));
  if (recipe.aggregation === "seq-mean-token-sum") return mean(filled.map(total));
  return total(rows.flat()) / 12 / (recipe.perRollout ? rows.length : 1);
}

describe("recipes", () => {
  it.each(names.filter((name) => name !== "matchtir"))("%s equals a scalar loop", async (name) => {
    expect((await evaluate(name, batch)).value).toBeCloseTo(loop(policyRecipes[name]), 10);
  });

  it("matchtir gives each turn its own advantage", async () => {
    const { advantages } = await evaluate("matchtir", batch);
    expect(advantages[0]).not.toBe(advantages[1]);
    expect(advantages[1]).toBe(advantages[2]);
    expect(advantages[8]).toBe(0);
  });

  it.each(goldenCases("rl_losses.json", "dr_grpo").map((entry) => [entry.name, entry] as const))(
    "dr-grpo: golden %s",
    async (_, entry) => {
      const { tokenRewards, groups, mask, oldLogProbs, newLogProbs } = entry.inputs as Record<
        string,
        GoldenTensor
      >;
      const columns = mask.shape[1];
      const given = {
        rewards: rowsOf(tokenRewards).map((row) => [row.reduce((a, b) => a + b, 0)]),
        groups: groups.data,
        sequences: mask.data.map((bit, n) => (bit === 1 ? Math.floor(n / columns) : -1)),
        oldLogProbs: f64(oldLogProbs.data),
        maxLength: entry.attrs.maxLength as number,
      };
      const { value, gradient } = await evaluate("dr-grpo", given, newLogProbs.data);
      expect(value).toBeCloseTo((entry.outputs as Record<string, GoldenTensor>).loss.data[0], 9);
      entry.grads!.newLogProbs.data.forEach((expected, n) => {
        expect(gradient[n]).toBeCloseTo(expected, 9);
      });
    },
  );

  it.each(names)(
    "%s: groups of equal rewards give a gradient of exactly 0; a shift of rewards changes nothing",
    async (name) => {
      const equal = {
        ...batch,
        rewards: rewards.map((row) => row.map(() => 0.7 / row.length)),
        turns: undefined,
      };
      const flat = name === "matchtir" ? { ...equal, rewards: rewards.map(() => [0.7]) } : equal;
      for (const gradient of (await evaluate(name, flat)).gradient) expect(gradient + 0).toBe(0);
      const shifted = { ...batch, turns: undefined, rewards: rewards.map((row) => [row[0] + 3]) };
      const plain = { ...shifted, rewards: rewards.map((row) => [row[0]]) };
      expect((await evaluate(name, shifted)).value).toBeCloseTo((await evaluate(name, plain)).value, 5);
    },
  );

  it("DAPO clips higher, means over all tokens and asks for dynamic sampling", () => {
    expect(policyRecipe("dapo")).toMatchObject({
      clip: { clipLow: 0.2, clipHigh: 0.28, dualClip: null },
      aggregation: "token-mean",
      dynamicSampling: true,
    });
  });

  it("takes a recipe of one's own, and refuses names and batches that do not fit", async () => {
    const own: PolicyRecipe = { ...policyRecipes.rloo, aggregation: "token-mean", source: "test" };
    expect((await evaluate(own, batch)).value).toBeCloseTo(loop(own), 10);
    expect(() => policyRecipe("ppo")).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: policyRecipe: no recipe "ppo". Take one of reinforce, rloo, grpo, dr-grpo, dapo, gspo, cispo, matchtir.]`,
    );
    expect(() =>
      policyObjective("grpo", { ...batch, rewards: rewards.slice(0, 3), groups: [0, 0, 0] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: policyObjective: token 4 is of rollout 3, turn 0, which has no reward. Pass one reward for each turn of each rollout.]`,
    );
    expect(() => policyObjective("dr-grpo", { ...batch, maxLength: undefined })).toThrow(
      "needs a positive scale",
    );
    expect(() => policyObjective("grpo", { ...batch, groups: [1] })).toThrow("5 rollouts but 1 group ids");
  });
});

describe("roles", () => {
  it.each(names)("%s: only tokens that the policy wrote have weight and gradient", async (name) => {
    const written = ["reasoning", "call", "answer"];
    for (const role of roles) {
      const codes = sequences.map((_, n) => (n === 1 ? roleCode[role] : roleCode.call));
      const given = { ...batch, sequences: sampledSequences(codes, sequences) };
      const { weights, gradient } = await evaluate(name, given);
      expect(weights[1] > 0).toBe(written.includes(role));
      if (!written.includes(role)) expect(gradient[1] + 0).toBe(0);
    }
    expect(() => sampledSequences([1], [])).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: sampledSequences: received 1 roles for 0 tokens. Pass one role for each token.]`,
    );
  });
});

describe("aggregation and length", () => {
  const length = fc.integer({ min: 1, max: 50 });

  /** Share of the loss of the first row, when every token loses 1. */
  const shareOf = (
    tokens: readonly number[],
    mode: Parameters<typeof aggregationWeights>[1],
    scale?: number,
  ) => tokens[0] * aggregationWeights(tokens, mode, scale)[0];

  it("doubling a rollout's tokens scales its term as the mode promises", () => {
    fc.assert(
      fc.property(fc.array(length, { minLength: 1, maxLength: 6 }), (tokens) => {
        const doubled = [2 * tokens[0], ...tokens.slice(1)];
        const total = tokens.reduce((a, b) => a + b, 0);
        const near = (actual: number, expected: number) => expect(actual).toBeCloseTo(expected, 12);
        near(shareOf(doubled, "token-mean"), (2 * tokens[0]) / (total + tokens[0]));
        near(shareOf(doubled, "seq-mean-token-mean"), shareOf(tokens, "seq-mean-token-mean"));
        near(shareOf(doubled, "seq-mean-token-sum"), 2 * shareOf(tokens, "seq-mean-token-sum"));
        near(
          shareOf(doubled, "seq-mean-token-sum-norm", 64),
          2 * shareOf(tokens, "seq-mean-token-sum-norm", 64),
        );
        // The others' weights change under token-mean alone.
        if (tokens.length === 1) return;
        for (const mode of ["seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"] as const)
          expect(aggregationWeights(doubled, mode, 64)[1]).toBe(aggregationWeights(tokens, mode, 64)[1]);
        expect(aggregationWeights(doubled, "token-mean")[1]).toBeLessThan(
          aggregationWeights(tokens, "token-mean")[1],
        );
      }),
    );
  });

  it("cutting a rollout into more turns leaves the weight of its tokens", () => {
    const cut = {
      ...batch,
      turns: turns.map(() => 0),
      rewards: rewards.map((row) => [row.reduce((a, b) => a + b, 0)]),
    };
    for (const name of names.filter((each) => each !== "matchtir")) {
      expect(policyObjective(name, cut).weights).toEqual(policyObjective(name, batch).weights);
      expect(policyObjective(name, cut).advantages).toEqual(policyObjective(name, batch).advantages);
    }
  });

  it("refuses counts and weights that are none", () => {
    expect(() => aggregationWeights([3, -1], "token-mean")).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: aggregationWeights: rollout 1 has -1 tokens, expected a whole number from 0. Count its sampled tokens.]`,
    );
    expect(() => rolloutTokenWeights([3], 0)).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: rolloutTokenWeights: prompts is 0, expected a positive whole number. Count the prompts of the batch.]`,
    );
    expect(() => rolloutTokenWeights([Number.NaN], 1)).toThrow("rollout 0 has NaN tokens");
    expect(() => sftTokenWeights([1], Number.NaN, "weights")).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: sftTokenWeights: callWeight is NaN, expected a number from 0. Take callWeight(step, horizon).]`,
    );
  });
});
