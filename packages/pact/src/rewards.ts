/**
 * Rewards of a rollout: similarity of tool calls, one-to-one matching with the reference calls, turn rewards and
 * answer F1.
 *
 * From arXiv 2606.16215 (section on the reward) with details from the public code of MatchTIR
 * (github.com/quchangle1/MatchTIR, verl/utils/reward_score/tool.py). Everything is f64 on the host: no tensor.
 * The training rewards of FTRL and ToolRL are in published-rewards.ts.
 */
import { type Assignment, greedyAssignment, optimalAssignment } from "./assignment.ts";
import { RewardError } from "./errors.ts";

/** A JSON value as parsed from a tool call. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A tool call as the reward sees it: a name and its arguments. */
export interface Call {
  readonly name: string;
  readonly arguments: { readonly [key: string]: Json };
}

/** What one assistant turn did: its parsed calls, and its answer (`null` when it gave none). */
export interface RewardTurn {
  readonly calls: readonly Call[];
  readonly answer: string | null;
}

/** Options of `turnRewards`. */
export interface TurnRewardOptions {
  /** λ_pen ≥ 0: an unmatched call is worth −λ_pen. Default 0 (the paper). */
  readonly unmatchedPenalty?: number;
  /** `optimal` (Hungarian, the paper; default) or `greedy` (MatchTIR's code). */
  readonly assignment?: "optimal" | "greedy";
}

/** Result of `turnRewards`; the assignment is over all calls of the rollout in order. */
export interface TurnRewards {
  readonly perTurn: readonly number[];
  /** R = Σ_t r_t. */
  readonly total: number;
  readonly assignment: Assignment;
}

/** Nesting beyond this counts as unequal: arguments come from a model and must not overflow the stack. */
const MAXIMUM_DEPTH = 64;

/**
 * Deep equality of JSON values as Python compares them: `1 == 1.0`, `True == 1`, key order ignored, `"3" != 3`.
 *
 * @example
 * ```ts
 * pythonEquals({ a: [1, true] }, { a: [1.0, 1] }); // → true
 * ```
 */
export function pythonEquals(a: Json, b: Json, depth = 0): boolean {
  const left = typeof a === "boolean" ? Number(a) : a;
  const right = typeof b === "boolean" ? Number(b) : b;
  if (left === right) return true;
  if (left === null || right === null || typeof left !== "object" || typeof right !== "object") return false;
  if (depth >= MAXIMUM_DEPTH) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((value, index) => pythonEquals(value, right[index], depth + 1));
  }
  const leftRecord = left as { readonly [key: string]: Json };
  const rightRecord = right as { readonly [key: string]: Json };
  const keys = Object.keys(leftRecord);
  if (keys.length !== Object.keys(rightRecord).length) return false;
  return keys.every(
    (key) => Object.hasOwn(rightRecord, key) && pythonEquals(leftRecord[key], rightRecord[key], depth + 1),
  );
}

/**
 * Similarity of a predicted and a reference call in [0, 1].
 *
 * 0 unless the names agree (case ignored); else `(1 + J + E) / (2 + n)` with J the Jaccard index of the argument
 * keys (1 when both are empty), E the number of reference arguments predicted exactly, n the number of reference
 * arguments. Keys of a JSON object are distinct, so the paper's multiset Jaccard is the one over sets.
 *
 * NOTE: right name and key with a wrong value still earns 2/3 when there is one argument.
 *
 * @see arXiv 2606.16215, reward; MatchTIR tool.py
 * @example
 * ```ts
 * callSimilarity({ name: "f", arguments: { x: 1 } }, { name: "f", arguments: { x: 2 } }); // → 0.6666667
 * callSimilarity({ name: "f", arguments: { x: 1 } }, { name: "g", arguments: { x: 1 } }); // → 0
 * ```
 */
export function callSimilarity(predicted: Call, reference: Call): number {
  if (predicted.name.toLowerCase() !== reference.name.toLowerCase()) return 0;
  const referenceKeys = Object.keys(reference.arguments);
  const shared = referenceKeys.filter((key) => Object.hasOwn(predicted.arguments, key));
  const union = Object.keys(predicted.arguments).length + referenceKeys.length - shared.length;
  const jaccard = union === 0 ? 1 : shared.length / union;
  const exact = shared.filter((key) =>
    pythonEquals(predicted.arguments[key], reference.arguments[key]),
  ).length;
  return (1 + jaccard + exact) / (2 + referenceKeys.length);
}

/**
 * Similarities of all pairs, `[predicted][reference]`.
 *
 * @example
 * ```ts
 * const call = { name: "f", arguments: { x: 1 } };
 * similarityMatrix([call, { ...call, name: "g" }], [call]); // → [[1], [0]]
 * ```
 */
export function similarityMatrix(predicted: readonly Call[], reference: readonly Call[]): number[][] {
  return predicted.map((call) => reference.map((other) => callSimilarity(call, other)));
}

/**
 * Reward of every turn of a rollout and their sum.
 *
 * The calls of all turns are matched together, one to one, with the reference calls. `r_t` is the mean over the
 * turn's calls of the matched similarity (−λ_pen for an unmatched call), 0 for a turn without calls. A turn that
 * answers is worth the answer's token F1 alone; its calls are ignored and take no reference.
 *
 * @throws RewardError when λ_pen is negative or not finite
 * @see arXiv 2606.16215, reward; MatchTIR tool.py
 * @example
 * ```ts
 * const call = { name: "f", arguments: { x: 1 } };
 * const turns = [{ calls: [call, call], answer: null }, { calls: [], answer: "2.5" }];
 * turnRewards(turns, [call], "2.5").perTurn; // → [0.5, 1]
 * turnRewards(turns, [call], "2.5", { unmatchedPenalty: 0.5 }).total; // → 1.25
 * ```
 */
export function turnRewards(
  turns: readonly RewardTurn[],
  references: readonly Call[],
  referenceAnswer: string,
  { unmatchedPenalty = 0, assignment = "optimal" }: TurnRewardOptions = {},
): TurnRewards {
  if (!(unmatchedPenalty >= 0 && unmatchedPenalty < Number.POSITIVE_INFINITY)) {
    throw new RewardError(
      `turnRewards: unmatchedPenalty must be finite and ≥ 0, received ${unmatchedPenalty}. Pass 0 for the paper's reward.`,
    );
  }
  const predicted = turns.flatMap((turn) => (turn.answer === null ? turn.calls : []));
  const similarity = similarityMatrix(predicted, references);
  const matched = assignment === "optimal" ? optimalAssignment(similarity) : greedyAssignment(similarity);
  let index = 0;
  let total = 0;
  const perTurn = turns.map((turn) => {
    let reward = 0;
    if (turn.answer !== null) reward = answerF1(turn.answer, referenceAnswer);
    else if (turn.calls.length > 0) {
      for (const _ of turn.calls) {
        const column = matched.columns[index];
        // `0 - penalty` and not `-penalty`: the latter would be −0 for the paper's penalty of 0.
        reward += column === null ? 0 - unmatchedPenalty : similarity[index][column];
        index += 1;
      }
      reward /= turn.calls.length;
    }
    total += reward;
    return reward;
  });
  return { perTurn, total, assignment: matched };
}

/**
 * The text of the first `<answer>…</answer>` in a response, `null` when there is none.
 *
 * @example
 * ```ts
 * extractAnswer("so <answer>Oslo</answer>"); // → "Oslo"
 * extractAnswer("Oslo"); // → null
 * ```
 */
export function extractAnswer(response: string): string | null {
  const open = response.indexOf("<answer>");
  if (open < 0) return null;
  const close = response.indexOf("</answer>", open);
  return close < 0 ? null : response.slice(open + "<answer>".length, close);
}

/**
 * F1 over the sets of distinct tokens of an answer and its reference, in [0, 1]; 0 when either set is empty.
 *
 * Tokens: lower case, every ASCII punctuation character replaced by a space, split on white space.
 *
 * @see MatchTIR tool.py
 * @example
 * ```ts
 * answerF1("the Serengeti National Park", "Serengeti National Park Tanzania"); // → 0.75
 * ```
 */
export function answerF1(answer: string, reference: string): number {
  const predicted = answerTokens(answer);
  const expected = answerTokens(reference);
  const shared = [...predicted].filter((token) => expected.has(token)).length;
  if (shared === 0) return 0;
  const precision = shared / predicted.size;
  const recall = shared / expected.size;
  return (2 * precision * recall) / (precision + recall);
}

function answerTokens(text: string): Set<string> {
  const spaced = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, " ");
  return new Set(spaced.split(/\s+/).filter((token) => token.length > 0));
}
