/**
 * BFCL's multi-turn score: the model's calls and the ground truth are replayed side by side on fresh simulators; a task
 * is right if after every turn with ground truth the states are equal and the truth's results are among the model's.
 * Source: Berkeley Function-Calling Leaderboard v4, multi-turn checker (Apache-2.0), as described there.
 */
import type { PyCall } from "../python/expression.ts";
import { equal } from "../python/values.ts";
import type { BfclResources, BfclTask } from "./load.ts";
import { BfclMachine } from "./machine.ts";

/** Why a task is wrong. */
export type BfclFailure =
  | { kind: "turn_count"; expected: number; received: number }
  | { kind: "no_calls"; turn: number }
  | { kind: "state"; turn: number; className: string; attribute: string }
  | { kind: "response"; turn: number; missing: string };

/** Right, or wrong and why. */
export type BfclScore = { correct: true } | { correct: false; failure: BfclFailure };

/**
 * Scores a whole episode.
 *
 * @param turns - for each user turn the model's steps, each the calls of one reply; a force-quit episode has fewer turns
 * @example
 * ```ts
 * scoreBfcl(task, resources, task.truth.map((calls) => [calls])).correct; // true: the truth against itself
 * ```
 */
export function scoreBfcl(
  task: BfclTask,
  resources: BfclResources,
  turns: readonly (readonly (readonly (string | PyCall)[])[])[],
): BfclScore {
  const fail = (failure: BfclFailure): BfclScore => ({ correct: false, failure });
  if (turns.length !== task.truth.length) {
    return fail({ kind: "turn_count", expected: task.truth.length, received: turns.length });
  }
  const model = new BfclMachine(task, resources);
  const truth = new BfclMachine(task, resources);
  // The model's results of all turns so far: a truth result may have been seen earlier.
  const seen: string[] = [];
  for (const [turn, steps] of turns.entries()) {
    const calls = steps.flat();
    for (const call of calls) seen.push(model.execute(call));
    const expected = task.truth[turn].map((call) => truth.execute(call));
    if (expected.length === 0) continue;
    if (calls.length === 0) return fail({ kind: "no_calls", turn });
    const wrong = firstDifference(model, truth);
    if (wrong) return fail({ kind: "state", turn, ...wrong });
    const missing = firstMissing(seen, expected);
    if (missing !== undefined) return fail({ kind: "response", turn, missing });
  }
  return { correct: true };
}

function firstDifference(
  model: BfclMachine,
  truth: BfclMachine,
): { className: string; attribute: string } | undefined {
  const actual = model.state();
  for (const [className, attributes] of truth.state()) {
    for (const [attribute, value] of attributes) {
      if (!equal(value, actual.get(className)?.get(attribute))) {
        return { className, attribute: String(attribute) };
      }
    }
  }
  return undefined;
}

/** The first text of `wanted` that `texts` does not hold often enough; order is free, extras are free. */
function firstMissing(texts: readonly string[], wanted: readonly string[]): string | undefined {
  const left = new Map<string, number>();
  for (const text of texts) left.set(text, (left.get(text) ?? 0) + 1);
  for (const text of wanted) {
    const count = left.get(text) ?? 0;
    if (count === 0) return text;
    left.set(text, count - 1);
  }
  return undefined;
}
