/**
 * Tools given as Python source, as FTRL and ToolHop publish them: a call is executed in a sandbox, and its result or failure
 * becomes text as FTRL's evaluation writes it (github.com/bytedance/FTRL `Code/utils/utils.py`, Apache-2.0).
 *
 * Departures from there: a call that runs out of time says so without repeating source and arguments, which would hand
 * out goldens, and Python's newer hint at a similar argument name is dropped, because the recorded outputs have none.
 */
import { callFailure } from "./guard.ts";
import { repr } from "./python/values.ts";
import { createSandbox, type Sandbox } from "./sandbox/sandbox.ts";
import type { ToolRunner } from "./tools.ts";

/** How Python tools are executed and what of a result is shown. */
export interface PythonToolOptions {
  /** What executes tool name → source; default a sandbox with a limit of 10 seconds a call. */
  createSandbox?: (sources: Readonly<Record<string, string>>) => Sandbox;
  /** `text` (default) as FTRL has it; `json` passes every result through JSON, so that strings arrive quoted. */
  results?: "text" | "json";
}

/**
 * A runner of Python tools. Nothing is started before the first call of a tool that exists; close it after the last.
 *
 * @throws SandboxError at the first call where Python can not be run
 * @example
 * ```ts
 * const run = pythonRunner({ area: "def area(side):\n    return side * side" });
 * const call: ToolCall = { type: "function", function: { name: "area", arguments: { side: 3 } } };
 * await run(call); // → { name: "area", content: "9", error: false, source: "simulated" }
 * ```
 */
export function pythonRunner(
  sources: Readonly<Record<string, string>>,
  options: PythonToolOptions = {},
): ToolRunner {
  let sandbox: Sandbox | undefined;
  const run: ToolRunner = async (call, { signal } = {}) => {
    const { name, arguments: args, argumentsText } = call.function;
    const fail = (message: string) =>
      ({ name, content: callFailure(name, message), error: true, source: "simulated" }) as const;
    // The evaluation looks the source up in a dict: the text of its KeyError is the name, quoted.
    if (!Object.hasOwn(sources, name)) return fail(repr(name));
    sandbox ??= options.createSandbox?.(sources) ?? createSandbox({ sources });
    const result = await sandbox.call(name, argumentsText ?? args, { signal });
    if (!result.ok) return fail(result.error.replace(similarName, "$1"));
    const content = options.results === "json" ? result.json : result.value;
    if (content === null) return fail("the result is not JSON serializable");
    return { name, content, error: false, source: "simulated" };
  };
  return Object.assign(run, { close: async () => sandbox?.close() });
}

/** "f() got an unexpected keyword argument 'nam'. Did you mean 'name'?", as Python says from 3.13 on. */
const similarName = /(\(\) got an unexpected keyword argument '[^']{0,200}')\. Did you mean '[^']{0,200}'\?$/;
