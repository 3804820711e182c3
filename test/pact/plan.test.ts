/** What plans say, without any GPU; that they are right is tested in plan.gpu.test.ts. */
import { describe, expect, it } from "vitest";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { ContextLengthError } from "../../packages/pact/src/errors.ts";
import { planTraining, type TrainingPlan, type TrainingPlanOptions } from "../../packages/pact/src/plan.ts";
import { testDialect } from "./codec.ts";
import { heldOutTasks, plannedConfig, plannedModel, plannedTasks } from "./planned.ts";

const plan = (given: Partial<TrainConfig> = {}, options: Partial<TrainingPlanOptions> = {}) =>
  planTraining({
    config: plannedConfig(given),
    model: plannedModel,
    dialect: testDialect,
    tasks: plannedTasks,
    ...options,
  });

const peakOf = ({ phases }: TrainingPlan, name: string): number =>
  phases.find(({ phase }) => phase === name)?.peakBytes ?? Number.NaN;

/** The sizes of Qwen3-0.6B. */
const large = {
  ...plannedModel,
  vocabSize: 151_936,
  hiddenSize: 1024,
  numLayers: 28,
  numHeads: 16,
  numKvHeads: 8,
  headSize: 128,
  intermediateSize: 3072,
  maxPositions: 40_960,
};

describe("a plan", () => {
  it("of 0.6 billion parameters takes neither their memory nor a minute", async () => {
    const before = process.memoryUsage().rss;
    const began = performance.now();
    const planned = await plan({}, { model: large, heldOut: heldOutTasks });
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
    expect(planned.parameters).toBe(596_049_920);
    expect(planned.trainable).toBe(596_049_920);
    expect(peakOf(planned, "start")).toBeGreaterThan(4 * 4 * planned.parameters);
    expect(planned.peakBytes).toBeGreaterThan(peakOf(planned, "start"));
    // Nobody can bind the optimiser's vector at once on an adapter with WebGPU's usual 2 GiB.
    expect(planned.largestTensor.bytes).toBeGreaterThan(2 ** 31);
  });

  it("says of every byte what it is", async () => {
    const planned = await plan({ loraRank: 4, precision: "f16" }, { heldOut: heldOutTasks });
    for (const { peakBytes, parts } of planned.phases)
      expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(peakBytes);
    const [start, evaluation, rollouts, frozen, gradients, update] = planned.phases;
    expect([start, evaluation, rollouts, frozen, gradients, update].map(({ phase }) => phase)).toEqual([
      "start",
      "evaluation",
      "rollouts",
      "frozen",
      "gradients",
      "update",
    ]);
    const { headSize, numKvHeads, numLayers } = plannedModel;
    const slot = 2 * 2 * numLayers * numKvHeads * headSize;
    expect(rollouts.parts.cache % slot).toBe(0);
    expect(rollouts.parts.cache).toBeGreaterThanOrEqual(slot * 4 * plannedConfig().maxRolloutTokens);
    expect(gradients.parts.logits).toBeGreaterThan(0);
    expect(gradients.parts.gradients).toBeGreaterThan(0);
    expect(gradients.parts.cache).toBe(0);
    expect(update.parts.optimizer).toBeGreaterThan(0);
    expect(planned.peakBytes).toBe(Math.max(...planned.phases.map(({ peakBytes }) => peakBytes)));
    expect(planned.pooledPeakBytes).toBeGreaterThanOrEqual(planned.peakBytes);
  });

  it("follows the settings that save memory", async () => {
    const full = await plan();
    const recomputed = await plan({ activationCheckpointing: true });
    expect(peakOf(recomputed, "gradients")).toBeLessThan(0.8 * peakOf(full, "gradients"));
    const adapters = await plan({ loraRank: 2 });
    expect(adapters.trainable).toBeLessThan(full.trainable / 4);
    expect(peakOf(adapters, "start")).toBeLessThan(peakOf(full, "start") / 2);
    const half = await plan({ precision: "f16" });
    expect(peakOf(half, "rollouts")).toBeLessThan(0.8 * peakOf(full, "rollouts"));
    const [whole, parts] = await Promise.all(
      [32_768, 4096].map((tokenBudget) => plan({ promptsPerStep: 8, tokenBudget })),
    );
    expect(peakOf(parts, "gradients")).toBeLessThan(0.9 * peakOf(whole, "gradients"));
    const fewer = await plan({ promptsPerStep: 1 });
    expect(peakOf(fewer, "rollouts")).toBeLessThan(0.8 * peakOf(full, "rollouts"));
  });

  it("grows with the tokens of rollouts, up to their limit", async () => {
    const peaks = await Promise.all(
      [10, 100, 1200].map(async (rolloutTokens) => peakOf(await plan({}, { rolloutTokens }), "gradients")),
    );
    expect(peaks).toEqual(peaks.toSorted((a, b) => a - b));
    expect(peaks[2]).toBeGreaterThan(1.2 * peaks[0]);
  });

  it("of a method that trains nothing is its weights and its evaluation", async () => {
    const config = trainConfig({ method: "vanilla", maxContextTokens: 8192 });
    const planned = await plan({}, { config, heldOut: heldOutTasks });
    expect(planned.phases.map(({ phase }) => phase)).toEqual(["start", "evaluation"]);
  });

  it("is the same twice, and leaves the settings as they are", async () => {
    const config = Object.freeze(plannedConfig());
    expect(await plan({}, { config })).toEqual(await plan({}, { config }));
  });

  it("of tasks that do not fit is refused as the run would be", async () => {
    await expect(plan({ maxContextTokens: 300 })).rejects.toThrow(ContextLengthError);
  });
});
