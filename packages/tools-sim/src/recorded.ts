/**
 * Recorded calls of published tasks: a JSON-lines file with one line a task, whose `calls` solve it and whose `probes` (tool
 * name → call) show what placeholder arguments give.
 */
import { type Row, readLines, type SourceLine, toRow } from "./jsonl.ts";
import { dumps, JsonTextError, loads } from "./python/json.ts";
import type { PyValue } from "./python/values.ts";
import type { RecordedCall } from "./types.ts";

/** One line, with the exact text of its calls' arguments. */
export interface RecordedLine {
  row: Row;
  /** Rows of `calls` with the call, where it was recorded: a call that was not found has no output. */
  calls: { row: Row; call: RecordedCall | undefined }[];
  probes: RecordedCall[];
}

/**
 * The lines of a file of recorded calls, each read when it is called for, so that a malformed one can be skipped.
 *
 * @returns functions that throw TaskFileError naming file, line and field
 * @throws TaskFileError for a file that can not be read
 */
export function readRecorded(path: string): (() => RecordedLine)[] {
  return readLines(path).map((line) => () => {
    const row = toRow(line);
    const exact = exactValue(line);
    const calls = row.rows("calls").map((call, i) => ({
      row: call,
      call: call.has("output") ? readCall(call, call.string("name"), at(at(exact, "calls"), i)) : undefined,
    }));
    const probes = Object.keys(row.object("probes")).map((name) =>
      readCall(row.child("probes", name), name, at(at(exact, "probes"), name)),
    );
    return { row, calls, probes };
  });
}

function readCall(row: Row, name: string, exact: PyValue | undefined): RecordedCall {
  const argumentsText = dumps(at(exact, "arguments") ?? null);
  return {
    name,
    arguments: row.object("arguments"),
    output: row.string("output"),
    ...(argumentsText === undefined ? {} : { argumentsText }),
  };
}

/** The line read as Python reads it, which tells 10 from 10.0. */
function exactValue({ text }: SourceLine): PyValue | undefined {
  try {
    return loads(text);
  } catch (error) {
    if (error instanceof JsonTextError) return undefined;
    throw error;
  }
}

function at(value: PyValue | undefined, key: string | number): PyValue | undefined {
  if (value instanceof Map) return typeof key === "string" ? value.get(key) : undefined;
  return Array.isArray(value) && typeof key === "number" ? value[key] : undefined;
}
