/**
 * Reads ToolHop (Ye et al., ACL 2025, arXiv 2501.02506; data CC BY 4.0): the published file, one JSON array whose
 * `functions` list the tools' Python sources in the order of the hops; FTRL's copy, where `functions` maps tool names to
 * sources; or a JSON-lines copy without sources, joined on `id` with calls that were executed elsewhere.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { TaskFileError } from "../errors.ts";
import { isObject } from "../json.ts";
import { Row, readLines, readText, toRow } from "../jsonl.ts";
import { type RecordedLine, readRecorded } from "../recorded.ts";
import type { Json, JsonSchema, RecordedCall, ToolDefinition } from "../types.ts";

/** One step of a question: a sub-question, its answer, and the tool that gives it. */
export interface ToolHopHop {
  question: string;
  answer: string;
  tool: ToolDefinition;
  /** Python source of the tool, where the data has it. */
  code?: string;
}

/** One question. */
export interface ToolHopTask {
  id: string;
  question: string;
  answer: string;
  /** In the order in which they are solved. Two hops may have tools of the same name. */
  hops: ToolHopHop[];
  domain?: string;
  /** Tool name → source, of the last tool of that name; undefined where calls are replayed. */
  codes?: Record<string, string>;
  /** Recorded calls, which are replayed where there is no source. */
  calls: RecordedCall[];
}

/** Tasks of a file, and what was left out of it. */
export interface ToolHopData {
  tasks: ToolHopTask[];
  /** Rows left out, with the reason; only with `skipInvalid`. */
  skipped: string[];
}

/** What `loadToolHop` takes. */
export interface ToolHopLoadOptions {
  /** File of recorded calls; default `derived_calls.jsonl` if `path` is a folder that has it. */
  calls?: string;
  /** Leave out malformed rows and list them instead of failing at the first. */
  skipInvalid?: boolean;
}

/** Files of a folder, the first that exists is read. */
const fileNames = ["ToolHop.json", "ToolHop.jsonl", "toolhop_subset100.no_code.jsonl"];

/**
 * Loads the tasks of a file or of a folder with one of the usual names, in file order.
 *
 * @throws TaskFileError naming file, line (or place in the array) and field
 * @example
 * ```ts
 * const { tasks } = loadToolHop("ToolHop.json");
 * ```
 */
export function loadToolHop(path: string, options: ToolHopLoadOptions = {}): ToolHopData {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const inFolder = (names: string[]) =>
    names.map((name) => join(path, name)).find((each) => existsSync(each));
  const dataPath = isFolder ? (inFolder(fileNames) ?? join(path, fileNames[0])) : path;
  const callsPath = options.calls ?? (isFolder ? inFolder(["derived_calls.jsonl"]) : undefined);
  const skipped: string[] = [];
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      if (!options.skipInvalid || !(error instanceof TaskFileError)) throw error;
      skipped.push(error.message);
    }
  };
  const recorded = new Map<string, RecordedCall[]>();
  for (const line of callsPath === undefined ? [] : readRecorded(callsPath)) {
    attempt(() => {
      const read = line();
      recorded.set(readId(read.row, recorded), recordedCalls(read));
    });
  }
  const tasks = new Map<string, ToolHopTask>();
  for (const item of readItems(dataPath)) {
    attempt(() => {
      const row = item();
      const id = readId(row, tasks);
      tasks.set(id, readTask(row, id, recorded.get(id), callsPath !== undefined));
    });
  }
  return { tasks: [...tasks.values()], skipped };
}

/** Rows of a JSON array or of JSON lines, each checked when it is called for. */
function readItems(path: string): (() => Row)[] {
  const lines = readLines(path);
  if (!lines[0]?.text.trimStart().startsWith("[")) return lines.map((line) => () => toRow(line));
  let items: Json;
  try {
    items = JSON.parse(readText(path)) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) throw new TaskFileError(`${path}: not valid JSON: ${error.message}`);
    throw error;
  }
  return (items as Json[]).map((item, i) => () => {
    if (isObject(item)) return new Row(`${path}[${i}]`, item);
    throw new TaskFileError(`${path}[${i}]: expected a JSON object`);
  });
}

/** The id as text, which must be new among `seen`. */
export function readId(row: Row, seen: ReadonlyMap<string, unknown>): string {
  const id = row.get("id");
  if ((typeof id !== "number" && typeof id !== "string") || id === "")
    throw row.error("id", `must be a number or a text, got ${JSON.stringify(id)}`);
  if (seen.has(String(id))) throw row.error("id", `${JSON.stringify(id)} occurs twice`);
  return String(id);
}

function recordedCalls({ calls, probes }: RecordedLine): RecordedCall[] {
  return [...probes, ...calls.flatMap(({ call }) => call ?? [])];
}

function readTask(row: Row, id: string, calls: RecordedCall[] | undefined, hasCalls: boolean): ToolHopTask {
  const answers = row.child("sub_task");
  const tools = row.child("tools");
  const hops = Object.keys(row.object("tools")).map((question): ToolHopHop => {
    if (!answers.has(question)) throw row.error("tools", `has no sub-question ${JSON.stringify(question)}`);
    return { question, answer: answers.string(question), tool: readTool(tools.child(question)) };
  });
  if (hops.length === 0) throw row.error("tools", "must hold a tool");
  const functions = row.has("functions") ? row.get("functions") : null;
  if (functions !== null) assignSources(row, functions, hops);
  else if (!hasCalls)
    throw row.error(
      "functions",
      "is missing, and there are no recorded calls to replay; give derived_calls.jsonl",
    );
  const sources = hops.flatMap(({ tool, code }) => (code === undefined ? [] : [[tool.function.name, code]]));
  return {
    id,
    question: row.string("question"),
    answer: row.string("answer"),
    hops,
    ...(row.has("domain") ? { domain: row.string("domain") } : {}),
    ...(functions === null ? {} : { codes: Object.fromEntries(sources) as Record<string, string> }),
    calls: calls ?? [],
  };
}

function readTool(row: Row): ToolDefinition {
  return {
    type: "function",
    function: {
      name: row.string("name"),
      description: row.string("description"),
      parameters: row.object("parameters") as JsonSchema,
    },
  };
}

/** Gives every hop the source of its tool. */
function assignSources(row: Row, functions: Json, hops: ToolHopHop[]): void {
  if (isObject(functions)) {
    for (const [name, code] of Object.entries(functions)) {
      if (typeof code !== "string") throw row.error(`functions.${name}`, "must be Python source as a string");
      const named = hops.filter(({ tool }) => tool.function.name === name);
      if (named.length === 0)
        throw row.error("functions", `has the unknown tool ${JSON.stringify(name)}, which is not in "tools"`);
      for (const hop of named) hop.code = code;
    }
    return;
  }
  if (!Array.isArray(functions))
    throw row.error("functions", "must be a list of sources, or sources by tool name");
  const sources = functions.map((code, i) => {
    if (typeof code !== "string") throw row.error(`functions[${i}]`, "must be Python source as a string");
    return code;
  });
  for (const [i, hop] of hops.entries()) {
    const { name } = hop.tool.function;
    const own: string | undefined = sources[i];
    // Two tools may share a name, so a hop's own place comes first.
    hop.code =
      own !== undefined && defines(own, name) ? own : (sources.find((code) => defines(code, name)) ?? own);
  }
}

/** Whether a source has a function or a variable of that name at its top level. */
function defines(source: string, name: string): boolean {
  return source.split("\n").some((line) => {
    const rest = line.replace(/^(?:async[ \t]+)?(?:def|class)[ \t]+/, "");
    return rest.startsWith(name) && /^[ \t]*(?:[(:]|=(?!=))/.test(rest.slice(name.length));
  });
}
