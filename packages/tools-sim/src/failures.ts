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

/** Whether the first call of a tool with these arguments times out: the same for every episode of the task. */
export function failsFirst(setup: FailureSetup, call: ToolCall): boolean {
  return hash("failure", setup.failureSeed, callKey(call)) / 2 ** 32 < setup.failureRate;
}

/** Remembers which calls were tried: `timesOut(call)` is true at most once for a tool with given arguments. */
export function failureLog(setup: FailureSetup): (call: ToolCall) => boolean {
  const attempted = new Set<string>();
  return (call) => {
    const key = callKey(call);
    const fails = !attempted.has(key) && failsFirst(setup, call);
    attempted.add(key);
    return fails;
  };
}

function callKey({ function: { name, arguments: args } }: ToolCall): string {
  return `${name} ${canonicalJson(args)}`;
}
