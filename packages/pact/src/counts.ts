/** What metrics are made of: counts over a rollout, and means. */
import type { Rollout } from "./rollout.ts";
import { type RolloutStop, rolloutStops } from "./run-sink.ts";

/** Values of a step by metric name. */
export type MetricValues = { [name: string]: number | null };

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

/** Tokens of new prompts in a split rollout. */
export function countReprompted({ splits = [] }: Rollout): number {
  return total(splits.map(({ start, end }) => end - start));
}

/** Mean, null of nothing. */
export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : total(values) / values.length;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
