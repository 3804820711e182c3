/** A batch of three prompts with scripted rollouts, and its gradient under any configuration, for tests. */
import { key } from "@pact/tensor";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { freezeBatch } from "../../packages/pact/src/denominators.ts";
import { objectiveAt } from "../../packages/pact/src/methods.ts";
import type { Model } from "../../packages/pact/src/model.ts";
import { type MicroBatch, microBatches } from "../../packages/pact/src/pack.ts";
import {
  collectRollouts,
  type Rollout,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import {
  buildEpisode,
  type PromptTree,
  type RoutedPrompt,
  stepTrees,
} from "../../packages/pact/src/trees.ts";
import { batchGradient, frozenLogProbs } from "../../packages/pact/src/update.ts";
import { testDialect } from "./codec.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task, trace } from "./tasks.ts";

const scripts = [
  `<think>a</think>${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`,
  `${callText("Kelm")}<|end|><think>no</think><answer>Kelm</answer><|end|>`,
  "<answer>x</answer><|end|>",
].map(scriptIds);

/** Three scripted rollouts of the test task: two turns, two turns, one turn. */
export function scriptedRollouts(): Promise<Rollout[]> {
  return collectRollouts([rolloutPrompt(testDialect, withoutTrace(task), 0)], {
    dialect: testDialect,
    policy: scriptedPolicy((row) => scripts[row]),
    rolloutsPerPrompt: 3,
    temperature: 1,
    maxTurns: 3,
    maxTurnTokens: 120,
    maxRolloutTokens: 400,
    key: key(0),
  });
}

const perTurn = [[0.9, 0.4], [-0.7, -1.1], [0.3]];

/** A traced prompt, an anchored one, and a traced one with a shorter trace; all traced unless the anchor is a gate. */
export function routedPrompts(rollouts: readonly Rollout[], config: TrainConfig): RoutedPrompt[] {
  const advantages = config.advantage.startsWith("turn")
    ? perTurn
    : perTurn.map((own) => own.map(() => own[0]));
  const other = {
    ...task,
    id: "t2",
    question: 'Mayor of "Kelm"?',
    trace: { ...trace, turns: [trace.turns[1]] },
  };
  const gated = config.anchor === "gate";
  const everywhere = gated && config.anchorProbability === 1;
  return [
    { task, rollouts, advantages, anchored: everywhere },
    { task, rollouts: rollouts.slice(0, 2), advantages: advantages.slice(0, 2), anchored: gated },
    { task: other, rollouts, advantages, anchored: everywhere },
  ];
}

/** Trees of the batch as the trainer builds them. */
export function treesOf(
  rollouts: readonly Rollout[],
  given: Partial<TrainConfig>,
  step = 2,
): { config: TrainConfig; trees: readonly PromptTree[]; plain: readonly PromptTree[] } {
  const takesSft = (given.method ?? "pact") === "pact" && given.anchorProbability !== 1;
  const sft = takesSft ? { sftWeight: 0.5 } : {};
  const config = trainConfig({ steps: 4, innerUpdates: 2, ...sft, ...given });
  const prompts = routedPrompts(rollouts, config);
  if (config.method !== "sft") return { config, ...stepTrees(testDialect, prompts, step, config) };
  const episodes = prompts.map((prompt) =>
    buildEpisode(testDialect, prompt.task, prompts.length, config.maxContextTokens),
  );
  return { config, trees: episodes, plain: [] };
}

/** Loss and flat gradient at a model, with ratios to `old` and KL to `old`. */
export async function gradientAt(
  model: Model,
  old: Model,
  rollouts: readonly Rollout[],
  given: Partial<TrainConfig>,
  change: (batch: MicroBatch) => MicroBatch = (batch) => batch,
): Promise<{ loss: number; flat: number[]; batches: readonly MicroBatch[]; tokens: number }> {
  const { config, trees, plain } = treesOf(rollouts, given);
  const packed = microBatches(trees, config).map(change);
  const behind = plain.length === 0 ? [] : microBatches(plain, config);
  const frozen = await freezeBatch(old, packed, behind, { ...config, innerUpdates: 2 });
  const reference = config.klCoefficient > 0 ? frozenLogProbs(old, packed) : undefined;
  const { loss, grads } = await batchGradient(model, frozen.batches, objectiveAt(config, 2), {
    old: frozen.old,
    reference,
  });
  const flat: number[] = [];
  for (const gradient of Object.values(grads)) {
    flat.push(...Array.from(await gradient.data(), Number));
    gradient.dispose();
  }
  for (const tensor of [...(frozen.old ?? []), ...(reference ?? [])]) tensor.dispose();
  const tokens = packed.reduce((sum, batch) => sum + batch.packed.ids.length, 0);
  return { loss, flat, batches: frozen.batches, tokens };
}

/** One configuration for every value of every switch that shapes trees, weights or losses. */
export const switchCases: readonly Partial<TrainConfig>[] = [
  {},
  { traceRendering: "reference" },
  { traceContext: "safe" },
  { traceContext: "scheduled" },
  { traceContext: "safe", traceRendering: "reference", traceComponents: ["reasoning", "calls"] },
  { traceComponents: ["calls", "observations"] },
  { traceComponents: ["reasoning", "observations"] },
  { traceComponents: ["reasoning", "calls"] },
  { traceComponents: ["observations"] },
  { traceComponents: [] },
  { traceDelimiter: "question" },
  { anchor: "none" },
  { anchor: "mix", anchorWeight: 0.7 },
  { anchor: "mix", anchorWeight: 0.7, traceContext: "safe", policyLoss: "gspo", advantage: "grpo" },
  { anchorProbability: 1 },
  { ratioDenominator: "behaviour" },
  { ratioDenominator: "behaviour", traceContext: "safe" },
  { ratioDenominator: "traceTruncated", truncation: 1.0001 },
  { ratioDenominator: "traceTruncated", anchor: "mix" },
  { sftNormaliser: "count" },
  { sftNormaliser: "perComponent" },
  { reasoningTags: "exclude" },
  { reasoningSchedule: "token" },
  { reasoningSchedule: "fixed" },
  { reasoningSchedule: "none" },
  { callSchedule: "token" },
  { callSchedule: "fixed" },
  { callSchedule: "none" },
  { policyLoss: "gspo", advantage: "grpo" },
  { policyLoss: "cispo" },
  { policyLoss: "reinforce" },
  { rolloutAverage: "token" },
  { rolloutAverage: "token-mean" },
  { rolloutAverage: "seq-mean-token-sum" },
  { rolloutAverage: "seq-mean-token-sum-norm" },
  { klCoefficient: 0.3 },
  { klCoefficient: 0.3, klEstimator: "k1" },
  { klCoefficient: 0.3, klEstimator: "k2" },
  { klCoefficient: 0.3, klEstimator: "k3+" },
  { entropyWeight: 0.1 },
  { method: "sft" },
  { method: "chord" },
  { method: "chord", chordVariant: "mu" },
  { method: "chord", chordWeight: 0.6 },
];
