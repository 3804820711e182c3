/**
 * Every metric of a training step, defined once: its name, what it means, how to read it, and how it is computed.
 *
 * A metric that does not apply to a step (no rollouts under `sft`, no z = 0 prompt this step) is null: `noMetrics`
 * holds every name.
 */
import { lossTerm, type MicroBatch } from "./batch.ts";
import { type ClipOptions, clipStatistics } from "./losses/policy.ts";
import type { Rollout } from "./rollout.ts";
import { type RolloutStop, rolloutStops } from "./run-sink.ts";

/** Meaning of each metric. */
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
    "mean |trainer − sampler| log-prob of z = 1 tokens, same context: rounding only",
  "policy/sampler_difference_max": "the largest of these differences",
  "policy/approximate_kl": "mean log π_old − log π_θ at the last update of the batch; 0 with one update",
  "policy/clip_fraction":
    "share of rollout tokens that clipping affects at the last update; 0 with one update",
  "policy/dual_clip_fraction": "share of rollout tokens that the dual clip affects",
  "trace/gap":
    "mean log π(τ|x,h*) − log π(τ|x) per token of z = 0 rollouts: strongly negative means foreign rollouts",
  "trace/anchored": "share of prompts with z = 1, which train L^x alone",
  "loss/total": "the objective before the update. A value near 0 with a gradient is normal: ratios are 1",
  "loss/x": "L^x over z = 1 prompts, as its share of the mean over all prompts",
  "loss/h": "L^h over z = 0 prompts, as its share of the mean over all prompts",
  "loss/sft": "L_SFT before β, as its share of the mean over all prompts",
  "sft/reasoning_nll": "mean −log π of active expert reasoning tokens",
  "sft/call_nll": "mean −log π of expert call tokens",
  "sft/answer_nll": "mean −log π of expert answer tokens; only method sft trains them",
  "gradient/norm": "global gradient norm before clipping",
  "gradient/x": "norm of the gradient of L^x alone (every gradientNormsEvery steps)",
  "gradient/h": "norm of the gradient of L^h alone",
  "gradient/sft": "norm of the gradient of β L_SFT alone",
  "schedule/learning_rate": "learning rate of the step",
  "schedule/call_weight": "λ_a(s)",
  "schedule/level": "reasoning-prefix level, 4 … 0",
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
 */
export function tokenMetrics(
  batches: readonly MicroBatch[],
  logProbs: readonly Float64Array[],
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
        losses.sft -= batch.sftWeights[token] * logProb;
        return;
      }
      sampler.push(-batch.samplerLogProbs[token]);
      const difference = logProb - batch.samplerLogProbs[token];
      // At the first forward every ratio is 1, so a token's surrogate is −A.
      const loss = -batch.policyWeights[token] * batch.advantages[token];
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

/** What clipping did to the rollout tokens of a batch: `old` from its first forward, `fresh` from its last. */
export function clipMetrics(
  batches: readonly MicroBatch[],
  oldLogProbs: readonly Float64Array[],
  newLogProbs: readonly Float64Array[],
  options: ClipOptions,
): MetricValues {
  const columns = { fresh: [] as number[], old: [] as number[], advantages: [] as number[] };
  batches.forEach((batch, index) => {
    batch.terms.forEach((term, token) => {
      if (term !== lossTerm.anchored && term !== lossTerm.traced) return;
      columns.fresh.push(newLogProbs[index][token]);
      columns.old.push(oldLogProbs[index][token]);
      columns.advantages.push(batch.advantages[token]);
    });
  });
  if (columns.old.length === 0) return {};
  const statistics = clipStatistics(columns.fresh, columns.old, columns.advantages, options);
  return {
    "policy/approximate_kl": statistics.approximateKl,
    "policy/clip_fraction": statistics.clipFraction,
    "policy/dual_clip_fraction": statistics.dualClipFraction,
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
