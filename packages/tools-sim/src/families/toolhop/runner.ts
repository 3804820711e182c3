/** Answers the calls of a `toolhop-like` task: lookups in its world and exact functions. */
import { failureLog, timeoutContent } from "../../failures.ts";
import { canonicalJson, spacedJson } from "../../json.ts";
import type { ChainSetup, Json, JsonObject, ToolCall } from "../../types.ts";
import { relationOf, World } from "../../world.ts";
import { noisyJson } from "../noise.ts";
import { applyTransform, transformOf } from "./transforms.ts";

/** What a call gave: the observation's text, with the value in it or the reason of a failure. */
export interface ChainResult {
  content: string;
  value?: string | number;
  error?: string;
}

/** The one argument's key of a relation or transform. */
export function argumentKey(step: string): string | undefined {
  return relationOf(step)?.from ?? transformOf(step)?.from;
}

/**
 * A fresh runner of a chain's tools; two of one setup behave alike. Errors do not echo arguments, because an echo could
 * match a golden.
 *
 * @example
 * ```ts
 * const [task] = toolHopLike.generate({ seed: 1, split: "train", count: 1 });
 * const { setup } = task;
 * if (setup.kind !== "toolhop-like") throw new Error("Its tasks are chains.");
 * const [{ calls }] = teacherTrace(task).turns;
 * chainRunner(setup)(calls[0]).error === undefined; // → true
 * ```
 */
export function chainRunner(setup: ChainSetup): (call: ToolCall) => ChainResult {
  const world = new World(setup.world);
  const timesOut = failureLog(setup);
  const fail = (error: string): ChainResult => ({ content: spacedJson({ error }), error });
  return (call) => {
    const { name, arguments: args } = call.function;
    if (!Object.hasOwn(setup.functions, name)) return fail("unknown tool");
    if (timesOut(call)) return { content: timeoutContent, error: "timeout" };
    const step = setup.functions[name];
    const key = argumentKey(step);
    if (key === undefined || Object.keys(args).length !== 1 || !Object.hasOwn(args, key))
      return fail("bad arguments");
    const value = chainValue(world, step, args[key]);
    if (value === undefined) return fail(relationOf(step) === undefined ? "bad arguments" : "not found");
    return {
      content: noisyJson(
        resultFields(step, value),
        setup.noise,
        setup.failureSeed,
        name,
        canonicalJson(args),
      ),
      value,
    };
  };
}

/** Value of a relation or transform at an argument; undefined where it has none. */
export function chainValue(world: World, step: string, argument: Json): string | number | undefined {
  if (relationOf(step) === undefined) return applyTransform(step, argument);
  return typeof argument === "string" ? world.value(step, argument) : undefined;
}

function resultFields(step: string, value: string | number): JsonObject {
  return { [relationOf(step) === undefined ? "result" : step]: value };
}
