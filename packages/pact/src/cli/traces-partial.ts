/** The file of a trace build in progress: its settings, then one result a line. A kill can cut the last line. */
import { readFileSync } from "node:fs";
import type { BuiltTrace } from "@pact/tools-sim";
import { UsageError } from "./options.ts";

/**
 * The results of an interrupted build.
 *
 * @throws UsageError if the build had other settings, or the file is none
 * @example const done = readPartial("traces.jsonl.partial", settings);
 */
export function readPartial(path: string, settings: Readonly<Record<string, string | number>>): BuiltTrace[] {
  const [first, ...rest] = readFileSync(path, "utf8").split("\n");
  const header = parse(first) as { settings?: unknown } | undefined;
  if (JSON.stringify(header?.settings) !== JSON.stringify(settings))
    throw new UsageError(
      `pact traces build: ${path} was begun with other settings (${JSON.stringify(header?.settings ?? null).slice(0, 400)}); ` +
        "give those again, or remove it and leave --resume out.",
    );
  // The file is this program's own; what follows a cut line (there is one at most, the last) is written anew.
  return rest.flatMap((line) => {
    const value = parse(line) as BuiltTrace | undefined;
    return value?.kept === undefined && value?.dropped === undefined ? [] : [value];
  });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
