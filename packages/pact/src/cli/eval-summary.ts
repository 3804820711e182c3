/** What an evaluation ends with: summary.json, and the failures that a person is shown. */
import { bfclCategories, type Suite } from "@pact/tools-sim";
import type { EvalFolder } from "./eval-folder.ts";
import type { EvalOptions } from "./eval-options.ts";
import { type AllScores, scoresOf } from "./eval-scores.ts";
import { printable } from "./terminal.ts";

/** Failures that are printed; summary.json has all. */
const shownFailures = 20;

/** summary.json, and the line of `--json`. */
export interface EvalSummary extends AllScores {
  /** `done`: every episode was played, failed ones included. */
  readonly outcome: "done" | "stopped" | "failed";
  /** What ended it, if it failed as a whole. */
  readonly error?: string;
  readonly env: string;
  readonly model: string;
  readonly episodes: {
    readonly total: number;
    readonly finished: number;
    /** Tried, but the model could not be asked. */
    readonly failed: number;
    /** Not played yet. */
    readonly missing: number;
  };
  /** As the server counts them. */
  readonly tokens: { readonly prompt: number; readonly completion: number };
  /** Why the finished episodes ended. */
  readonly stopReasons: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly taskId: string; readonly attempt: number; readonly error: string }[];
  /** Lines of the data that were left out. */
  readonly skipped: readonly string[];
  /** Wall clock of this run of the command. */
  readonly seconds: number;
  readonly folder: string;
}

/** The summary of what a folder holds; how it ended and how long it took come from the caller. */
export function summaryOf(
  options: Pick<EvalOptions, "model" | "attempts">,
  suite: Pick<Suite, "id" | "tasks" | "skipped">,
  folder: Pick<EvalFolder, "records" | "path">,
): Omit<EvalSummary, "outcome" | "error" | "seconds"> {
  const records = [...folder.records.values()];
  const finished = records.filter(({ error }) => error === undefined);
  const total = suite.tasks.length * options.attempts;
  const stopReasons: Record<string, number> = {};
  for (const { stopReason } of finished) stopReasons[stopReason] = (stopReasons[stopReason] ?? 0) + 1;
  return {
    env: suite.id,
    model: options.model ?? "",
    episodes: {
      total,
      finished: finished.length,
      failed: records.length - finished.length,
      missing: total - records.length,
    },
    ...scoresOf(finished, options.attempts, suite.id === "bfcl" ? bfclCategories : []),
    tokens: {
      prompt: records.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      completion: records.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
    },
    stopReasons,
    failures: records.flatMap(({ taskId, attempt, error }) =>
      error === undefined ? [] : [{ taskId, attempt, error }],
    ),
    skipped: suite.skipped,
    folder: folder.path,
  };
}

/** The failed episodes as lines for a person; none if there are none. */
export function failureLines({ failures, episodes }: EvalSummary): string[] {
  const lines = failures
    .slice(0, shownFailures)
    .map(({ taskId, attempt, error }) => `    ${taskId}, attempt ${attempt + 1}: ${printable(error)}`);
  if (lines.length === 0) return [];
  const more = failures.length > shownFailures ? ["    … all of them are in summary.json"] : [];
  return [
    "",
    `  ${episodes.failed} of ${episodes.total} episodes failed and are in no score; the same command tries them again:`,
    ...lines,
    ...more,
  ];
}
