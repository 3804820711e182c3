/**
 * The real FTRL test rows (bytedance/FTRL, arXiv 2508.08791) with recorded calls: `test.no_code.jsonl` holds the
 * published rows without the tools' Python source, `derived_calls.jsonl` calls that were executed offline.
 *
 * Environments of these tasks replay: a call with exactly a recorded name and arguments gets its recorded output,
 * anything else an error observation that says so. Traces are made of the derived calls, one per turn with one
 * rule-made chunk; they are machine-made, not the authors'. Left out: running the tools, FTRL's train split.
 */
import { join } from "node:path";
import { TaskFileError } from "./errors.ts";
import { type Row, readRows } from "./jsonl.ts";
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

/** The published FTRL test rows. */
export const ftrl = { id: "ftrl", load } as const;

interface DerivedRow {
  dataSource: string;
  calls: RecordedCall[];
  probes: RecordedCall[];
  /** Every golden is solved by a call that does not already contain it. */
  clean: boolean;
}

/**
 * Loads the tasks of a folder with `test.no_code.jsonl` and `derived_calls.jsonl`, in file order. A task has a
 * `trace` if its derived calls solve every golden and none of them contains its golden in the arguments.
 *
 * @throws TaskFileError naming file, line and field
 * @example const tasks = ftrl.load("../shared/benchmarks/ftrl");
 */
function load(path: string): Task[] {
  const derivedPath = join(path, "derived_calls.jsonl");
  const derived = new Map<number, DerivedRow>();
  for (const row of readRows(derivedPath)) {
    const index = row.get("index");
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || derived.has(index))
      throw row.error("index", `must be a row number that occurs once, got ${JSON.stringify(index)}`);
    derived.set(index, readDerived(row));
  }
  const tasks = readRows(join(path, "test.no_code.jsonl")).map((row, index) =>
    readTask(row, index, derived.get(index)),
  );
  const unknown = [...derived.keys()].find((index) => index >= tasks.length);
  if (unknown !== undefined)
    throw new TaskFileError(`${derivedPath}: index ${unknown} has no row among the ${tasks.length} tasks`);
  return tasks;
}

function readDerived(row: Row): DerivedRow {
  const readCall = (call: Row, name: string): RecordedCall => ({
    name,
    arguments: call.object("arguments"),
    output: call.string("output"),
  });
  const callRows = row.rows("calls");
  const probes = Object.keys(row.object("probes"));
  return {
    dataSource: row.string("data_source"),
    calls: callRows.map((call) => readCall(call, call.string("name"))),
    probes: probes.map((name) => readCall(row.child("probes", name), name)),
    clean: row.boolean("complete") && callRows.every((call) => !call.boolean("golden_in_arguments")),
  };
}

function readTask(row: Row, index: number, derived: DerivedRow | undefined): Task {
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
  const messages = row.rows("messages").map(readMessage);
  const user = messages.find((message) => message.role === "user");
  if (user === undefined) throw row.error("messages", "has no user message");
  const marker = "\nQuestion: ";
  const markerAt = user.content.lastIndexOf(marker);
  const question = markerAt < 0 ? user.content : user.content.slice(markerAt + marker.length);
  const unsolved = readUnsolved(row);
  const answer = row.string("answer");
  const task: Task = {
    id: `ftrl/${category}/${index}`,
    category,
    question,
    messages,
    tools: row.parsedRows("tools").map(readTool),
    unsolved,
    answer,
    setup: { kind: "ftrl", calls: [...(derived?.probes ?? []), ...(derived?.calls ?? [])] },
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
