/**
 * The real FTRL rows (bytedance/FTRL, arXiv 2508.08791), one JSON object a line: as they are published, with the Python
 * source of their tools in `codes`, or `test.no_code.jsonl` without it, joined with calls that were executed elsewhere
 * (`derived_calls.jsonl`).
 *
 * Environments of rows with source execute it. The others replay: a call with exactly a recorded name and arguments gets
 * its recorded output, anything else an error observation that says so. Traces are made of the derived calls, one per
 * turn with one rule-made chunk; they are machine-made, not the authors'.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { TaskFileError } from "./errors.ts";
import { type Row, readLines, toRow } from "./jsonl.ts";
import { type RecordedLine, readRecorded } from "./recorded.ts";
import { solveScore } from "./scoring.ts";
import {
  categories,
  type ExpertTrace,
  type JsonSchema,
  type Message,
  type RecordedCall,
  type Task,
  type ToolDefinition,
} from "./types.ts";

/** The published FTRL rows. */
export const ftrl = { id: "ftrl", load, read } as const;

/** Tasks of a file, and what was left out of it. */
export interface FtrlData {
  tasks: Task[];
  /** Lines left out, with the reason; only with `skipInvalid`. */
  skipped: string[];
}

/** What `ftrl.read` takes. */
export interface FtrlReadOptions {
  /** File of recorded calls, joined on the row's index; default `derived_calls.jsonl` if `path` is a folder that has it. */
  calls?: string;
  /** Leave out malformed lines and list them instead of failing at the first. */
  skipInvalid?: boolean;
}

/** Files of a folder, the first that exists is read. */
const fileNames = ["test.jsonl", "test.no_code.jsonl"];

/**
 * Loads the tasks of a file or of a folder with `test.jsonl` or `test.no_code.jsonl`, in file order.
 *
 * @throws TaskFileError naming file, line and field
 * @example
 * ```ts
 * const tasks = ftrl.load("data/ftrl");
 * ```
 */
function load(path: string): Task[] {
  return read(path).tasks;
}

/**
 * The same with options, and with what was skipped. A task has a `trace` if its derived calls solve every golden and
 * none of them contains its golden in the arguments.
 *
 * @throws TaskFileError naming file, line and field
 * @example
 * ```ts
 * const { tasks, skipped } = ftrl.read("train.jsonl", { skipInvalid: true });
 * ```
 */
function read(path: string, { calls, skipInvalid = false }: FtrlReadOptions = {}): FtrlData {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const inFolder = (names: string[]) =>
    names.map((name) => join(path, name)).find((each) => existsSync(each));
  const dataPath = isFolder ? (inFolder(fileNames) ?? join(path, fileNames[1])) : path;
  const callsPath = calls ?? (isFolder ? inFolder(["derived_calls.jsonl"]) : undefined);
  const skipped: string[] = [];
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      if (!skipInvalid || !(error instanceof TaskFileError)) throw error;
      skipped.push(error.message);
    }
  };
  const lines = readLines(dataPath);
  const derived = new Map<number, DerivedRow>();
  for (const line of callsPath === undefined ? [] : readRecorded(callsPath)) {
    attempt(() => {
      const recorded = line();
      const index = readIndex(recorded, derived);
      if (index >= lines.length)
        throw new TaskFileError(`${callsPath}: index ${index} has no row among the ${lines.length} tasks`);
      derived.set(index, readDerived(recorded));
    });
  }
  const tasks: Task[] = [];
  for (const [index, line] of lines.entries())
    attempt(() => void tasks.push(readTask(toRow(line), index, derived.get(index), callsPath !== undefined)));
  return { tasks, skipped };
}

interface DerivedRow {
  dataSource: string;
  calls: RecordedCall[];
  probes: RecordedCall[];
  /** Every golden is solved by a call that does not already contain it. */
  clean: boolean;
}

function readIndex({ row }: RecordedLine, seen: ReadonlyMap<number, unknown>): number {
  const index = row.get("index");
  if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || seen.has(index))
    throw row.error("index", `must be a row number that occurs once, got ${JSON.stringify(index)}`);
  return index;
}

function readDerived({ row, calls, probes }: RecordedLine): DerivedRow {
  return {
    dataSource: row.string("data_source"),
    calls: calls.flatMap(({ call }) => call ?? []),
    probes,
    clean: row.boolean("complete") && calls.every((call) => !call.row.boolean("golden_in_arguments")),
  };
}

function readTask(row: Row, index: number, derived: DerivedRow | undefined, hasCalls: boolean): Task {
  const dataSource = row.string("data_source");
  const category = categories.find((name) => dataSource === `self/${name}`);
  if (category === undefined)
    throw row.error(
      "data_source",
      `must be self/ and one of ${categories.join(", ")}, got ${JSON.stringify(dataSource)}`,
    );
  if (derived !== undefined && derived.dataSource !== dataSource)
    throw row.error(
      "data_source",
      `is ${dataSource}, but the derived calls of index ${index} say ${derived.dataSource}`,
    );
  const messages = row.rowsOrParsed("messages").map(readMessage);
  const user = messages.find((message) => message.role === "user");
  if (user === undefined) throw row.error("messages", "has no user message");
  const marker = "\nQuestion: ";
  const markerAt = user.content.lastIndexOf(marker);
  const question = markerAt < 0 ? user.content : user.content.slice(markerAt + marker.length);
  const tools = row.parsedRows("tools").map(readTool);
  const unsolved = readUnsolved(row);
  const answer = row.string("answer");
  const codes = readCodes(row, tools);
  if (codes === undefined && !hasCalls)
    throw row.error(
      "codes",
      "is missing, and there are no recorded calls to replay; give derived_calls.jsonl",
    );
  const task: Task = {
    id: `ftrl/${category}/${index}`,
    category,
    question,
    messages,
    tools,
    unsolved,
    answer,
    setup: {
      kind: "ftrl",
      calls: [...(derived?.probes ?? []), ...(derived?.calls ?? [])],
      ...(codes === undefined ? {} : { codes }),
    },
  };
  if (derived?.clean && solveScore(derived.calls, unsolved).solveR === 1)
    task.trace = makeTrace(derived.calls, answer);
  return task;
}

function readMessage(row: Row): Message {
  const role = row.string("role");
  if (role !== "system" && role !== "user" && role !== "assistant")
    throw row.error("role", `must be system, user or assistant, got ${JSON.stringify(role)}`);
  return { role, content: row.string("content") };
}

/** Source by tool; undefined where the row has none, which is what copies without code look like. */
function readCodes(row: Row, tools: readonly ToolDefinition[]): Record<string, string> | undefined {
  if (!row.has("codes") || row.get("codes") === null) return undefined;
  const entries = Object.entries(row.parsedObject("codes")).map(([tool, code]): [string, string] => {
    if (typeof code !== "string") throw row.error(`codes.${tool}`, "must be Python source as a string");
    if (!tools.some(({ function: { name } }) => name === tool))
      throw row.error("codes", `has the unknown tool ${JSON.stringify(tool)}, which is not in "tools"`);
    return [tool, code];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function readTool(row: Row): ToolDefinition {
  const tool = row.child("function");
  return {
    type: "function",
    function: {
      name: tool.string("name"),
      description: tool.string("description"),
      parameters: tool.object("parameters") as JsonSchema,
    },
  };
}

function readUnsolved(row: Row): Record<string, string[]> {
  const entries = Object.entries(row.parsedObject("unsolved_set")).map(
    ([tool, goldens]): [string, string[]] => {
      if (!Array.isArray(goldens) || !goldens.every((golden) => typeof golden === "string" && golden !== ""))
        throw row.error(`unsolved_set.${tool}`, "must be a list of non-empty strings");
      return [tool, goldens as string[]];
    },
  );
  // fromEntries defines own properties, whatever the names are.
  return Object.fromEntries(entries);
}

function makeTrace(calls: RecordedCall[], answer: string): ExpertTrace {
  return {
    turns: calls.map((call) => ({
      chunks: [{ type: "tool_selection", text: `Use "${call.name}".` }],
      calls: [{ type: "function", function: { name: call.name, arguments: call.arguments } }],
      observations: [call.output],
    })),
    final: { chunks: [], answer },
  };
}
