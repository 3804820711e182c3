/**
 * Tools that time out: whether the first call with given arguments fails is a hash of the task's failure seed and the
 * call, so it is the same in every episode of a task and does not depend on the order of calls.
 */
import { canonicalJson, spacedJson } from "./json.ts";
import { hash } from "./rng.ts";
import type { ToolCall } from "./types.ts";

/** The part of a setup that decides failures. */
export interface FailureSetup {
  /** Chance that the first call with given arguments times out; any later one succeeds. */
  failureRate: number;
  /** Seed of the failures, shared by all environments of this task. */
  failureSeed: number;
}

/** Observation of the failure that a retry mends. */
export const timeoutContent = spacedJson({ error: "timeout" });

/**
 * Remembers which calls were tried; the result says of a call, when it is made, whether it times out. That is so at most once for
 * a tool with given arguments, and the same in every episode of the task.
 *
 * @example
 * ```ts
 * const call: ToolCall = { type: "function", function: { name: "f", arguments: {} } };
 * const timesOut = failureLog({ failureRate: 1, failureSeed: 7 });
 * [timesOut(call), timesOut(call)]; // → [true, false]
 * ```
 */
export function failureLog(setup: FailureSetup): (call: ToolCall) => boolean {
  const attempted = new Set<string>();
  return (call) => {
    const key = `${call.function.name} ${canonicalJson(call.function.arguments)}`;
    if (attempted.has(key)) return false;
    attempted.add(key);
    return hash("failure", setup.failureSeed, key) / 2 ** 32 < setup.failureRate;
  };
}
