/**
 * Reads a run folder back for the report: defensively, since its files hold text that a model wrote and may come from
 * another machine or from a run that was killed.
 *
 * Missing files give empty parts, a cut or foreign line is skipped and counted, numbers that are no numbers are
 * dropped, texts and lists are bounded. Rollouts are read line by line and only those a report can show are kept.
 */
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Estimate } from "@pact/tools-sim";
import { type Role, roles } from "../roles.ts";
import type { RoleSpan, RolloutRecord } from "../run-sink.ts";

/** A JSON object whose fields are not known yet. */
export type Json = Readonly<Record<string, unknown>>;

/** One line of metrics.jsonl: the step, its numbers, and the warnings that began at it. */
export interface MetricsRow {
  readonly step: number;
  readonly values: ReadonlyMap<string, number>;
  readonly time: ReadonlyMap<string, number>;
  readonly health: readonly string[];
}

/** Scores as an evaluation gives them, in [0, 1]. */
export interface ScoresRow {
  readonly solveP: number;
  readonly solveR: number;
  readonly solveF1: number;
  readonly tasks: number;
}

/** One decoding of an evaluation. */
export interface DecodingRow extends ScoresRow {
  readonly solveF1Error: number | undefined;
  readonly categories: ReadonlyMap<string, ScoresRow>;
  readonly stops: ReadonlyMap<string, number>;
  readonly meanCalls: number | undefined;
  readonly meanTokens: number | undefined;
  /** Share of episodes solved, with its 95 % interval over tasks. */
  readonly success: Estimate | undefined;
}

/** One line of evaluations.jsonl. */
export interface EvaluationRow {
  readonly step: number;
  readonly sampled: DecodingRow;
  readonly greedy: DecodingRow;
  readonly seconds: number | undefined;
}

/** The part of a rollout record that the report shows. */
export type RolloutRow = Pick<
  RolloutRecord,
  | "step"
  | "phase"
  | "decoding"
  | "taskId"
  | "category"
  | "rollout"
  | "turns"
  | "sampledTokens"
  | "reward"
  | "solveF1"
> & { readonly stop: string; readonly spans: readonly RoleSpan[] };

/** All a report needs. */
export interface RunData {
  /** `config.json`, or an empty object. */
  readonly config: Json;
  /** `summary.json`, or undefined for a run that did not end. */
  readonly summary: Json | undefined;
  readonly metrics: readonly MetricsRow[];
  readonly evaluations: readonly EvaluationRow[];
  /** Rollouts of the first and of the last evaluation, up to a bound, and those of the last `recentSteps` training steps. */
  readonly rollouts: readonly RolloutRow[];
  /** Rollouts of evaluations that are not among `rollouts`. */
  readonly rolloutsLeftOut: number;
  /** Lines that were not understood. */
  readonly badLines: number;
  /** When a log was last written, in milliseconds since 1970; undefined if there is none yet. */
  readonly written: number | undefined;
}

/** Training steps whose rollouts are kept. */
const recentSteps = 3;
/** Bounds that keep a damaged or hostile folder from filling the memory. */
const limits = {
  jsonBytes: 16 << 20,
  lineCharacters: 4 << 20,
  /** Of one evaluation. They come in the same order before and after training, so that pairs stay whole. */
  evaluationRollouts: 2500,
  spans: 2000,
  /** Of one step. */
  warnings: 50,
  text: 20_000,
};

/**
 * Reads the files of a run folder.
 *
 * @throws Error if the folder holds no run at all (neither config.json nor metrics.jsonl)
 * @example const run = await readRun("runs/first");
 */
export async function readRun(folder: string): Promise<RunData> {
  if (!existsSync(join(folder, "config.json")) && !existsSync(join(folder, "metrics.jsonl")))
    throw new Error(
      `${folder} is no run folder: it has neither config.json nor metrics.jsonl. ` +
        "Give the folder that `pact train` wrote (its --run-dir).",
    );
  let badLines = 0;
  const metrics: MetricsRow[] = [];
  for await (const line of jsonLines(join(folder, "metrics.jsonl"))) {
    const step = numberOf(line?.step);
    if (line === undefined || step === undefined) badLines++;
    else {
      const health = (Array.isArray(line.health) ? line.health : []).slice(0, limits.warnings);
      metrics.push({
        step,
        values: numbersOf(line.values),
        time: numbersOf(line.time),
        health: health.flatMap((text) => textOf(text) ?? []),
      });
    }
  }
  const evaluations: EvaluationRow[] = [];
  for await (const line of jsonLines(join(folder, "evaluations.jsonl"))) {
    const step = numberOf(line?.step);
    const sampled = decodingOf(line?.sampled);
    const greedy = decodingOf(line?.greedy);
    if (step === undefined || sampled === undefined || greedy === undefined) badLines++;
    else evaluations.push({ step, sampled, greedy, seconds: numberOf(objectOf(line?.time)?.seconds) });
  }
  const before: RolloutRow[] = [];
  let after: RolloutRow[] = [];
  let afterStep = 0;
  let rolloutsLeftOut = 0;
  let recent: RolloutRow[] = [];
  let lastStep = 0;
  for await (const line of jsonLines(join(folder, "rollouts.jsonl"))) {
    const row = line === undefined ? undefined : rolloutOf(line);
    if (row === undefined) badLines++;
    else if (row.phase === "evaluate") {
      if (row.step > afterStep) {
        rolloutsLeftOut += after.length;
        afterStep = row.step;
        after = [];
      }
      const kept = row.step === 0 ? before : after;
      if ((row.step === 0 || row.step === afterStep) && kept.length < limits.evaluationRollouts)
        kept.push(row);
      else rolloutsLeftOut++;
    } else if (row.step > lastStep - recentSteps) {
      if (row.step > lastStep) {
        lastStep = row.step;
        recent = recent.filter((kept) => kept.step > lastStep - recentSteps);
      }
      recent.push(row);
    }
  }
  return {
    config: jsonFile(join(folder, "config.json")) ?? {},
    summary: jsonFile(join(folder, "summary.json")),
    metrics,
    evaluations,
    rollouts: [...before, ...after, ...recent],
    rolloutsLeftOut,
    badLines,
    written: lastWritten(folder),
  };
}

function lastWritten(folder: string): number | undefined {
  const paths = ["config.json", "metrics.jsonl", "rollouts.jsonl"].map((name) => join(folder, name));
  const times = paths.filter((path) => existsSync(path)).map((path) => statSync(path).mtimeMs);
  return times.length === 0 ? undefined : Math.max(...times);
}

function jsonFile(path: string): Json | undefined {
  if (!existsSync(path) || statSync(path).size > limits.jsonBytes) return undefined;
  return parseObject(readFileSync(path, "utf8"));
}

/** Every line of a file as an object, or undefined for a line that is none; nothing for a missing file. */
async function* jsonLines(path: string): AsyncGenerator<Json | undefined> {
  if (!existsSync(path)) return;
  const lines = createInterface({
    input: createReadStream(path, "utf8"),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  for await (const line of lines) {
    if (line.trim() !== "") yield line.length > limits.lineCharacters ? undefined : parseObject(line);
  }
}

function parseObject(text: string): Json | undefined {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The value as an object, if it is one. */
export function objectOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

/** The value as a finite number, if it is one. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** The value as text of bounded length, if it is text. */
export function textOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  return value.length > limits.text ? `${value.slice(0, limits.text)} … (${value.length} characters)` : value;
}

function numbersOf(value: unknown): Map<string, number> {
  const entries = Object.entries(objectOf(value) ?? {}).map(([name, v]) => [name, numberOf(v)] as const);
  return new Map(entries.filter((entry): entry is [string, number] => entry[1] !== undefined));
}

function scoresOf(value: unknown): ScoresRow | undefined {
  const object = objectOf(value);
  const solveP = numberOf(object?.solveP);
  const solveR = numberOf(object?.solveR);
  const solveF1 = numberOf(object?.solveF1);
  if (solveP === undefined || solveR === undefined || solveF1 === undefined) return undefined;
  return { solveP, solveR, solveF1, tasks: numberOf(object?.tasks) ?? 0 };
}

function decodingOf(value: unknown): DecodingRow | undefined {
  const object = objectOf(value);
  const scores = scoresOf(value);
  if (object === undefined || scores === undefined) return undefined;
  const categories = new Map<string, ScoresRow>();
  for (const [name, entry] of Object.entries(objectOf(object.categories) ?? {})) {
    const row = scoresOf(entry);
    if (row !== undefined) categories.set(name, row);
  }
  return {
    ...scores,
    categories,
    solveF1Error: numberOf(object.solveF1Error),
    stops: numbersOf(object.stops),
    meanCalls: numberOf(object.meanCalls),
    meanTokens: numberOf(object.meanTokens),
    success: estimateOf(object.success),
  };
}

function estimateOf(value: unknown): Estimate | undefined {
  const object = objectOf(value);
  const [mean, low, high] = [object?.mean, object?.low, object?.high].map(numberOf);
  return mean === undefined || low === undefined || high === undefined ? undefined : { mean, low, high };
}

function rolloutOf(line: Json): RolloutRow | undefined {
  const step = numberOf(line.step);
  const taskId = textOf(line.taskId);
  if (step === undefined || taskId === undefined || !Array.isArray(line.spans)) return undefined;
  return {
    step,
    taskId,
    phase: line.phase === "evaluate" ? "evaluate" : "train",
    decoding: line.decoding === "greedy" ? "greedy" : "sampled",
    category: textOf(line.category) ?? "",
    rollout: numberOf(line.rollout) ?? 0,
    stop: textOf(line.stop) ?? "",
    turns: numberOf(line.turns) ?? 0,
    sampledTokens: numberOf(line.sampledTokens) ?? 0,
    reward: numberOf(line.reward) ?? 0,
    solveF1: numberOf(line.solveF1) ?? 0,
    spans: line.spans.slice(0, limits.spans).flatMap(spanOf),
  };
}

function spanOf(value: unknown): RoleSpan[] {
  const span = objectOf(value);
  const text = textOf(span?.text);
  const role = roles.find((name) => name === span?.role) satisfies Role | undefined;
  return text === undefined || role === undefined ? [] : [{ role, text }];
}
