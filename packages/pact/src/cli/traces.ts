/** `pact traces build|check|show`: finds the part, which has options and a file of its own. */
import { takePositional, UsageError } from "./options.ts";
import { tracesPositional } from "./traces-options.ts";

/**
 * Runs the command.
 *
 * @param args - the arguments after `traces`
 * @returns the exit code: 0 done, 1 `check` found faults, 130 `build` was interrupted
 * @throws UsageError for a wrong command line; typed errors of the packages for what fails
 * @example process.exitCode = await traces(["check", "--traces", "traces.jsonl"]);
 */
export async function traces(args: readonly string[]): Promise<number> {
  const { word, rest } = takePositional("pact traces", tracesPositional, args);
  if (word === "build") return (await import("./traces-build.ts")).buildCommand(rest);
  if (word === "check") return (await import("./traces-check.ts")).checkCommand(fileFirst(rest));
  if (word === "show") return (await import("./traces-show.ts")).showCommand(fileFirst(rest));
  throw new UsageError("pact traces: say what to do: build, check or show. See `pact traces --help`.");
}

/** `check file` means `check --traces file`. */
function fileFirst(args: readonly string[]): readonly string[] {
  const [first, ...rest] = args;
  return first === undefined || first.startsWith("-") ? args : ["--traces", first, ...rest];
}
