/**
 * What several runs of several methods say: per method the means over seeds with intervals, and the differences to a
 * baseline paired by seed. Plain numbers in, plain numbers out; the folder behind them is the command line's.
 */
import { type MeanOverRuns, meanOverRuns, pairedDifference } from "./statistics.ts";

/** Scores of a run's last evaluation that are compared, by their names. */
export const comparedScores = {
  sampledF1: "Solve-F1, sampled",
  greedyF1: "Solve-F1, greedy",
  sampledSuccess: "success, sampled",
  greedySuccess: "success, greedy",
} as const;

/** Name of a compared score. */
export type ComparedScore = keyof typeof comparedScores;

/** One run of a comparison. */
export interface ComparedRun {
  readonly method: string;
  readonly seed: number;
  /** Name of its folder. */
  readonly folder: string;
  readonly outcome: "done" | "stopped" | "failed" | "running" | "waiting";
  readonly error?: string;
  /** Steps done. */
  readonly steps: number;
  /** Of the evaluation after the last step; only of a run that is done. */
  readonly scores?: Readonly<Record<ComparedScore, number>>;
  /** Tokens sampled in training, tokens with a loss, and seconds of training and evaluations. */
  readonly sampledTokens: number;
  readonly trainedTokens: number;
  readonly seconds: number;
}

/** A method over its finished runs. */
export interface ComparedMethod {
  readonly method: string;
  /** Finished runs. */
  readonly runs: number;
  readonly scores: Readonly<Record<ComparedScore, MeanOverRuns | null>>;
  /** To the baseline, over the seeds that both have finished; null for the baseline itself. */
  readonly differences: Readonly<Record<ComparedScore, MeanOverRuns | null>> | null;
  /** Means over finished runs. */
  readonly sampledTokens: number | null;
  readonly trainedTokens: number | null;
  readonly seconds: number | null;
}

/** `comparison.json`. */
export interface Comparison {
  /** What was asked for; the same command has the same. */
  readonly settings: ComparisonSettings;
  readonly baseline: string;
  readonly runs: readonly ComparedRun[];
  readonly methods: readonly ComparedMethod[];
}

/** What the runs of a comparison share, and the settings of each method that differ from the defaults. */
export interface ComparisonSettings {
  readonly methods: readonly string[];
  readonly seeds: readonly number[];
  /** Options of `pact train` that all runs share. */
  readonly shared: { readonly [option: string]: string | number };
  readonly train: { readonly [method: string]: { readonly [setting: string]: unknown } };
}

/**
 * Adds up the runs of a comparison.
 *
 * @example summarise(settings, "sft", runs).methods[0].scores.greedyF1?.mean
 */
export function summariseRuns(
  settings: ComparisonSettings,
  baseline: string,
  runs: readonly ComparedRun[],
): Comparison {
  const done = (method: string) => runs.filter((run) => run.method === method && run.scores !== undefined);
  const bySeed = (method: string, score: ComparedScore): Map<number, number> =>
    new Map(done(method).flatMap(({ seed, scores }) => (scores ? [[seed, scores[score]]] : [])));
  const each = (value: (score: ComparedScore) => MeanOverRuns | undefined) => {
    const names = Object.keys(comparedScores) as ComparedScore[];
    const entries = names.map((score) => [score, value(score) ?? null]);
    return Object.fromEntries(entries) as Record<ComparedScore, MeanOverRuns | null>;
  };
  const methods = settings.methods.map((method): ComparedMethod => {
    const own = done(method);
    const mean = (pick: (run: ComparedRun) => number) => meanOverRuns(own.map(pick))?.mean ?? null;
    return {
      method,
      runs: own.length,
      scores: each((score) => meanOverRuns([...bySeed(method, score).values()])),
      differences:
        method === baseline
          ? null
          : each((score) => pairedDifference(bySeed(method, score), bySeed(baseline, score))),
      sampledTokens: mean((run) => run.sampledTokens),
      trainedTokens: mean((run) => run.trainedTokens),
      seconds: mean((run) => run.seconds),
    };
  });
  return { settings, baseline, runs, methods };
}
