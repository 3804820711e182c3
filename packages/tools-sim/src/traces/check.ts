/**
 * What must hold of every trace beyond its format, and the numbers that describe a file of them. A file may come from
 * anywhere: nothing that a build checks is taken for granted.
 */
import { SchemaError } from "../errors.ts";
import { type InputSchema, readSchema } from "../schema.ts";
import { type ChunkType, chunkTypes } from "../types.ts";
import { holdsAnswer } from "./filters.ts";
import { activeChunks, prefixLevels } from "./levels.ts";
import { previewsCall } from "./preview.ts";
import { normaliseReasoning } from "./text.ts";
import { type Evidence, evidences, type Segmenter, segmenters, type TraceRecord } from "./types.ts";

/** A property that a trace does not have. */
export interface TraceFault {
  field: string;
  problem: string;
}

/** What `checkTrace` found. */
export interface TraceCheck {
  /** None for a good trace. */
  faults: TraceFault[];
  /** Arguments that do not fit a tool's schema: tools answer such calls, often well, so they make no trace invalid. */
  warnings: TraceFault[];
}

/**
 * Checks a trace: chunks reproduce the reasoning, the reasoning is normalised, calls name offered tools, one observation a
 * call, no chunk spells out the call without saying so, the final turn is no part of the turns, and
 * `answerInObservations` is true exactly when the observations hold the reference.
 *
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 1 });
 * const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
 * const traces: TraceRecord[] = [];
 * for await (const { kept } of built) if (kept) traces.push(kept);
 * (await checkTrace(traces[0])).faults.map(({ field, problem }) => `${field} ${problem}`); // → []
 * ```
 */
export async function checkTrace(trace: TraceRecord): Promise<TraceCheck> {
  const faults: TraceFault[] = [];
  const warnings: TraceFault[] = [];
  const fault = (field: string, problem: string) => void faults.push({ field, problem });
  const schemas = readSchemas(trace, fault);
  if (trace.turns.length === 0) fault("turns", "must not be empty");
  for (const [index, turn] of trace.turns.entries()) {
    const field = `turns[${index}]`;
    checkChunks(turn, field, fault);
    if (turn.pattern === "final_answer_turn")
      fault(`${field}.pattern`, "the final turn must not be among the turns");
    if (turn.observations.length !== turn.calls.length)
      fault(
        `${field}.observations`,
        `has ${turn.observations.length} entries for ${turn.calls.length} calls`,
      );
    for (const [c, chunk] of turn.chunks.entries())
      if (chunk.type !== "explicit_call_preview" && previewsCall(chunk.text, turn.calls))
        fault(`${field}.chunks[${c}].type`, `must be explicit_call_preview: its text spells out the call`);
    for (const [c, { name, arguments: args }] of turn.calls.entries()) {
      const place = `${field}.calls[${c}]`;
      const schema = schemas.get(name);
      if (schema === undefined)
        fault(`${place}.name`, `is no tool of the trace: ${JSON.stringify(name.slice(0, 100))}`);
      const { problems = [] } = (await schema?.check(args)) ?? {};
      for (const problem of problems) warnings.push({ field: `${place}.arguments`, problem });
    }
  }
  checkChunks(trace.final, "final", fault);
  if (trace.final.pattern !== "final_answer_turn") fault("final.pattern", "must be final_answer_turn");
  const observations = trace.turns.flatMap((turn) => turn.observations);
  const given = holdsAnswer(observations, trace.reference);
  if (given !== trace.answerInObservations)
    fault(
      "answerInObservations",
      `must be ${given}: the observations ${given ? "hold" : "do not hold"} the reference`,
    );
  return { faults, warnings };
}

type Report = (field: string, problem: string) => void;

function checkChunks(
  { reasoning, chunks }: TraceRecord["final"] | TraceRecord["turns"][number],
  field: string,
  fault: Report,
): void {
  if (chunks.map(({ text }) => text).join("") !== reasoning)
    fault(`${field}.chunks`, "do not reproduce the reasoning");
  if (normaliseReasoning(reasoning) !== reasoning) fault(`${field}.reasoning`, "is not normalised");
}

function readSchemas(trace: TraceRecord, fault: Report): Map<string, InputSchema> {
  const schemas = new Map<string, InputSchema>();
  for (const [index, { function: tool }] of trace.tools.entries()) {
    if (schemas.has(tool.name)) fault(`tools[${index}].function.name`, "occurs twice");
    try {
      schemas.set(tool.name, readSchema(tool.parameters, undefined, tool.name));
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      fault(`tools[${index}].function.parameters`, error.message);
    }
  }
  return schemas;
}

/** Numbers that describe traces. */
export interface TraceSummary {
  traces: number;
  /** Turns that call tools. */
  turns: number;
  calls: number;
  /** Chunks of those turns by type. */
  chunkTypes: Record<ChunkType, number>;
  /** The same turns by who cut them. */
  segmentedBy: Record<Segmenter, number>;
  verifiedBy: Record<Evidence, number>;
  /** Mean characters of reasoning that each level L0 … L4 supervises in a turn. */
  levelCharacters: number[];
  /** Mean number of chunks of a turn at each level. */
  levelChunks: number[];
  /** Share of the traces whose observations hold the reference answer. */
  answerShare: number;
}

/**
 * Describes traces; every share and mean of none is 0.
 *
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 1 });
 * const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
 * const traces: TraceRecord[] = [];
 * for await (const { kept } of built) if (kept) traces.push(kept);
 * summariseTraces(traces).traces; // → 1
 * ```
 */
export function summariseTraces(traces: readonly TraceRecord[]): TraceSummary {
  const turns = traces.flatMap((trace) => trace.turns);
  const mean = (sum: number, count: number) => (count === 0 ? 0 : sum / count);
  const active = prefixLevels.map((level) =>
    turns.map(({ chunks }) => {
      const isActive = activeChunks(chunks, level);
      return chunks.filter((_, index) => isActive[index]);
    }),
  );
  return {
    traces: traces.length,
    turns: turns.length,
    calls: turns.reduce((sum, turn) => sum + turn.calls.length, 0),
    chunkTypes: count(
      chunkTypes,
      turns.flatMap(({ chunks }) => chunks.map(({ type }) => type)),
    ),
    segmentedBy: count(
      segmenters,
      turns.map((turn) => turn.segmentedBy),
    ),
    verifiedBy: count(
      evidences,
      traces.map((trace) => trace.verifiedBy),
    ),
    levelCharacters: active.map((perTurn) =>
      mean(
        perTurn.flat().reduce((sum, { text }) => sum + text.length, 0),
        turns.length,
      ),
    ),
    levelChunks: active.map((perTurn) => mean(perTurn.flat().length, turns.length)),
    answerShare: mean(traces.filter((trace) => trace.answerInObservations).length, traces.length),
  };
}

function count<T extends string>(names: readonly T[], values: readonly T[]): Record<T, number> {
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
  for (const value of values) counts[value]++;
  return counts;
}
