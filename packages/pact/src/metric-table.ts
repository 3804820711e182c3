/**
 * Every metric of a training step: name, unit, what it is and how to read it. The one place where a metric is defined for
 * people; docs/metrics.md is made from this table (scripts/metrics-page.ts), the report takes its notes from it, and a
 * test compares it with what a run writes.
 *
 * The values are computed in metrics.ts, metrics-rollouts.ts and metrics-tokens.ts.
 */
import { rolloutStops } from "./run-sink.ts";
import type { StepPart } from "./timings.ts";

/** A metric. Its group is its name up to the first "/". */
export interface MetricDefinition {
  readonly name: string;
  readonly unit: string;
  /** What it is, in one phrase. */
  readonly meaning: string;
  /** How to read it; empty where the meaning says all. */
  readonly reading: string;
}

type Row = readonly [name: string, unit: string, meaning: string, reading?: string];

const rows: readonly Row[] = [
  [
    "reward/mean",
    "reward",
    "mean over rollouts of the sum of turn rewards",
    "what is trained; compare it with solve/f1, which is not",
  ],
  ["reward/std", "reward", "its standard deviation over all rollouts of the step"],
  ["reward/calls_mean", "reward", "the part of turns that do not answer: mean"],
  ["reward/calls_std", "reward", "the same: standard deviation"],
  ["reward/answer_mean", "reward", "the part of the turn that answers: mean"],
  ["reward/answer_std", "reward", "the same: standard deviation"],
  [
    "reward/zero_variance",
    "share",
    "prompts whose rollouts all have the same reward",
    "they bring no trajectory advantage; near 1 there is nothing to learn",
  ],

  [
    "advantage/min",
    "advantage",
    "smallest advantage of a rollout token",
    "far from 0 on one side: a group with one outlier",
  ],
  ["advantage/max", "advantage", "largest advantage of a rollout token"],

  ["solve/f1", "share", "mean Solve-F1 of the rollouts, on training tasks"],
  ["solve/p", "share", "mean Solve-P of the rollouts, 1 for one without a call"],
  ["solve/r", "share", "mean Solve-R of the rollouts"],
  ["solve/success", "share", "rollouts whose environment counts the task as solved"],

  ["rollout/turns", "turns", "mean number of assistant turns"],
  [
    "rollout/calls",
    "calls",
    "mean number of calls that could be parsed",
    "a rise without a rise of solve/f1 is call spam",
  ],
  ["rollout/malformed", "calls", "mean number of calls that could not be parsed"],
  [
    "rollout/failed_calls",
    "calls",
    "mean number of parsed calls that a tool answered with an error",
    "unknown tools, bad arguments, and failures that the task itself has",
  ],
  ["rollout/think", "share", "turns that open with <think>", "a fall means that reasoning fades"],
  ["rollout/tokens", "tokens", "mean number of tokens the policy sampled in a rollout"],
  ["rollout/tokens_terminated", "tokens", "the same over rollouts that ended by themselves"],
  [
    "rollout/tokens_truncated",
    "tokens",
    "the same over rollouts that a limit ended",
    "if it is all there is, limits are too tight",
  ],
  [
    "rollout/truncated",
    "share",
    "rollouts that a limit ended (turns, tokens of a turn, tokens of the rollout)",
  ],

  ...rolloutStops.map(
    (stop): Row => [
      `stop/${stop}`,
      "share",
      `rollouts that stopped for the reason ${stop}`,
      stop === "answer" ? "the shares add up to 1" : "",
    ],
  ),

  [
    "policy/entropy",
    "nats",
    "mean −log π of sampled tokens at temperature 1",
    "a sampling estimate of the entropy; near 0 nothing is explored. It can look healthy while texts ignore the prompt",
  ],
  [
    "policy/sampler_difference",
    "nats",
    "mean |trainer − sampler| log-prob of tokens trained prompt-only, same context",
    "rounding only: about 1e-6 in f32",
  ],
  ["policy/sampler_difference_max", "nats", "the largest of these differences"],
  [
    "policy/sampler_kl",
    "nats",
    "k3 estimate of KL(sampler ‖ trainer) of the same tokens",
    "0 up to rounding",
  ],
  [
    "policy/approximate_kl",
    "nats",
    "mean log π_old − log π_θ at the last update of the batch",
    "0 with one update, unless ratioDenominator is behaviour",
  ],
  [
    "policy/ratio_mean",
    "ratio",
    "mean π_θ/π_old of rollout tokens at the last update",
    "1 with one update, unless ratioDenominator is behaviour",
  ],
  ["policy/ratio_max", "ratio", "the largest of them"],
  [
    "policy/clip_fraction",
    "share",
    "rollout tokens that clipping affects at the last update",
    "0 with one update; above 0.3 updates go too far",
  ],
  ["policy/clip_low_fraction", "share", "those of them that the lower bound 1 − clipLow affects"],
  ["policy/clip_high_fraction", "share", "those of them that the upper bound 1 + clipHigh affects"],
  ["policy/dual_clip_fraction", "share", "rollout tokens that the dual clip affects"],

  [
    "trace/gap",
    "nats",
    "mean log π(τ|x,h*) − log π(τ|x) per token of z = 0 rollouts",
    "trace-conditioned minus prompt-only; strongly negative: rollouts look foreign behind the trace",
  ],
  [
    "trace/anchored",
    "share",
    "prompts with z = 1, which train L^x alone: the gate",
    "near anchorProbability; only with anchor gate",
  ],
  [
    "trace/context_gap",
    "nats",
    "mean |log π_old(τ|x,h*) − log π_old(τ|x)| per traced token by the training forward",
    "not under ratioDenominator trace",
  ],
  [
    "trace/truncated",
    "share",
    "traced tokens whose correction the cap cut",
    "only under ratioDenominator traceTruncated",
  ],

  [
    "loss/total",
    "loss",
    "the objective before the update",
    "a value near 0 with a gradient is normal: ratios are 1 and advantages sum to about 0",
  ],
  [
    "loss/x",
    "loss",
    "L^x over z = 1 prompts (all with anchor mix, weighted), as its share of the mean over all prompts",
  ],
  ["loss/h", "loss", "L^h over z = 0 prompts, as its share of the mean over all prompts"],
  [
    "loss/sft",
    "loss",
    "L_SFT before β, as its share of the mean over all prompts",
    "under chord the expert loss before μ, and L^x is before 1 − μ",
  ],
  ["loss/x_mean", "loss", "L^x by its own denominator: the weighted mean over its own tokens"],
  ["loss/h_mean", "loss", "L^h by its own denominator"],
  ["loss/sft_mean", "loss", "L_SFT by its own denominator"],
  [
    "loss/kl",
    "nats",
    "estimate of KL to the frozen initial model, before its coefficient",
    "only with klCoefficient",
  ],
  [
    "loss/entropy",
    "nats",
    "mean entropy over the vocabulary at rollout tokens, weighted like L^x, before its coefficient",
    "exact, not sampled; only with entropyWeight",
  ],

  ["sft/reasoning_nll", "nats", "mean −log π of active expert reasoning tokens"],
  ["sft/call_nll", "nats", "mean −log π of expert call tokens"],
  ["sft/answer_nll", "nats", "mean −log π of expert answer tokens", "only whole episodes train them"],

  ["gradient/norm", "norm", "global gradient norm before clipping"],
  [
    "gradient/loss_scale",
    "factor",
    "what the loss was multiplied by on its way back through f16",
    "only with precision f16; it falls when a gradient left the floats, which was then computed again",
  ],
  ["gradient/x", "norm", "norm of the gradient of L^x alone", "every gradientNormsEvery steps"],
  ["gradient/h", "norm", "norm of the gradient of L^h alone"],
  ["gradient/sft", "norm", "norm of the gradient of β L_SFT alone"],

  ["schedule/learning_rate", "rate", "learning rate of the step"],
  ["schedule/call_weight", "weight", "λ_a(s), weight of call tokens in the SFT term"],
  ["schedule/level", "level", "level of the reasoning prefix, 4 … 0", "only with reasoningSchedule segment"],
  [
    "schedule/reasoning_share",
    "share",
    "reasoning tokens that are active",
    "only with reasoningSchedule token",
  ],
  ["schedule/call_share", "share", "call tokens that are active", "only with callSchedule token"],
  ["schedule/expert_share", "weight", "μ of method chord"],

  ["tokens/step_trained", "tokens", "tokens with a loss in this step, each counted once"],
  [
    "tokens/step_observation",
    "tokens",
    "tokens that tools and the template wrote into the rollouts of this step",
    "attended to, never trained",
  ],
  ["tokens/step_truncated", "tokens", "tokens sampled in rollouts of this step that a limit ended"],
  ["tokens/sampled", "tokens", "tokens sampled so far in the run's training"],
  ["tokens/trained", "tokens", "tokens with a loss so far, once for every update"],
  [
    "tokens/forward",
    "tokens",
    "packed tokens passed through the training forward so far, prompts and observations included",
  ],

  [
    "tasks/skipped",
    "tasks",
    "training tasks left out because their context exceeds the limit",
    "contexts are never cut; raise maxContextTokens",
  ],
];

/**
 * Every metric, by group.
 *
 * @example
 * ```ts
 * metricTable.find(({ name }) => name === "gradient/norm")?.unit; // → "norm"
 * ```
 */
export const metricTable: readonly MetricDefinition[] = rows.map(([name, unit, meaning, reading = ""]) => ({
  name,
  unit,
  meaning,
  reading,
}));

/**
 * Meaning and reading of each metric as one text.
 *
 * @example
 * ```ts
 * typeof metricDescriptions["loss/total"]; // → "string"
 * ```
 */
export const metricDescriptions: { readonly [name: string]: string } = Object.fromEntries(
  metricTable.map(({ name, meaning, reading }) => [
    name,
    reading === "" ? meaning : `${meaning}: ${reading}`,
  ]),
);

/** What the times under `time` of a line are, in seconds. They differ from run to run, so they stand apart. */
export const timeDescriptions: Readonly<
  Record<StepPart | "seconds" | "elapsed" | "checkpoint" | "evaluation", string>
> = {
  seconds: "the whole step, without checkpoints and evaluations",
  elapsed: "since this invocation of the run began",
  rollouts: "sampling and tools",
  rewards: "rewards, advantages, writing rollouts down, building prefix trees",
  frozen: "old log-probs, the KL reference, gradient norms by component",
  gradients: "forward and backward of all updates",
  update: "the optimiser",
  checkpoint: "the checkpoint saved before this step",
  evaluation: "the evaluation before this step",
};
