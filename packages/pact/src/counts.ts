/** What metrics are made of: counts over a rollout, means, and what a mean of scores says. */
import type { Rollout } from "./rollout.ts";
import { type RolloutStop, rolloutStops, type SolveScores } from "./run-sink.ts";

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

/**
 * Whether mean scores are of episodes without a single call. Solve-P = S / C, the share of calls that solved something, is
 * then 1 by its definition; a table shows no number.
 *
 * @example madeNoCall({ solveP: 1, solveF1: 0 }) // true
 */
export function madeNoCall({ solveP, solveF1 }: Pick<SolveScores, "solveP" | "solveF1">): boolean {
  // Calls that are all right solve something, and Solve-F1 is above 0.
  return solveP === 1 && solveF1 === 0;
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
