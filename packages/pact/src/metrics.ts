/**
 * The metrics of a training step put together. What each means is in metric-table.ts; those of rollouts and of tokens are
 * computed in metrics-rollouts.ts and metrics-tokens.ts.
 *
 * A metric that does not apply to a step (no rollouts under `sft`, no z = 0 prompt this step) is null: `noMetrics`
 * holds every name.
 */
import type { TrainConfig } from "./config.ts";
import type { MetricValues } from "./counts.ts";
import type { FrozenBatch } from "./denominators.ts";
import type { ObjectiveOptions } from "./losses/objective.ts";
import { phaseAt } from "./methods.ts";
import { metricTable } from "./metric-table.ts";
import { clipMetrics, tokenMetrics } from "./metrics-tokens.ts";
import { expertShare, supervisionAt } from "./schedules.ts";
import type { BatchGradient } from "./update.ts";

/** Every metric as null: what a step's line starts from. */
export const noMetrics: MetricValues = Object.fromEntries(metricTable.map(({ name }) => [name, null]));

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
