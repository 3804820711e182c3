/**
 * ToolHop's measures: answer correctness by FTRL's rule (which MatchTIR uses) and by the original release's, and the
 * paper's invocation error, which the released code does not have.
 *
 * Rules as in github.com/bytedance/FTRL `Code/evaluation/evaluation_toolhop.py` (Apache-2.0) and the original release
 * (bytedance-research/ToolHop, Apache-2.0).
 */
import { match } from "../scoring.ts";
import type { Message } from "../types.ts";

/** How an episode went. */
export interface ToolHopScore {
  /** Answer correctness by FTRL's `match`. */
  correct: boolean;
  /** Answer correctness by the original release's rule. */
  correctOriginal: boolean;
  /** Calls that got feedback. */
  calls: number;
  /** Calls whose feedback is an error. */
  callErrors: number;
}

/**
 * The original release's rule: the answer is a substring of the output, both lower-cased, commas dropped from the
 * output, and every `.` and `0` stripped from the end of both.
 *
 * NOTE: it is lenient: the answer 200 becomes 2, and an answer of zeros alone is in every text.
 *
 * @example
 * ```ts
 * originalMatch("It is 2,010.", "2010"); // → true
 * ```
 */
export function originalMatch(output: string, answer: string): boolean {
  return withoutZeros(output.toLowerCase().replaceAll(",", "")).includes(withoutZeros(answer.toLowerCase()));
}

/** Python's `rstrip(".0")`, in linear time. */
function withoutZeros(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === "0" || text[end - 1] === ".")) end--;
  return text.slice(0, end);
}

/**
 * Whether a conversation ends in the right answer: the last message is the assistant's, not empty, and matches; or the
 * message before it is a tool's and matches.
 *
 * @param matches - the rule; default FTRL's `match`
 * @example
 * ```ts
 * answersCorrectly([{ role: "assistant", content: "<answer>1861</answer>" }], "1861"); // → true
 * ```
 */
export function answersCorrectly(
  messages: readonly Message[],
  answer: string,
  matches: (output: string, answer: string) => boolean = match,
): boolean {
  const last = messages.at(-1);
  if (last?.role !== "assistant" || last.content.trim() === "") return false;
  if (matches(last.content, answer)) return true;
  const before = messages.at(-2);
  return before?.role === "tool" && matches(before.content, answer);
}

/** ToolHop's columns over several episodes, each in [0, 1]. */
export interface ToolHopSummary {
  answerCorrectness: number;
  answerCorrectnessOriginal: number;
  /** Errors / calls; 0 without calls. */
  invocationErrorPerCall: number;
  /** Share of episodes with an error. */
  invocationErrorPerQuery: number;
}

/**
 * Column means of scores; zeros for none.
 *
 * @example
 * ```ts
 * summariseToolHop([]).answerCorrectness; // → 0
 * ```
 */
export function summariseToolHop(scores: readonly ToolHopScore[]): ToolHopSummary {
  const sum = (pick: (score: ToolHopScore) => number) =>
    scores.reduce((total, score) => total + pick(score), 0);
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return {
    answerCorrectness: share(
      sum((s) => Number(s.correct)),
      scores.length,
    ),
    answerCorrectnessOriginal: share(
      sum((s) => Number(s.correctOriginal)),
      scores.length,
    ),
    invocationErrorPerCall: share(
      sum((s) => s.callErrors),
      sum((s) => s.calls),
    ),
    invocationErrorPerQuery: share(
      sum((s) => Number(s.callErrors > 0)),
      scores.length,
    ),
  };
}
