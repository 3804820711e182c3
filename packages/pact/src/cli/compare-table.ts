/** The table that `pact compare` ends with, and the runs that are not done. */
import { type ComparedMethod, type ComparedScore, type Comparison, comparedScores } from "../comparison.ts";
import type { MeanOverRuns } from "../statistics.ts";
import { type Paint, printable } from "./terminal.ts";

/** The lines of a comparison for a terminal. */
export function comparisonTable({ methods, baseline, runs }: Comparison, paint: Paint): string[] {
  const labels = [...methods.map(({ method }) => method), ...Object.values(comparedScores)];
  const width = Math.max(...labels.map((label) => label.length));
  const lines: string[] = [];
  for (const score of Object.keys(comparedScores) as ComparedScore[]) {
    const head = `${comparedScores[score].padEnd(width + 2)}${"n".padStart(3)}  ${"mean [95 % over seeds]".padEnd(24)}to ${baseline}, paired`;
    lines.push(paint("dim", `  ${head}`));
    for (const own of methods) {
      const { runs: count, scores, method } = own;
      const text = `${method.padEnd(width + 2)}${String(count).padStart(3)}  ${shown(scores[score]).padEnd(24)}`;
      lines.push(`  ${text}${difference(own, score, paint)}`.trimEnd());
    }
    lines.push("");
  }
  lines.push(
    paint(
      "dim",
      `  ${"mean of a run".padEnd(width + 2)}${"tokens sampled".padStart(15)}${"trained".padStart(12)}${"seconds".padStart(10)}`,
    ),
  );
  for (const { method, sampledTokens, trainedTokens, seconds } of methods)
    lines.push(
      `  ${method.padEnd(width + 2)}${whole(sampledTokens).padStart(15)}${whole(trainedTokens).padStart(12)}${(seconds === null ? "–" : seconds.toFixed(1)).padStart(10)}`,
    );
  for (const { folder, outcome, error, steps } of runs.filter((run) => run.outcome !== "done")) {
    const why =
      error === undefined
        ? `${outcome === "failed" ? "failed" : "not finished"} after ${steps} steps`
        : `failed: ${error}`;
    lines.push(paint("bad", `  ${folder} ${printable(why)}`));
  }
  return lines;
}

function difference({ differences }: ComparedMethod, score: ComparedScore, paint: Paint): string {
  if (differences === null) return paint("dim", "baseline");
  const value = differences[score];
  if (value === null) return "–";
  const { interval, runs } = value;
  const text = `${shown(value, true)} (n ${runs})`;
  if (interval === null || (interval.low <= 0 && interval.high >= 0)) return text;
  return paint(value.mean < 0 ? "bad" : "good", text);
}

function shown(value: MeanOverRuns | null, signed = false): string {
  if (value === null) return "–";
  const number = (x: number) => `${x < 0 ? "−" : signed ? "+" : ""}${Math.abs(x).toFixed(3)}`;
  const { mean, interval } = value;
  return `${number(mean)}${interval ? ` [${number(interval.low)}, ${number(interval.high)}]` : " [one run]"}`;
}

function whole(value: number | null): string {
  return value === null ? "–" : Math.round(value).toLocaleString("en-US");
}
