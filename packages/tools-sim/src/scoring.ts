/**
 * FTRL's scoring of an episode: which goldens its tool outputs solved. Rules as in bytedance/FTRL
 * (`Code/verl/utils/reward_score/tool.py`) and quchangle1/MatchTIR, whose outputs our goldens record. The final answer is not scored.
 */

/** Precision, recall and F1 of solved goldens, with the counts they come from. */
export interface SolveScore {
  /** Executed calls C; a call to an unknown tool was executed and failed, one that could not be parsed was not. */
  calls: number;
  /** Solved goldens S. */
  solved: number;
  /** Goldens U. */
  goldens: number;
  /** S / C; 1 without calls. */
  solveP: number;
  /** S / U; 1 without goldens. */
  solveR: number;
  /** 2S / (C + U); 1 without both. */
  solveF1: number;
}

function normalise(text: string): string {
  return text.toLowerCase().replaceAll(",", "").trim();
}

/**
 * Whether a tool output contains a golden: the golden is split at ", " and every part must be a substring of
 * the output, after lower-casing, dropping commas and trimming both.
 *
 * @example
 * ```ts
 * match('{"sum": 1500}', "1,500"); // → true
 * ```
 */
export function match(output: string, golden: string): boolean {
  const text = normalise(output);
  return golden.split(", ").every((part) => text.includes(normalise(part)));
}

/**
 * Which golden each call solved: calls in order, each removing the first remaining golden of its tool that its
 * output matches.
 *
 * @returns solved golden or undefined per call
 */
export function solvedGoldens(
  calls: readonly { name: string; output: string }[],
  unsolved: Readonly<Record<string, readonly string[]>>,
): (string | undefined)[] {
  const remaining = new Map(Object.entries(unsolved).map(([name, goldens]) => [name, [...goldens]]));
  return calls.map(({ name, output }) => {
    const goldens = remaining.get(name) ?? [];
    const index = goldens.findIndex((golden) => match(output, golden));
    return index < 0 ? undefined : goldens.splice(index, 1)[0];
  });
}

/**
 * Solve-P, Solve-R and Solve-F1 of an episode. Scores of several tasks are averaged per column.
 *
 * @example
 * ```ts
 * solveScore([{ name: "area", output: "1500000" }], { area: ["1500000"] }).solveF1; // → 1
 * ```
 */
export function solveScore(
  calls: readonly { name: string; output: string }[],
  unsolved: Readonly<Record<string, readonly string[]>>,
): SolveScore {
  const solved = solvedGoldens(calls, unsolved).filter((golden) => golden !== undefined).length;
  const goldens = Object.values(unsolved).reduce((sum, list) => sum + list.length, 0);
  const both = calls.length + goldens;
  return {
    calls: calls.length,
    solved,
    goldens,
    solveP: calls.length === 0 ? 1 : solved / calls.length,
    solveR: goldens === 0 ? 1 : solved / goldens,
    solveF1: both === 0 ? 1 : (2 * solved) / both,
  };
}

/** Column means of scores; zeros for none. */
export function meanSolveScore(
  scores: readonly SolveScore[],
): Pick<SolveScore, "solveP" | "solveR" | "solveF1"> {
  const mean = (pick: (score: SolveScore) => number) =>
    scores.length === 0 ? 0 : scores.reduce((sum, score) => sum + pick(score), 0) / scores.length;
  return { solveP: mean((s) => s.solveP), solveR: mean((s) => s.solveR), solveF1: mean((s) => s.solveF1) };
}
