import { readFileSync } from "node:fs";
import { key } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { metricDescriptions, metricTable, timeDescriptions } from "../../packages/pact/src/metric-table.ts";
import { noMetrics } from "../../packages/pact/src/metrics.ts";
import { rolloutMetrics } from "../../packages/pact/src/metrics-rollouts.ts";
import { clipMetrics, tokenMetrics } from "../../packages/pact/src/metrics-tokens.ts";
import { packMicroBatches } from "../../packages/pact/src/pack.ts";
import { collectRollouts, rolloutPrompt, withoutTrace } from "../../packages/pact/src/rollout.ts";
import { StepWatch } from "../../packages/pact/src/timings.ts";
import { lossTerm, type ScoredToken } from "../../packages/pact/src/trees.ts";
import { metricsPage } from "../../scripts/metrics-page.ts";
import { testDialect } from "./codec.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task } from "./tasks.ts";

describe("the table of metrics", () => {
  it("defines each name once, with a unit and a meaning, and is what a line starts from", () => {
    const names = metricTable.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, unit, meaning } of metricTable) {
      expect(name).toMatch(/^[a-z]+\/[a-z0-9_]+$/);
      expect(
        [unit, meaning].every((text) => text !== ""),
        name,
      ).toBe(true);
    }
    expect(Object.keys(noMetrics)).toEqual(names);
    expect(Object.keys(metricDescriptions)).toEqual(names);
  });

  it("is docs/metrics.md: make it anew with scripts/metrics-page.ts", () => {
    const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    expect(page).toBe(metricsPage());
    for (const { name } of metricTable) expect(page.split(`\`${name}\` |`)).toHaveLength(2);
    for (const name of Object.keys(timeDescriptions)) expect(page).toContain(`\`${name}\` |`);
  });
});

describe("rolloutMetrics", () => {
  it("counts rewards by component, lengths by how rollouts ended, calls, errors and observations", async () => {
    const scripts = [
      // Solved; one call of an unknown town, which the replay has no output for.
      `<think>a</think>${callText("Bavo")}${callText("Kelm")}<|end|><answer>Mira</answer><|end|>`,
      // A malformed call, then the right one, and cut by the turn limit.
      `<tool_call>{oops</tool_call><|end|>${callText("Bavo")}<|end|>`,
      "<answer>x</answer><|end|>",
      "<answer>x</answer><|end|>",
    ].map(scriptIds);
    const prompt = rolloutPrompt(testDialect, withoutTrace(task), 0);
    const rollouts = await collectRollouts([prompt, { ...prompt, stream: 1 }], {
      dialect: testDialect,
      policy: scriptedPolicy((row) => scripts[row]),
      rolloutsPerPrompt: 2,
      temperature: 1,
      maxTurns: 2,
      maxTurnTokens: 200,
      maxRolloutTokens: 800,
      key: key(1),
    });
    const rewards = [
      { perTurn: [0.5, 1], total: 1.5 },
      { perTurn: [0, 0.5], total: 0.5 },
      { perTurn: [0.25], total: 0.25 },
      { perTurn: [0.25], total: 0.25 },
    ];
    const values = rolloutMetrics(rollouts, rewards, 2, testDialect.opensReasoning);
    const deviation = (numbers: number[]) => {
      const center = numbers.reduce((a, b) => a + b) / numbers.length;
      return Math.sqrt(numbers.reduce((sum, x) => sum + (x - center) ** 2, 0) / numbers.length);
    };
    expect(values["reward/mean"]).toBeCloseTo(2.5 / 4, 12);
    expect(values["reward/std"]).toBeCloseTo(deviation([1.5, 0.5, 0.25, 0.25]), 12);
    expect(values["reward/calls_mean"]).toBeCloseTo(0.25, 12);
    expect(values["reward/calls_std"]).toBeCloseTo(deviation([0.5, 0.5, 0, 0]), 12);
    expect(values["reward/answer_mean"]).toBeCloseTo(1.5 / 4, 12);
    expect(values["reward/answer_std"]).toBeCloseTo(deviation([1, 0, 0.25, 0.25]), 12);
    expect(values["reward/zero_variance"]).toBe(0.5);
    expect(values["rollout/turns"]).toBe(6 / 4);
    expect(values["rollout/calls"]).toBe(3 / 4);
    expect(values["rollout/malformed"]).toBe(1 / 4);
    expect(values["rollout/failed_calls"]).toBe(1 / 4);
    expect(values["rollout/think"]).toBe(1 / 6);
    expect(values["rollout/truncated"]).toBe(1 / 4);
    expect([values["stop/answer"], values["stop/max_turns"]]).toEqual([3 / 4, 1 / 4]);
    expect(values["solve/success"]).toBe(rollouts.filter(({ success }) => success).length / 4);
    expect(rollouts.map(({ success }) => success)).toEqual([true, true, false, false]);
    const sampled = rollouts.map(({ turnOf }) => turnOf.filter((turn) => turn >= 0).length);
    expect(values["rollout/tokens_truncated"]).toBe(sampled[1]);
    expect(values["tokens/step_truncated"]).toBe(sampled[1]);
    expect(values["rollout/tokens_terminated"]).toBeCloseTo((sampled[0] + sampled[2] + sampled[3]) / 3, 12);
    expect(values["rollout/tokens"]).toBeCloseTo(sampled.reduce((a, b) => a + b) / 4, 12);
    expect(values["tokens/step_observation"]).toBe(
      rollouts.reduce((sum, { ids }, index) => sum + ids.length - sampled[index], 0),
    );
    expect(values["tokens/step_observation"]).toBeGreaterThan(0);
    expect(Object.keys(values).every((name) => name in noMetrics)).toBe(true);
  });

  it("has no length of rollouts that did not end so", async () => {
    const script = scriptIds("<answer>x</answer><|end|>");
    const rollouts = await collectRollouts([rolloutPrompt(testDialect, withoutTrace(task), 0)], {
      dialect: testDialect,
      policy: scriptedPolicy(() => script),
      ...{ rolloutsPerPrompt: 1, temperature: 1, key: key(1) },
      ...{ maxTurns: 2, maxTurnTokens: 99, maxRolloutTokens: 99 },
    });
    const values = rolloutMetrics(rollouts, [{ perTurn: [0], total: 0 }], 1, () => false);
    expect(values["rollout/tokens_truncated"]).toBeNull();
    expect(values["rollout/tokens_terminated"]).toBe(script.length);
  });
});

/** One micro-batch whose tokens are all scored: prefix (expert) tokens, then rollouts. */
function batchOf(expert: readonly Partial<ScoredToken>[], ...rollouts: readonly Partial<ScoredToken>[][]) {
  const run = (tokens: readonly Partial<ScoredToken>[], rollout: number) => ({
    ids: [1, ...tokens.map(() => 2)],
    scored: tokens.map(
      (token, index): ScoredToken => ({
        ...{ term: lossTerm.anchored, advantage: 0, policyWeight: 0, sftWeight: 0, samplerLogProb: 0 },
        ...token,
        rollout,
        position: index + 1,
      }),
    ),
  });
  return packMicroBatches(
    [{ prefix: run(expert, -1), branches: rollouts.map((tokens, index) => run(tokens, index)) }],
    1000,
  );
}

describe("tokenMetrics", () => {
  it("gives each component its share and its mean by its own denominator, and compares sampler and trainer", () => {
    const { anchored, traced, sftCall } = lossTerm;
    const batches = batchOf(
      [
        { term: sftCall, sftWeight: 0.1 },
        { term: sftCall, sftWeight: 0.3 },
      ],
      [
        { term: anchored, advantage: 2, policyWeight: 0.25, samplerLogProb: -1 },
        { term: anchored, advantage: -1, policyWeight: 0.25, samplerLogProb: -2 },
      ],
      [{ term: traced, advantage: 3, policyWeight: 0.5, samplerLogProb: -1.5 }],
    );
    const values = tokenMetrics(batches, [Float64Array.of(-0.5, -1, -0.9, -2.2, -2)]);
    expect(values["loss/x"]).toBeCloseTo(0.25 * -2 + 0.25 * 1, 12);
    expect(values["loss/x_mean"]).toBeCloseTo(-0.5, 12);
    expect(values["loss/h"]).toBeCloseTo(-1.5, 12);
    expect(values["loss/h_mean"]).toBeCloseTo(-3, 12);
    expect(values["loss/sft"]).toBeCloseTo(0.1 * 0.5 + 0.3 * 1, 12);
    expect(values["loss/sft_mean"]).toBeCloseTo(0.35 / 0.4, 12);
    expect(values["policy/entropy"]).toBeCloseTo(1.5, 12);
    expect(values["policy/sampler_difference"]).toBeCloseTo(0.15, 12);
    expect(values["policy/sampler_difference_max"]).toBeCloseTo(0.2, 12);
    const k3 = (d: number) => Math.exp(d) - 1 - d;
    expect(values["policy/sampler_kl"]).toBeCloseTo((k3(0.1) + k3(-0.2)) / 2, 12);
    expect(values["trace/gap"]).toBeCloseTo(-0.5, 12);
    expect(values["tokens/step_trained"]).toBe(5);
  });
});

describe("clipMetrics", () => {
  const ratios = [1, 0.5, 0.5, 1.5, 1.5, 8];
  const advantages = [1, -1, 1, 1, -1, -2];
  const batches = batchOf(
    [{ term: lossTerm.sftCall, sftWeight: 1 }],
    ratios.map((_, token) => ({ advantage: advantages[token] })),
  );
  const old = [Float64Array.of(-1, ...ratios.map(() => -3))];
  const fresh = [Float64Array.of(-9, ...ratios.map((ratio) => -3 + Math.log(ratio)))];

  it("splits what clipping did into its bounds, and gives mean and largest ratio; expert tokens do not count", () => {
    const values = clipMetrics(batches, old, fresh, {
      ...{ policyLoss: "vanilla", clipLow: 0.2, clipHigh: 0.2, dualClip: 3, sftWeight: 1 },
    });
    // Cut below: ratio 0.5 with A < 0; above: 1.5 with A > 0; dual clip: 8 with A < 0.
    expect(values["policy/clip_low_fraction"]).toBeCloseTo(1 / 6, 12);
    expect(values["policy/clip_high_fraction"]).toBeCloseTo(1 / 6, 12);
    expect(values["policy/clip_fraction"]).toBeCloseTo(2 / 6, 12);
    expect(values["policy/dual_clip_fraction"]).toBeCloseTo(1 / 6, 12);
    expect(values["policy/ratio_mean"]).toBeCloseTo(13 / 6, 9);
    expect(values["policy/ratio_max"]).toBeCloseTo(8, 9);
    expect([values["advantage/min"], values["advantage/max"]]).toEqual([-2, 1]);
  });

  it.each(["gspo", "cispo", "reinforce"] as const)("its bounds add up under %s", (policyLoss) => {
    const clip =
      policyLoss === "reinforce"
        ? {}
        : policyLoss === "cispo"
          ? { clipHigh: 0.3 }
          : { clipLow: 0.1, clipHigh: 0.3 };
    const values = clipMetrics(batches, old, fresh, { ...clip, policyLoss, sftWeight: 1 });
    const [low, high] = [values["policy/clip_low_fraction"] ?? -1, values["policy/clip_high_fraction"] ?? -1];
    expect(Math.min(low, high)).toBeGreaterThanOrEqual(0);
    expect(low + high).toBeCloseTo(values["policy/clip_fraction"] ?? -1, 12);
  });

  it("is nothing without rollout tokens", () => {
    const expert = batchOf([{ term: lossTerm.sftCall, sftWeight: 1 }]);
    expect(clipMetrics(expert, [Float64Array.of(-1)], [Float64Array.of(-1)], { sftWeight: 1 })).toEqual({});
  });
});

describe("StepWatch", () => {
  it("adds up laps by part, leaves out what is skipped, and begins anew when taken", () => {
    let clock = 0;
    const ended: string[] = [];
    const watch = new StepWatch(
      (part) => void ended.push(part),
      () => clock,
    );
    const wait = (seconds: number) => {
      clock += seconds;
    };
    wait(1);
    watch.lap("rollouts");
    wait(10);
    watch.skip();
    wait(2);
    watch.lap("update");
    wait(3);
    watch.lap("rollouts");
    expect(watch.take()).toEqual({ rollouts: 4, update: 2 });
    wait(5);
    watch.lap("rewards");
    expect(watch.take()).toEqual({ rewards: 5 });
    expect(ended).toEqual(["rollouts", "update", "rollouts", "rewards"]);
  });
});
