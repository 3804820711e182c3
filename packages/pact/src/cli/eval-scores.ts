/**
 * Scores of an evaluation: means over tasks (a task's own value is the mean of its attempts) with 95 % intervals, pass@k and
 * pass^k, per category and overall. Failed episodes are left out everywhere and counted.
 *
 * BFCL's Multi-Turn is the unweighted mean of its four categories; FTRL averages over all rows.
 */
import { type Estimate, estimate } from "@pact/tools-sim";
import { type SuccessScores, successScores } from "../success.ts";
import type { EpisodeRecord } from "./eval-folder.ts";

/** Scores of some tasks. */
export interface Scores extends SuccessScores {
  /** Tasks with a finished attempt. */
  readonly tasks: number;
  /** Finished attempts. */
  readonly episodes: number;
  /** The family's own measure: Solve-F1, or right and wrong. */
  readonly value: Estimate;
  readonly solveP?: Estimate;
  readonly solveR?: Estimate;
  readonly solveF1?: Estimate;
  /** Shares of the family's further verdicts by name: ToolHop's original rule, state and results of `bfcl-like`. */
  readonly verdicts?: Readonly<Record<string, Estimate>>;
  /** ToolHop's invocation error: the share of calls that failed, and of episodes with such a call. */
  readonly invocationError?: { readonly perCall: number; readonly perQuery: Estimate };
}

/** Scores of a whole evaluation. */
export interface AllScores {
  /** Null before the first finished episode. */
  readonly overall: Scores | null;
  readonly categories: Readonly<Record<string, Scores>>;
  /** Only for BFCL with all four categories. */
  readonly multiTurn?: Scores;
}

/**
 * The scores of finished episodes.
 *
 * @param records - failed ones may be among them
 * @param attempts - the greatest k
 * @param multiTurn - categories whose unweighted mean is wanted; it is given if each has a finished episode
 */
export function scoresOf(
  records: Iterable<EpisodeRecord>,
  attempts: number,
  multiTurn: readonly string[] = [],
): AllScores {
  const byCategory = new Map<string, Map<string, EpisodeRecord[]>>();
  for (const record of records) {
    if (record.error !== undefined) continue;
    const tasks = byCategory.get(record.category) ?? new Map<string, EpisodeRecord[]>();
    byCategory.set(record.category, tasks);
    tasks.set(record.taskId, [...(tasks.get(record.taskId) ?? []), record]);
  }
  // Resampling depends on the order: it must not be that in which episodes happened to end.
  const sorted = [...byCategory].sort(([a], [b]) => (a < b ? -1 : 1));
  const groups = new Map(
    sorted.map(([category, tasks]) => [
      category,
      [...tasks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, episodes]) => episodes),
    ]),
  );
  if (groups.size === 0) return { overall: null, categories: {} };
  const parts = multiTurn.flatMap((category) => {
    const tasks = groups.get(category);
    return tasks === undefined ? [] : [tasks];
  });
  return {
    overall: score([[...groups.values()].flat()], attempts),
    categories: Object.fromEntries(
      [...groups].map(([category, tasks]) => [category, score([tasks], attempts)]),
    ),
    ...(multiTurn.length > 0 && parts.length === multiTurn.length
      ? { multiTurn: score(parts, attempts) }
      : {}),
  };
}

/** A task's finished attempts. */
type TaskEpisodes = readonly EpisodeRecord[];

function score(groups: readonly (readonly TaskEpisodes[])[], attempts: number): Scores {
  const all = groups.flat();
  const over = (pick: (record: EpisodeRecord) => number): Estimate =>
    estimate(groups.map((tasks) => tasks.map((episodes) => mean(episodes.map(pick)))));
  const solved = all.every((episodes) => episodes.every(({ solve }) => solve !== undefined));
  const names = Object.keys(all[0][0].verdicts ?? {}).filter((name) =>
    all.flat().every(({ verdicts }) => verdicts !== undefined && Object.hasOwn(verdicts, name)),
  );
  const calls = all.flat().flatMap((record) => (record.calls === undefined ? [] : [record.calls]));
  const made = calls.reduce((sum, call) => sum + call.made, 0);
  const lost = calls.reduce((sum, call) => sum + call.failed, 0);
  return {
    tasks: all.length,
    episodes: all.flat().length,
    ...successScores(
      groups.map((tasks) => tasks.map((episodes) => episodes.map(({ success }) => success))),
      attempts,
    ),
    value: over(({ value }) => value),
    ...(solved
      ? {
          solveP: over(({ solve }) => solve?.solveP ?? 0),
          solveR: over(({ solve }) => solve?.solveR ?? 0),
          solveF1: over(({ solve }) => solve?.solveF1 ?? 0),
        }
      : {}),
    ...(names.length > 0
      ? {
          verdicts: Object.fromEntries(
            names.map((name) => [name, over(({ verdicts }) => (verdicts?.[name] ? 1 : 0))]),
          ),
        }
      : {}),
    ...(calls.length === all.flat().length
      ? {
          invocationError: {
            perCall: made === 0 ? 0 : lost / made,
            perQuery: over((record) => ((record.calls?.failed ?? 0) > 0 ? 1 : 0)),
          },
        }
      : {}),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
