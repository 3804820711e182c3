/** The scores of an evaluation as lines for a person. */
import type { Estimate } from "@pact/tools-sim";
import { madeNoCall } from "../counts.ts";
import type { PassEstimate } from "../success.ts";
import type { AllScores, Scores } from "./eval-scores.ts";
import { noCallNote } from "./summary.ts";
import type { Paint } from "./terminal.ts";

/** Most k that the terminal shows; summary.json has all. */
const shownAttempts = 8;

/**
 * A table of success and Solve scores per category, with 95 % intervals, then pass@k and pass^k if there is more than one
 * attempt.
 */
export function scoreTable({ overall, categories, multiTurn }: AllScores, paint: Paint): string[] {
  if (overall === null) return ["  no episode has finished"];
  const rows: [string, Scores][] = Object.entries(categories);
  if (multiTurn !== undefined) rows.push(["Multi-Turn (mean)", multiTurn]);
  rows.push(["all tasks", overall]);
  const solved = overall.solveF1 !== undefined;
  const width = Math.max(...rows.map(([name]) => name.length));
  const header = `${"".padEnd(width)}  ${"tasks".padStart(6)}  ${"success".padEnd(22)}${solved ? "Solve-P  Solve-R  Solve-F1" : ""}`;
  const lines = [paint("dim", `  ${header.trimEnd()}`)];
  for (const [name, scores] of rows) {
    const solve = [
      scores.solveP === undefined
        ? ""
        : `${(hasNoCall(scores) ? "–" : scores.solveP.mean.toFixed(3)).padEnd(7)}  `,
      scores.solveR === undefined ? "" : `${scores.solveR.mean.toFixed(3).padEnd(7)}  `,
      scores.solveF1 === undefined ? "" : interval(scores.solveF1),
    ];
    const line = `${name.padEnd(width)}  ${String(scores.tasks).padStart(6)}  ${interval(scores.success).padEnd(22)}${solve.join("")}`;
    lines.push(`  ${line.trimEnd()}`);
  }
  if (rows.some(([, scores]) => hasNoCall(scores))) lines.push(paint("dim", `  ${noCallNote}`));
  const { verdicts = {}, invocationError: errors } = overall;
  if (Object.keys(verdicts).length > 1 || errors !== undefined) lines.push("");
  // A single verdict is the success itself.
  if (Object.keys(verdicts).length > 1)
    for (const [name, share] of Object.entries(verdicts)) lines.push(`  ${name}  ${interval(share)}`);
  if (errors !== undefined)
    lines.push(
      `  invocation error  ${errors.perCall.toFixed(3)} of calls, ${interval(errors.perQuery)} of episodes`,
    );
  const { passAtK, passHatK } = multiTurn ?? overall;
  if (passAtK.length > 1) {
    lines.push("", paint("dim", `  ${"k".padEnd(5)}${"pass@k".padEnd(22)}pass^k`));
    const shown = (list: readonly PassEstimate[]) => list.slice(0, shownAttempts);
    for (const [i, at] of shown(passAtK).entries())
      lines.push(`  ${String(at.k).padEnd(5)}${interval(at).padEnd(22)}${interval(passHatK[i])}`);
    if (passAtK.length > shownAttempts) lines.push(paint("dim", `  … up to ${passAtK.length}: summary.json`));
  }
  return lines;
}

function hasNoCall({ solveP, solveF1 }: Scores): boolean {
  return (
    solveP !== undefined &&
    solveF1 !== undefined &&
    madeNoCall({ solveP: solveP.mean, solveF1: solveF1.mean })
  );
}

function interval({ mean, low, high }: Estimate): string {
  return `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}
