/**
 * Trace files: reading with file, line and field in every error, and the way between a stored trace and `Task.trace`.
 */
import { ToolsSimError } from "../errors.ts";
import { type Row, readLines, toRow } from "../jsonl.ts";
import {
  type Chunk,
  chunkTypes,
  type ExpertTrace,
  type JsonSchema,
  type Task,
  type ToolDefinition,
} from "../types.ts";
import {
  evidences,
  type SegmentedReasoning,
  type StoredCall,
  type StoredFinal,
  type StoredTurn,
  segmenters,
  type TraceRecord,
  turnPatterns,
} from "./types.ts";

/** A trace with the place it was read from. */
export interface ReadTrace {
  /** `file:line`. */
  where: string;
  trace: TraceRecord;
}

/** What a trace file holds. */
export interface TraceFile {
  traces: ReadTrace[];
  /** Why lines were left out, each with file and line; only with `skipInvalid`. */
  skipped: string[];
}

/**
 * Reads a trace file.
 *
 * @param options.skipInvalid - leave out malformed lines and list them instead of throwing
 * @throws TaskFileError naming file, line and field of what does not fit the format, or an id that occurs twice
 * @example
 * ```ts
 * for (const { trace } of readTraces("traces.jsonl").traces) console.log(trace.id, trace.turns.length);
 * ```
 */
export function readTraces(path: string, options: { skipInvalid?: boolean } = {}): TraceFile {
  const traces: ReadTrace[] = [];
  const skipped: string[] = [];
  const places = new Map<string, string>();
  for (const line of readLines(path)) {
    try {
      const row = toRow(line);
      const trace = readRecord(row);
      const earlier = places.get(trace.id);
      if (earlier !== undefined) throw row.error("id", `occurs twice, first at ${earlier}`);
      places.set(trace.id, line.where);
      traces.push({ where: line.where, trace });
    } catch (error) {
      if (!(error instanceof ToolsSimError) || options.skipInvalid !== true) throw error;
      skipped.push(error.message);
    }
  }
  return { traces, skipped };
}

function readRecord(row: Row): TraceRecord {
  if (row.get("version") !== 1)
    throw row.error("version", `must be 1, got ${JSON.stringify(row.get("version")).slice(0, 40)}`);
  const { pattern, segmentedBy, chunks, reasoning } = readReasoning(row.child("final"));
  const final: StoredFinal = {
    pattern,
    segmentedBy,
    chunks,
    reasoning,
    answer: row.child("final").string("answer"),
  };
  return {
    version: 1,
    id: filled(row, "id"),
    environment: filled(row, "environment"),
    category: row.string("category"),
    teacher: filled(row, "teacher"),
    question: row.string("question"),
    tools: row.rows("tools").map(readTool),
    reference: row.string("reference"),
    verifiedBy: choice(row, "verifiedBy", evidences),
    answerInObservations: row.boolean("answerInObservations"),
    turns: row.rows("turns").map(readTurn),
    final,
  };
}

function filled(row: Row, field: string): string {
  const text = row.string(field);
  if (text === "") throw row.error(field, "must not be empty");
  return text;
}

function choice<T extends string>(row: Row, field: string, choices: readonly T[]): T {
  const text = row.string(field);
  const known = choices.find((name) => name === text);
  if (known === undefined)
    throw row.error(field, `must be one of ${choices.join(", ")}, got ${JSON.stringify(text.slice(0, 60))}`);
  return known;
}

function readTool(row: Row): ToolDefinition {
  if (row.get("type") !== "function") throw row.error("type", 'must be "function"');
  const tool = row.child("function");
  return {
    type: "function",
    function: {
      name: filled(tool, "name"),
      description: tool.string("description"),
      parameters: tool.object("parameters") as JsonSchema,
    },
  };
}

function readReasoning(row: Row): SegmentedReasoning & { reasoning: string } {
  return {
    pattern: choice(row, "pattern", turnPatterns),
    segmentedBy: choice(row, "segmentedBy", segmenters),
    reasoning: row.string("reasoning"),
    chunks: row.rows("chunks").map(readChunk),
  };
}

function readChunk(row: Row): Chunk {
  const chunk: Chunk = { type: choice(row, "type", chunkTypes), text: filled(row, "text") };
  return row.has("keep") ? { ...chunk, keep: row.boolean("keep") } : chunk;
}

function readTurn(row: Row): StoredTurn {
  const calls = row
    .rows("calls")
    .map((call): StoredCall => ({ name: filled(call, "name"), arguments: call.object("arguments") }));
  if (calls.length === 0) throw row.error("calls", "must not be empty");
  const observations = row.get("observations");
  if (!Array.isArray(observations) || !observations.every((text) => typeof text === "string"))
    throw row.error("observations", "must be a list of strings");
  return { ...readReasoning(row), calls, observations: observations as string[] };
}

/**
 * A stored trace as training uses it.
 *
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 1 });
 * const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
 * const traces: TraceRecord[] = [];
 * for await (const { kept } of built) if (kept) traces.push(kept);
 * toExpertTrace(traces[0]).turns.length === traces[0].turns.length; // → true
 * ```
 */
export function toExpertTrace({ turns, final }: Pick<TraceRecord, "turns" | "final">): ExpertTrace {
  return {
    turns: turns.map(({ chunks, calls, observations }) => ({
      chunks,
      calls: calls.map((call) => ({
        type: "function",
        function: { name: call.name, arguments: call.arguments },
      })),
      observations,
    })),
    final: { chunks: final.chunks, answer: final.answer },
  };
}

/**
 * Gives each task the trace with its id. Tasks without one lose the trace they came with, so that a run trains on the
 * file's traces alone.
 *
 * @example
 * ```ts
 * const training = withTraces(ftrl.load(folder), traces).filter((task) => task.trace);
 * ```
 */
export function withTraces(tasks: readonly Task[], traces: readonly ReadTrace[]): Task[] {
  const byId = new Map(traces.map(({ trace }) => [trace.id, trace]));
  return tasks.map((task) => {
    const { trace: _, ...bare } = task;
    const stored = byId.get(task.id);
    return stored === undefined ? bare : { ...bare, trace: toExpertTrace(stored) };
  });
}

/**
 * A trace as a line of a file, without the line feed.
 *
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 1 });
 * const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
 * const traces: TraceRecord[] = [];
 * for await (const { kept } of built) if (kept) traces.push(kept);
 * JSON.parse(traceLine(traces[0])).id === traces[0].id; // → true
 * ```
 */
export function traceLine(trace: TraceRecord): string {
  return JSON.stringify(trace);
}
