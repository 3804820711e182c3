/**
 * Going on with a run: the same settings or none, logs cut back to the checkpoint, and the weights and state of it.
 *
 * After a kill the logs may be ahead of the newest checkpoint. They are cut to it, so that a run that was interrupted
 * writes the same lines as one that never was.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { EvaluationResult, RunConfig, StepMetrics } from "../run-sink.ts";
import { decodeState, type TrainerState } from "../trainer-state.ts";
import { readNewestCheckpoint, type StoredCheckpoint } from "./checkpoints.ts";
import { absolutePaths } from "./describe-run.ts";
import { linesIn, readIfThere, writeLines } from "./disk.ts";
import { RunFolderError } from "./run-folder.ts";

/** Where a run goes on. */
export interface ResumePoint {
  /** Undefined: there is no checkpoint, the run starts at step 0. */
  readonly state?: TrainerState;
  /** The checkpoint's weights: of the model, or of adapters. */
  readonly weights?: StoredCheckpoint;
  /** Evaluations that are done and stay. */
  readonly evaluations: readonly EvaluationResult[];
  /** Lines of metrics.jsonl that stay. */
  readonly lines: readonly StepMetrics[];
}

/**
 * `config.json` of a run folder.
 *
 * @throws RunFolderError if it is missing or no JSON object
 */
export function readRunConfig(folder: string): RunConfig {
  const text = readIfThere(join(folder, "config.json"));
  if (text === undefined) {
    throw new RunFolderError(
      `the folder ${folder} has no config.json, so there is no run in it. Give the folder of a run; pact train makes one.`,
    );
  }
  try {
    const config: unknown = JSON.parse(text);
    if (isRecord(config)) return located(config as unknown as RunConfig);
  } catch {
    // Falls through to the error below.
  }
  throw new RunFolderError(
    `${join(folder, "config.json")} is not valid JSON. Start a new run without --resume.`,
  );
}

/** Runs that began before paths were kept from the root have them as typed: in the working folder of today. */
function located(run: RunConfig): RunConfig {
  const { command, environment } = run;
  return {
    ...run,
    ...(isRecord(command) && { command: absolutePaths(command) }),
    ...(isRecord(environment) &&
      isRecord(environment.options) && {
        environment: { ...environment, options: absolutePaths(environment.options) },
      }),
  };
}

/** What `summary.json` of a run folder says of its last invocation; nothing if there is none that can be read. */
export function readSummary(folder: string): {
  readonly outcome?: string;
  readonly seconds?: number;
  readonly tokens?: number;
} {
  const { outcome, seconds, tokens } = parseLine(readIfThere(join(folder, "summary.json")) ?? "") ?? {};
  return {
    ...(typeof outcome === "string" && { outcome }),
    ...(typeof seconds === "number" && { seconds }),
    ...(typeof tokens === "number" && { tokens }),
  };
}

/**
 * Every setting in which two run configurations differ, as `path: was → is`. The device's description is left out:
 * another adapter may go on with a run, though not with the same bits.
 *
 * @example differences({ train: { steps: 2 } }, { train: { steps: 3 } }) // ["train.steps: 2 → 3"]
 */
export function differences(was: unknown, is: unknown, path = ""): string[] {
  if (path === "device" || path === "command") return [];
  if (isRecord(was) && isRecord(is)) {
    const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
    return names.flatMap((name) => differences(was[name], is[name], path === "" ? name : `${path}.${name}`));
  }
  const [before, after] = [was, is].map((value) => JSON.stringify(value) ?? "nothing");
  return before === after ? [] : [`${path}: ${before} → ${after}`];
}

/**
 * What to say where a run goes on with another device than it began with: nothing, or one line.
 *
 * @example deviceNotes(readRunConfig("runs/first"), described)
 */
export function deviceNotes(was: Pick<RunConfig, "device">, is: Pick<RunConfig, "device">): string[] {
  const [before, now] = [was, is].map(({ device }) => `${device?.kind}, ${device?.description}`);
  return before === now ? [] : [`the run began on ${before} and goes on on ${now}: not with the same bits`];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Refuses to go on with other settings.
 *
 * @throws RunFolderError listing what differs
 */
export function requireSame(folder: string, was: RunConfig, is: RunConfig): void {
  // Through JSON, which is how the first was read.
  const different = differences(was, JSON.parse(JSON.stringify(is)));
  if (different.length === 0) return;
  const more = different.some((line) => line.startsWith("train.steps:"))
    ? " Schedules run over all steps, so they are no setting to change: to train on, start from a checkpoint of it with --model."
    : "";
  throw new RunFolderError(
    `the run in ${folder} has other settings: ${different.join("; ")}. ` +
      `Resume with its own (leave the options out), or start a new run in another --run-dir.${more}`,
  );
}

/**
 * Reads the newest whole checkpoint and cuts the logs back to it.
 *
 * @param note receives a line for each checkpoint that was passed over
 * @throws CheckpointError for a state of another format version
 */
export function prepareResume(folder: string, note: (line: string) => void): ResumePoint {
  const stored = readNewestCheckpoint(folder, note);
  const state = stored && decodeState(stored.state);
  const step = state?.step ?? 0;
  const evaluations: Record<string, unknown>[] = [];
  cutLines(
    join(folder, "evaluations.jsonl"),
    (line) => numberOf(line, "step") <= step,
    (line) => evaluations.push(line),
  );
  const evaluated = new Set(evaluations.map((line) => numberOf(line, "step")));
  const lines: Record<string, unknown>[] = [];
  cutLines(
    join(folder, "metrics.jsonl"),
    (line) => numberOf(line, "step") < step,
    (line) => lines.push(line),
  );
  cutLines(join(folder, "rollouts.jsonl"), (line) => {
    const at = numberOf(line, "step");
    return line.phase === "train" ? at < step : evaluated.has(at);
  });
  return {
    state,
    weights: stored,
    evaluations: evaluations as unknown as EvaluationResult[],
    lines: lines.filter(({ values }) => isRecord(values)) as unknown as StepMetrics[],
  };
}

/**
 * Whether nothing is left to do: every step is in the checkpoint, and both evaluations are in the log.
 *
 * @param steps of the whole run
 */
export function isFinished({ state, evaluations }: ResumePoint, steps: number): boolean {
  return state?.step === steps && [0, steps].every((at) => evaluations.some(({ step }) => step === at));
}

/**
 * Where a run stands, for a person: where it goes on, or that it is finished and how to train on.
 *
 * @example progress.line(standing("runs/first", prepareResume("runs/first", () => {}), 30));
 */
export function standing(folder: string, point: ResumePoint, steps: number): string {
  const { state, weights } = point;
  if (state === undefined || weights === undefined) return "no checkpoint yet: starting at step 0";
  if (!isFinished(point, steps)) return `going on at step ${state.step} from checkpoints/${weights.name}`;
  const isAdapter = weights.adapterConfig !== undefined;
  const model = isAdapter ? "<model>" : join(folder, "checkpoints", weights.name);
  const merge = isAdapter ? `pact merge ${folder} --out <model>, and ` : "";
  return (
    `the run is finished: ${steps} of ${steps} steps, evaluated before and after. Nothing is left to do. To train on, start a ` +
    `new run from what it made: ${merge}pact train --model ${model} --steps <n>`
  );
}

function numberOf(line: Record<string, unknown>, name: string): number {
  const value = line[name];
  return typeof value === "number" ? value : Number.POSITIVE_INFINITY;
}

/**
 * Keeps the lines of a log that `keep` wants; lines that are cut off or no JSON go too. The file is replaced whole, and
 * only if something changes. NOTE: line by line, because the rollouts of a long run are more than one text can hold.
 *
 * @param onLine receives the lines kept
 */
function cutLines(
  path: string,
  keep: (line: Record<string, unknown>) => boolean,
  onLine: (line: Record<string, unknown>) => void = () => {},
): void {
  if (!existsSync(path)) return;
  let isSame = true;
  for (const line of linesIn(path)) {
    const value = parseLine(line);
    const isKept = value !== undefined && keep(value);
    if (isKept) onLine(value);
    isSame &&= isKept && line.endsWith("\n");
  }
  if (!isSame) writeLines(path, keptIn(path, keep));
}

function* keptIn(path: string, keep: (line: Record<string, unknown>) => boolean): Generator<string> {
  for (const line of linesIn(path)) {
    const value = parseLine(line);
    if (value !== undefined && keep(value)) yield line.endsWith("\n") ? line : `${line}\n`;
  }
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
