/**
 * Runs tool calls of a task: lookups and `math_add` over a synthetic world, the other generated families' simulators, Python
 * in a sandbox, or the replay of recorded calls.
 * Bad calls give error observations, never exceptions. Errors do not echo arguments: FTRL's scoring matches
 * substrings, so an echo would hand out credit for guessing.
 */
import { failureLog, timeoutContent } from "./failures.ts";
import { noisyJson } from "./families/noise.ts";
import { openStore } from "./families/store/store.ts";
import { chainRunner } from "./families/toolhop/runner.ts";
import { canonicalJson, spacedJson } from "./json.ts";
import { pythonRunner } from "./python-tools.ts";
import type { JsonObject, RecordedCall, SyntheticSetup, Task, ToolCall, ToolDefinition } from "./types.ts";
import { relationOf, World } from "./world.ts";

/** Result of one call. */
export interface Observation {
  /** Name of the called tool; empty for a call that could not be parsed. */
  name: string;
  content: string;
  /** The call failed: unknown tool, bad arguments, timeout, nothing recorded. */
  error: boolean;
  /** `simulated`: computed here; `recorded`: output of the real tool, replayed; `missing`: no recording. */
  source: "simulated" | "recorded" | "missing";
  /** The id of the call, where the model's message gave one. */
  callId?: string;
}

/** Executes calls one after another and holds what they share: attempt counts, an interpreter. */
export interface ToolRunner {
  /** Executes a call; aborting the signal means that nobody waits any more. */
  (call: ToolCall, options?: { signal?: AbortSignal }): Observation | Promise<Observation>;
  /** Gives back what is held. */
  close?: () => Promise<void>;
}

/** A runner that answers at once. */
export type SyncToolRunner = (call: ToolCall) => Observation;

/** The name of the calculator tool of generated tasks. */
export const calculatorName = "math_add";

/** A fresh runner; two runners of one task behave alike. */
export function createRunner(task: Task): ToolRunner {
  switch (task.setup.kind) {
    case "ftrl":
      return task.setup.codes === undefined
        ? replayRunner(task.tools, task.setup.calls)
        : pythonRunner(task.setup.codes);
    case "ftrl-like":
      return syntheticRunner(task.setup);
    case "toolhop-like": {
      const run = chainRunner(task.setup);
      return (call) => simulated(call, run(call));
    }
    case "bfcl-like": {
      const store = openStore(task.setup);
      return (call) => simulated(call, store.call(call));
    }
  }
}

/** The observation of a simulated call; `error` says why it failed. */
function simulated(call: ToolCall, result: { content: string; error?: string }): Observation {
  const { content, error } = result;
  return { name: call.function.name, content, error: error !== undefined, source: "simulated" };
}

/** A fresh runner of a generated task. */
export function syntheticRunner(setup: SyntheticSetup): SyncToolRunner {
  const world = new World(setup.world);
  const timesOut = failureLog(setup);
  return (call) => {
    const { name, arguments: args } = call.function;
    const fail = (error: string) => simulated(call, { content: spacedJson({ error }), error });
    const succeed = (fields: JsonObject) => {
      const labels = [setup.failureSeed, name, canonicalJson(args)];
      return simulated(call, { content: noisyJson(fields, setup.noise ?? 0, ...labels) });
    };
    const isCalculator = setup.calculator && name === calculatorName;
    if (!isCalculator && !Object.hasOwn(setup.lookups, name)) return fail("unknown tool");

    if (timesOut(call)) return simulated(call, { content: timeoutContent, error: "timeout" });
    if (isCalculator) {
      const { a, b } = args;
      if (!isSmallNumber(a) || !isSmallNumber(b) || Object.keys(args).length !== 2)
        return fail("bad arguments");
      return succeed({ sum: a + b });
    }
    const relation = relationOf(setup.lookups[name]);
    const keys = Object.keys(args);
    if (relation === undefined || keys.length !== 1 || keys[0] !== relation.from)
      return fail("bad arguments");
    const entity = args[relation.from];
    const value = typeof entity === "string" ? world.value(relation.name, entity) : undefined;
    return value === undefined ? fail("not found") : succeed({ [relation.name]: value });
  };
}

function isSmallNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 999;
}

/**
 * Replays recorded calls by exact name and arguments. Anything else gets an error in FTRL's wording (its
 * spelling included): the tool sources are not part of the data, so inventing an output would be a lie.
 */
export function replayRunner(
  tools: readonly ToolDefinition[],
  calls: readonly RecordedCall[],
): SyncToolRunner {
  const known = new Set(tools.map((tool) => tool.function.name));
  const outputs = new Map<string, string>();
  for (const call of calls) outputs.set(`${call.name} ${canonicalJson(call.arguments)}`, call.output);
  return (call) => {
    const { name, arguments: args } = call.function;
    const recorded = outputs.get(`${name} ${canonicalJson(args)}`);
    if (recorded !== undefined)
      return { name, content: recorded, error: recorded.startsWith("an error occured"), source: "recorded" };
    const reason = known.has(name) ? "no recorded output for these arguments" : "unknown tool";
    return { name, content: `an error occured when call ${name}: ${reason}`, error: true, source: "missing" };
  };
}
