/**
 * Every metric of a training step, defined once: its name, what it means, how to read it, and how it is computed.
 *
 * A metric that does not apply to a step (no rollouts under `sft`, no z = 0 prompt this step) is null: `noMetrics`
 * holds every name.
 */
import type { TrainConfig } from "./config.ts";
import type { FrozenBatch } from "./denominators.ts";
import type { ObjectiveOptions } from "./losses/objective.ts";
import { policyLoss } from "./losses/policy-registry.ts";
import { phaseAt } from "./methods.ts";
import type { MicroBatch } from "./pack.ts";
import type { Rollout } from "./rollout.ts";
import { type RolloutStop, rolloutStops } from "./run-sink.ts";
import { expertShare, supervisionAt } from "./schedules.ts";
import { lossTerm } from "./trees.ts";
import type { BatchGradient } from "./update.ts";

/**
 * Meaning of each metric.
 *
 * @example
 * ```ts
 * typeof metricDescriptions["loss/total"]; // → "string"
 * ```
 */
export const metricDescriptions: { readonly [name: string]: string } = {
  "reward/mean": "mean sum of turn rewards of the step's rollouts",
  "reward/zero_variance":
    "share of prompts whose rollouts all have the same reward: they bring no trajectory advantage",
  "solve/f1": "mean Solve-F1 of the rollouts, on training tasks",
  "solve/p": "mean Solve-P of the rollouts",
  "solve/r": "mean Solve-R of the rollouts",
  "rollout/calls":
    "mean number of executed or parsed calls of a rollout; a rise without a rise of Solve-F1 is call spam",
  "rollout/malformed": "mean number of calls that could not be parsed",
  "rollout/turns": "mean number of assistant turns",
  "rollout/tokens": "mean number of tokens the policy sampled in a rollout",
  "rollout/think": "share of turns that open with <think>; a fall means that reasoning fades",
  ...Object.fromEntries(
    rolloutStops.map((stop) => [`stop/${stop}`, `share of rollouts that stopped for the reason ${stop}`]),
  ),
  "policy/entropy":
    "mean −log π of sampled tokens at temperature 1: a sampling estimate of the entropy, in nats",
  "policy/sampler_difference":
    "mean |trainer − sampler| log-prob of tokens trained prompt-only, same context: rounding only",
  "policy/sampler_difference_max": "the largest of these differences",
  "policy/approximate_kl":
    "mean log π_old − log π_θ at the last update of the batch; 0 with one update, unless ratioDenominator is behaviour",
  "policy/clip_fraction":
    "share of rollout tokens that clipping affects at the last update; 0 with one update",
  "policy/dual_clip_fraction": "share of rollout tokens that the dual clip affects",
  "trace/gap":
    "mean log π(τ|x,h*) − log π(τ|x) per token of z = 0 rollouts: strongly negative means foreign rollouts",
  "trace/anchored": "share of prompts with z = 1, which train L^x alone; only with anchor gate",
  "trace/context_gap":
    "mean |log π_old(τ|x,h*) − log π_old(τ|x)| per traced token by the training forward; not under ratioDenominator trace",
  "trace/truncated": "share of traced tokens whose correction the cap cut; only under traceTruncated",
  "loss/total": "the objective before the update. A value near 0 with a gradient is normal: ratios are 1",
  "loss/x":
    "L^x over z = 1 prompts (all with anchor mix, weighted), as its share of the mean over all prompts",
  "loss/h": "L^h over z = 0 prompts, as its share of the mean over all prompts",
  "loss/sft":
    "L_SFT before β, as its share of the mean over all prompts; under chord the expert loss before μ, and L^x is before 1 − μ",
  "loss/kl": "estimate of KL to the frozen initial model, before its coefficient",
  "loss/entropy":
    "mean entropy over the vocabulary at rollout tokens, weighted like L^x, before its coefficient",
  "sft/reasoning_nll": "mean −log π of active expert reasoning tokens",
  "sft/call_nll": "mean −log π of expert call tokens",
  "sft/answer_nll": "mean −log π of expert answer tokens; only whole episodes train them",
  "gradient/norm": "global gradient norm before clipping",
  "gradient/x": "norm of the gradient of L^x alone (every gradientNormsEvery steps)",
  "gradient/h": "norm of the gradient of L^h alone",
  "gradient/sft": "norm of the gradient of β L_SFT alone",
  "schedule/learning_rate": "learning rate of the step",
  "schedule/call_weight": "λ_a(s)",
  "schedule/level": "reasoning-prefix level, 4 … 0",
  "schedule/reasoning_share": "share of R's tokens that is active; only with reasoningSchedule token",
  "schedule/call_share": "share of the call tokens that is active; only with callSchedule token",
  "schedule/expert_share": "μ of method chord",
  "tokens/sampled": "tokens sampled so far in the run's training",
  "tokens/trained": "tokens with a loss so far",
  "tokens/forward":
    "packed tokens passed through the training forward so far, prompts and observations included",
  "tasks/skipped": "training tasks left out because their context exceeds the limit",
};

/** Values of a step by metric name. */
export type MetricValues = { [name: string]: number | null };

/** Every metric as null: what a step's line starts from. */
export const noMetrics: MetricValues = Object.fromEntries(
  Object.keys(metricDescriptions).map((name) => [name, null]),
);

/**
 * Metrics of the rollouts of a step.
 *
 * @param rewards R of each rollout
 * @param rolloutsPerPrompt K; rollouts of a prompt are neighbours
 */
export function rolloutMetrics(
  rollouts: readonly Rollout[],
  rewards: readonly number[],
  rolloutsPerPrompt: number,
  thinkId: number,
): MetricValues {
  const groups = rollouts.length / rolloutsPerPrompt;
  const flat = Array.from({ length: groups }, (_, group) => {
    const members = rewards.slice(group * rolloutsPerPrompt, (group + 1) * rolloutsPerPrompt);
    return members.every((reward) => reward === members[0]);
  });
  const turns = rollouts.flatMap((rollout) =>
    rollout.turns.map((turn) => rollout.ids[turn.start] === thinkId),
  );
  const stops = countStops(rollouts);
  return {
    "reward/mean": mean(rewards),
    "reward/zero_variance": mean(flat.map(Number)),
    "solve/f1": mean(rollouts.map((rollout) => rollout.score.solveF1)),
    "solve/p": mean(rollouts.map((rollout) => rollout.score.solveP)),
    "solve/r": mean(rollouts.map((rollout) => rollout.score.solveR)),
    "rollout/calls": mean(rollouts.map(countCalls)),
    "rollout/malformed": mean(
      rollouts.map((rollout) => total(rollout.turns.map((turn) => turn.malformedCalls))),
    ),
    "rollout/turns": mean(rollouts.map((rollout) => rollout.turns.length)),
    "rollout/tokens": mean(rollouts.map(countSampled)),
    "rollout/think": mean(turns.map(Number)),
    ...Object.fromEntries(rolloutStops.map((stop) => [`stop/${stop}`, stops[stop] / rollouts.length])),
  };
}

/**
 * Metrics of the scored tokens of a step.
 *
 * @param logProbs of the first forward of the batch, per micro-batch, in the routed contexts
 * @param policyLosses loss of each token before the update; default −A, which a clipped loss is at ratio 1
 * @param expertLoss loss of an expert token, as in the objective
 */
export function tokenMetrics(
  batches: readonly MicroBatch[],
  logProbs: readonly Float64Array[],
  policyLosses: readonly Float64Array[] = batches.map(({ advantages }) => advantages.map((a) => -a)),
  expertLoss: ObjectiveOptions["expertLoss"] = "nll",
): MetricValues {
  const sampler: number[] = [];
  const differences: number[] = [];
  const gaps: number[] = [];
  const reasoning: number[] = [];
  const calls: number[] = [];
  const answers: number[] = [];
  const experts = new Map<number, number[]>([
    [lossTerm.sftReasoning, reasoning],
    [lossTerm.sftCall, calls],
    [lossTerm.sftAnswer, answers],
  ]);
  const losses = { x: 0, h: 0, sft: 0 };
  batches.forEach((batch, index) => {
    batch.terms.forEach((term, token) => {
      const logProb = logProbs[index][token];
      const expert = experts.get(term);
      if (expert) {
        expert.push(-logProb);
        const p = Math.exp(logProb);
        losses.sft -= batch.sftWeights[token] * logProb * (expertLoss === "phi" ? p * (1 - p) : 1);
        return;
      }
      sampler.push(-batch.samplerLogProbs[token]);
      const difference = logProb - batch.samplerLogProbs[token];
      const loss = batch.policyWeights[token] * policyLosses[index][token];
      if (term === lossTerm.anchored) {
        differences.push(Math.abs(difference));
        losses.x += loss;
      } else {
        gaps.push(difference);
        losses.h += loss;
      }
    });
  });
  return {
    "policy/entropy": mean(sampler),
    "policy/sampler_difference": mean(differences),
    "policy/sampler_difference_max":
      differences.length === 0 ? null : differences.reduce((a, b) => Math.max(a, b)),
    "trace/gap": mean(gaps),
    "loss/x": differences.length === 0 ? null : losses.x,
    "loss/h": gaps.length === 0 ? null : losses.h,
    "loss/sft": reasoning.length + calls.length === 0 ? null : losses.sft,
    "sft/reasoning_nll": mean(reasoning),
    "sft/call_nll": mean(calls),
    "sft/answer_nll": mean(answers),
  };
}

/** What clipping did to the rollout tokens of a batch: `old` is π_old, `new` from its last forward. */
export function clipMetrics(
  batches: readonly MicroBatch[],
  oldLogProbs: readonly Float64Array[],
  newLogProbs: readonly Float64Array[],
  { policyLoss: name = "vanilla", clipLow, clipHigh, dualClip }: ObjectiveOptions,
): MetricValues {
  const newValues: number[] = [];
  const oldValues: number[] = [];
  const advantages: number[] = [];
  const sequences: number[] = [];
  let first = 0;
  batches.forEach((batch, index) => {
    let last = -1;
    batch.terms.forEach((term, token) => {
      if (term !== lossTerm.anchored && term !== lossTerm.traced) return;
      newValues.push(newLogProbs[index][token]);
      oldValues.push(oldLogProbs[index][token]);
      advantages.push(batch.advantages[token]);
      sequences.push(first + batch.sequences[token]);
      last = Math.max(last, batch.sequences[token]);
    });
    first += last + 1;
  });
  if (oldValues.length === 0) return {};
  const tokens = { newLogProbs: newValues, oldLogProbs: oldValues, advantages, sequences };
  const statistics = policyLoss(name).statistics(tokens, { clipLow, clipHigh, dualClip });
  return {
    "policy/approximate_kl": statistics.approximateKl,
    "policy/clip_fraction": statistics.clipFraction,
    "policy/dual_clip_fraction": statistics.dualClipFraction,
  };
}

/**
 * Metrics of the updates of a batch, from its first and its last.
 *
 * @param losses policy loss of every token before the first update
 */
export function updateMetrics(
  { batches, oldValues, contextGap, truncated }: FrozenBatch,
  first: BatchGradient,
  last: BatchGradient,
  losses: readonly Float64Array[],
  objective: ObjectiveOptions,
): MetricValues {
  return {
    ...tokenMetrics(batches, first.logProbs, losses, objective.expertLoss),
    ...clipMetrics(batches, oldValues ?? first.logProbs, last.logProbs, objective),
    "trace/context_gap": contextGap,
    "trace/truncated": truncated,
    "loss/total": first.loss,
    "loss/kl": first.kl,
    "loss/entropy": first.entropy,
  };
}

/** The schedules at a step, those that the method follows. */
export function scheduleMetrics(config: TrainConfig, step: number): MetricValues {
  if (config.method === "chord") return { "schedule/expert_share": expertShare(config, step) };
  const isTraced = config.anchor !== "gate" || config.anchorProbability < 1;
  // Without prompts behind their traces there is no component-aware SFT term to anneal.
  if (phaseAt(config, step) === "imitate" || !isTraced) return {};
  const { callWeight, level, callShare, reasoningShare } = supervisionAt(config, step);
  return {
    "schedule/call_weight": callWeight,
    "schedule/level": config.reasoningSchedule === "segment" ? level : null,
    "schedule/call_share": config.callSchedule === "token" ? callShare : null,
    "schedule/reasoning_share": config.reasoningSchedule === "token" ? reasoningShare : null,
  };
}

/** Rollouts by stop reason; the counts add up to the number of rollouts. */
export function countStops(rollouts: readonly Rollout[]): { [Stop in RolloutStop]: number } {
  const counts = Object.fromEntries(rolloutStops.map((stop) => [stop, 0])) as {
    [Stop in RolloutStop]: number;
  };
  for (const { stop } of rollouts) counts[stop] += 1;
  return counts;
}

/** Parsed calls of a rollout. */
export function countCalls(rollout: Rollout): number {
  return total(rollout.turns.map((turn) => turn.calls.length));
}

/** Tokens the policy sampled in a rollout. */
export function countSampled(rollout: Rollout): number {
  return rollout.turnOf.filter((turn) => turn >= 0).length;
}

/** Mean, null of nothing. */
export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : total(values) / values.length;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
