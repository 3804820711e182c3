/** What a run ends with: the record of `--json`, and the table a person reads. */
import type { Estimate } from "@pact/tools-sim";
import { madeNoCall } from "../counts.ts";
import type { EvaluationResult, SolveScores } from "../run-sink.ts";
import type { Paint } from "./terminal.ts";

/** Stands below a table that shows no Solve-P somewhere. */
export const noCallNote =
  "P is – where no call was made; its definition has 1 there, and so have the logs and --json";

/** Solve-P, Solve-R and Solve-F1 of one decoding. */
export type Scores = Pick<SolveScores, "solveP" | "solveR" | "solveF1">;
/** Scores of one evaluation, by decoding. */
export interface ScoresByDecoding {
  readonly sampled: Scores;
  readonly greedy: Scores;
}

/** The last line of `pact train --json`. */
export interface RunResult {
  /** `webgpu` or `cpu`. */
  readonly device: string;
  /** `hardware`, `lavapipe`, `swiftshader` or `none`. */
  readonly driver: string;
  readonly seed: number;
  /** Steps done; fewer than asked for after Ctrl-C. */
  readonly steps: number;
  /** Wall clock of the whole run. */
  readonly seconds: number;
  /**
   * Work, not distinct tokens: tokens sampled (evaluations included) + tokens trained on. A token of a training rollout
   * counts when it is sampled and again in every optimiser update that trains on it.
   */
  readonly tokens: number;
  readonly before: ScoresByDecoding | null;
  readonly after: ScoresByDecoding | null;
  readonly runDir: string;
}

/** The scores of an evaluation as `--json` gives them: three numbers per decoding. */
export function scoresOf(evaluation: EvaluationResult | undefined): ScoresByDecoding | null {
  if (evaluation === undefined) return null;
  const pick = ({ solveP, solveR, solveF1 }: SolveScores): Scores => ({ solveP, solveR, solveF1 });
  return { sampled: pick(evaluation.sampled), greedy: pick(evaluation.greedy) };
}

/** The before/after table for the terminal, as lines. */
export function summaryTable(result: Pick<RunResult, "before" | "after">, paint: Paint): string[] {
  const { before, after } = result;
  if (before === null && after === null) return [];
  const cells = (scores: Scores | undefined): string =>
    scores === undefined
      ? "    –      –      –"
      : [
          madeNoCall(scores) ? "–" : scores.solveP.toFixed(3),
          scores.solveR.toFixed(3),
          scores.solveF1.toFixed(3),
        ]
          .map((text) => text.padStart(5))
          .join("  ");
  const shown = [before, after].flatMap((scores) => (scores ? [scores.sampled, scores.greedy] : []));
  const row = (name: string, a: Scores | undefined, b: Scores | undefined): string => {
    const difference = a !== undefined && b !== undefined ? b.solveF1 - a.solveF1 : undefined;
    const text =
      difference === undefined
        ? ""
        : `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(3)}`.padStart(9);
    const change = difference === undefined ? "" : paint(difference < 0 ? "bad" : "good", text);
    return `  ${name.padEnd(9)} ${cells(a)}    ${cells(b)}  ${change}`;
  };
  return [
    paint("dim", `  ${"Solve".padEnd(9)} ${"before".padEnd(19)}    after`),
    paint("dim", `  ${"".padEnd(9)}     P      R     F1        P      R     F1   change`),
    row("sampled", before?.sampled, after?.sampled),
    row("greedy", before?.greedy, after?.greedy),
    ...(shown.some(madeNoCall) ? [paint("dim", `  ${noCallNote}`)] : []),
  ];
}

/**
 * Success (the environment's outcome) at every evaluation, as lines: greedy, and of the k sampled rollouts per task avg@k,
 * pass@k and pass^k, each with its 95 % interval.
 */
export function successTable(evaluations: readonly EvaluationResult[], paint: Paint): string[] {
  if (evaluations.length === 0) return [];
  const shown = ({ mean, low, high }: Estimate): string =>
    `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
  const most = Math.max(...evaluations.map(({ sampled }) => sampled.attempts));
  const names = most > 1 ? [`avg@${most}`, `pass@${most}`, `pass^${most}`] : ["sampled"];
  const cells = ({ greedy, sampled }: EvaluationResult): string[] => {
    const last = [sampled.passAtK, sampled.passHatK].map((list) => list.find(({ k }) => k === most));
    const estimates = [greedy.success, sampled.success, ...(most > 1 ? last : [])];
    return estimates.map((estimate) => (estimate === undefined ? "–" : shown(estimate)));
  };
  const line = (first: string, rest: readonly string[]): string =>
    `  ${first.padEnd(9)} ${rest.map((text) => text.padEnd(21)).join("  ")}`.trimEnd();
  return [
    paint("dim", line("Success", ["greedy", ...names])),
    ...evaluations.map((result) => line(`step ${result.step}`, cells(result))),
  ];
}
