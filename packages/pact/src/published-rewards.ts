/**
 * Training rewards of the published tool-use trainings, for comparison: FTRL's four, ToolRL's, and MatchTIR's version
 * of the latter. MatchTIR's own reward is `turnRewards` with `assignment: "greedy"`.
 *
 * Rules as in github.com/bytedance/FTRL `Code/verl/utils/reward_score/tool.py` (Apache-2.0),
 * github.com/qiancheng0/ToolRL `verl/utils/reward_score/rlla.py` (Apache-2.0), github.com/quchangle1/MatchTIR. Left out:
 * ToolRL's schedules and length reward, which its released settings switch off.
 */
import { solvedGoldens } from "@pact/tools-sim";
import { type Call, type Json, pythonEquals } from "./rewards.ts";

/**
 * What s newly solved goldens in c calls are worth: `f1` 2s / (c + 1) (FTRL's choice), `rate` s, `precision` s / c,
 * `precisionRecall` s² / c.
 */
export type FtrlVariant = "f1" | "rate" | "precision" | "precisionRecall";

/** One assistant step as FTRL rewards it. */
export interface FtrlStep {
  /** The assistant's text. */
  readonly response: string;
  /** Its parsed calls with their outputs, in order; empty where none could be parsed. */
  readonly calls: readonly { readonly name: string; readonly output: string }[];
  /** Goldens by tool that were unsolved before this step. */
  readonly unsolved: Readonly<Record<string, readonly string[]>>;
  /** Solve rate before this step, in [0, 1]. */
  readonly solveRate: number;
  /** The task's answer; null where it has none. */
  readonly answer: string | null;
}

/**
 * FTRL's training reward of one step. A step with calls is worth what its variant says; without: −0.5 empty, −0.3 with
 * call tags, 1 / (1 + goldens left) if the answer is in the text, 0.5 if everything was solved before, else 0.
 *
 * @param variant how solved goldens count; default `f1`
 * @see arXiv 2508.08791; FTRL tool.py
 * @example
 * ```ts
 * const step = {
 *   response: "<tool_call>…</tool_call>",
 *   calls: [{ name: "area", output: "1500" }, { name: "area", output: "7" }],
 *   unsolved: { area: ["1500"] },
 *   solveRate: 0,
 *   answer: "7",
 * };
 * ftrlReward(step); // → 0.6666667
 * ftrlReward({ ...step, response: "", calls: [] }); // → -0.5
 * ```
 */
export function ftrlReward(step: FtrlStep, variant: FtrlVariant = "f1"): number {
  const { calls, unsolved, answer } = step;
  if (calls.length > 0) {
    const solved = solvedGoldens(calls, unsolved).filter((golden) => golden !== undefined).length;
    switch (variant) {
      case "f1":
        return (2 * solved) / (calls.length + 1);
      case "rate":
        return solved;
      case "precision":
        return solved / calls.length;
      case "precisionRecall":
        return (solved * solved) / calls.length;
    }
  }
  const text = withoutEnd(withoutEnd(step.response.trim(), "<|endoftext|>"), "<|im_end|>");
  if (text === "") return -0.5;
  if (["<tool_call>", "</tool_call>", "<tool_parsed_response>"].some((tag) => text.includes(tag)))
    return -0.3;
  const left = Object.values(unsolved).reduce((sum, goldens) => sum + goldens.length, 0);
  if (answer !== null && plain(text).includes(plain(answer))) return 1 / (1 + left);
  return step.solveRate === 1 ? 0.5 : 0;
}

function withoutEnd(text: string, end: string): string {
  return text.endsWith(end) ? text.slice(0, -end.length).trim() : text;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(",", "").trim();
}

/** ToolRL's reward and its two parts: `score` = `format` + `correctness`. */
export interface ToolRlReward {
  readonly score: number;
  /** 1 if the response has exactly the parts of the reference in their places, else 0. */
  readonly format: number;
  /** In [−3, 3]; 0 when the reference calls nothing. */
  readonly correctness: number;
}

/**
 * ToolRL's reward of a response. Both texts are in its format: `<think>` and then, each after a line break, a
 * `<tool_call>` block with one JSON object `{"name", "parameters"}` a line and a `<response>` block, as the reference has
 * them.
 *
 * @see arXiv 2504.13958; ToolRL rlla.py
 * @example
 * ```ts
 * const reference = '<think>x</think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>';
 * toolRlReward(reference, reference); // → { score: 4, format: 1, correctness: 3 }
 * ```
 */
export function toolRlReward(response: string, reference: string): ToolRlReward {
  const format = hasFormatOf(response, reference) ? 1 : 0;
  const correctness = toolRlCorrectness(response, reference);
  return { score: format + correctness, format, correctness };
}

/** Whether the response is `<think>…</think>` and the blocks of the reference, each once and after a line break. */
function hasFormatOf(response: string, reference: string): boolean {
  if (!response.startsWith("<think>")) return false;
  // Python's `$` also stands before one line break at the end.
  let rest = response.endsWith("\n") ? response.slice(0, -1) : response;
  const blocks = ["response", "tool_call"].filter((tag) => reference.includes(`<${tag}>`));
  // From the end, block by block: each tag occurs once, so that there is one way to read the text.
  for (const tag of blocks) {
    if (count(response, `<${tag}>`) !== 1 || count(response, `</${tag}>`) !== 1) return false;
    const line = tag === "tool_call" ? "\n" : "";
    const [opening, closing] = [`\n<${tag}>${line}`, `${line}</${tag}>`];
    const open = rest.indexOf(opening);
    if (open < 0 || open + opening.length + closing.length > rest.length || !rest.endsWith(closing))
      return false;
    rest = rest.slice(0, open);
  }
  return rest.endsWith("</think>");
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

function toolRlCorrectness(response: string, reference: string): number {
  if (!reference.includes("<tool_call>")) return 0;
  const expected = readCalls(reference);
  const predicted = response.includes("</tool_call>") ? readCalls(response) : undefined;
  return expected === undefined || predicted === undefined ? -3 : callScore(predicted, expected);
}

/** The calls of the first block, one a line; undefined if it is absent or a line is no call. */
function readCalls(text: string): Call[] | undefined {
  const block = text.split("<tool_call>")[1]?.split("</tool_call>")[0].trim();
  const calls: Call[] = [];
  for (const line of block?.split("\n") ?? [""]) {
    try {
      const value = JSON.parse(line) as { name?: Json; parameters?: Json } | null;
      const { name, parameters } = value ?? {};
      if (typeof name !== "string" || typeof parameters !== "object" || parameters === null) return undefined;
      if (Array.isArray(parameters)) return undefined;
      calls.push({ name, arguments: parameters as Call["arguments"] });
    } catch {
      return undefined;
    }
  }
  return calls;
}

/**
 * MatchTIR's version of ToolRL's reward: correctness alone, in [−3, 3], and 0 without a call.
 *
 * @see arXiv 2504.13958; MatchTIR tool.py
 * @example
 * ```ts
 * const call = { name: "f", arguments: { x: 1 } };
 * toolRlCallReward([call], [call]); // → 3
 * toolRlCallReward([{ ...call, name: "g" }], [call]); // → -3
 * ```
 */
export function toolRlCallReward(predicted: readonly Call[], reference: readonly Call[]): number {
  return predicted.length === 0 ? 0 : callScore(predicted, reference);
}

/** 6 · (Jaccard of the names + Σ best unused match of the same name) / (1 + Σ (1 + parameters)) − 3. */
function callScore(predicted: readonly Call[], reference: readonly Call[]): number {
  const used = new Set<number>();
  let possible = 1;
  let score = overlap(
    reference.map((call) => call.name),
    predicted.map((call) => call.name),
  );
  for (const { name, arguments: expected } of reference) {
    const keys = Object.keys(expected);
    possible += 1 + keys.length;
    let best = -1;
    let bestScore = 0;
    for (const [i, call] of predicted.entries()) {
      if (used.has(i) || call.name !== name) continue;
      const exact = keys.filter(
        (key) => Object.hasOwn(call.arguments, key) && pythonEquals(call.arguments[key], expected[key]),
      ).length;
      const total = overlap(keys, Object.keys(call.arguments)) + exact;
      if (total > bestScore) [best, bestScore] = [i, total];
    }
    if (best >= 0) used.add(best);
    score += bestScore;
  }
  return (6 * score) / possible - 3;
}

/** Jaccard index of two lists with repetition; 1 if both are empty. */
function overlap(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 && b.length === 0) return 1;
  const left = new Map<string, number>();
  for (const name of a) left.set(name, (left.get(name) ?? 0) + 1);
  let shared = 0;
  for (const name of b) {
    const remaining = left.get(name) ?? 0;
    if (remaining === 0) continue;
    left.set(name, remaining - 1);
    shared++;
  }
  return shared / (a.length + b.length - shared);
}
