/**
 * The folder of an evaluation, and going on with one.
 *
 *   config.json     what is evaluated; no secrets
 *   episodes.jsonl  an episode a line, appended and flushed to disk as each ends; of two lines on one episode the later counts
 *   summary.json    scores, written whole at the end
 *
 * A kill can cut the last line of episodes.jsonl: it is dropped, and its episode is played again.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import type { Message } from "@pact/tools-sim";
import { makeFolder, writeWhole } from "./disk.ts";
import { RunFolderError } from "./run-folder.ts";

/** What an evaluation is of: two that differ here can not share a folder. */
export type EvalSettings = Readonly<Record<string, string | number | boolean | null>>;

/** What scoring needs of an episode. */
export interface EpisodeRecord {
  readonly taskId: string;
  /** From 0. */
  readonly attempt: number;
  readonly category: string;
  readonly success: boolean;
  /** In [0, 1]. */
  readonly value: number;
  /** Solve-P, Solve-R and Solve-F1, for families that have them. */
  readonly solve?: { readonly solveP: number; readonly solveR: number; readonly solveF1: number };
  /** Further verdicts of the family by name, such as ToolHop's answer by its original rule. */
  readonly verdicts?: Readonly<Record<string, boolean>>;
  /** Calls, and those that failed, for families that count them (ToolHop). */
  readonly calls?: { readonly made: number; readonly failed: number };
  readonly stopReason: string;
  readonly turns: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Given if the episode failed: the model could not be asked. Then nothing above says how good it is. */
  readonly error?: string;
}

/** A line of episodes.jsonl. */
export interface EpisodeLine extends EpisodeRecord {
  /** The family's own score. */
  readonly score: unknown;
  readonly messages: readonly Message[];
}

/** Names an episode. */
export function episodeKey(taskId: string, attempt: number): string {
  return `${attempt} ${taskId}`;
}

/** The folder of one evaluation, open for further episodes. */
export class EvalFolder {
  /** Its absolute path. */
  readonly path: string;
  /** Episodes so far by `episodeKey`, failed ones included. */
  readonly records: Map<string, EpisodeRecord>;
  #file: number | undefined;

  private constructor(path: string, records: Map<string, EpisodeRecord>, file: number) {
    this.path = path;
    this.records = records;
    this.#file = file;
  }

  /**
   * Opens a new folder, or one with an evaluation of the same settings.
   *
   * @param mustExist - refuse a folder without an evaluation
   * @throws RunFolderError for a folder of other settings (naming the differences), one that holds something else, or
   *   one that can not be written
   */
  static open(where: string, settings: EvalSettings, mustExist: boolean): EvalFolder {
    const path = resolve(where);
    const config = join(path, "config.json");
    const log = join(path, "episodes.jsonl");
    const isOld = existsSync(config);
    if (mustExist && !isOld)
      throw new RunFolderError(`${path} holds no evaluation to go on with. Leave out --resume to begin one.`);
    try {
      makeFolder(path);
    } catch (error) {
      throw new RunFolderError(
        `cannot create the folder ${path} (${(error as Error).message}). Choose another with --out <path>.`,
        { cause: error },
      );
    }
    if (!isOld && readdirSync(path).length > 0)
      throw new RunFolderError(
        `the folder ${path} holds something that is no evaluation. Choose another with --out <path>.`,
      );
    const file = openSync(log, "a+");
    try {
      const { records, goodBytes } = readRecords(file, log);
      ftruncateSync(file, goodBytes);
      // Settings of a folder without episodes bind nobody: a mistyped model can be corrected.
      if (isOld && records.size > 0) compare(config, settings);
      writeWhole(config, `${JSON.stringify(settings, null, 2)}\n`);
      return new EvalFolder(path, records, file);
    } catch (error) {
      closeSync(file);
      throw error;
    }
  }

  /** Adds an episode; it is on the disk when this returns. */
  append({ score, messages, ...record }: EpisodeLine): void {
    if (this.#file === undefined) throw new RunFolderError(`${this.path} is closed`);
    const bytes = Buffer.from(`${JSON.stringify({ ...record, score, messages })}\n`, "utf8");
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written);
    fsyncSync(this.#file);
    this.records.set(episodeKey(record.taskId, record.attempt), record);
  }

  /** Writes summary.json. */
  writeSummary(summary: unknown): void {
    writeWhole(join(this.path, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function compare(config: string, settings: EvalSettings): void {
  let old: unknown;
  try {
    old = JSON.parse(readFileSync(config, "utf8"));
  } catch {
    throw new RunFolderError(`${config} can not be read as JSON. Choose another folder with --out <path>.`);
  }
  const stored = typeof old === "object" && old !== null ? (old as Record<string, unknown>) : {};
  // Evaluations that began before paths were kept from the root have them as typed.
  const before: Record<string, unknown> = {
    ...stored,
    ...(typeof stored.data === "string" && { data: resolve(stored.data) }),
  };
  const show = (value: unknown): string =>
    (value === undefined ? "nothing" : JSON.stringify(value)).slice(0, 200);
  const differences = [...new Set([...Object.keys(stored), ...Object.keys(settings)])].flatMap((name) =>
    JSON.stringify(before[name]) === JSON.stringify(settings[name])
      ? []
      : [`${name} was ${show(before[name])} and is ${show(settings[name])}`],
  );
  if (differences.length > 0)
    throw new RunFolderError(
      `the evaluation in ${config} has other settings: ${differences.join("; ")}. Choose another folder with --out <path>.`,
    );
}

const pieceBytes = 2 ** 20;

/** Reads the whole file by pieces, since transcripts can be long; `goodBytes` ends after the last whole line. */
function readRecords(file: number, name: string): { records: Map<string, EpisodeRecord>; goodBytes: number } {
  const records = new Map<string, EpisodeRecord>();
  let parts: Buffer[] = [];
  let goodBytes = 0;
  let line = 0;
  for (let position = 0; ; ) {
    const piece = Buffer.alloc(pieceBytes);
    const count = readSync(file, piece, 0, pieceBytes, position);
    if (count === 0) return { records, goodBytes };
    position += count;
    let start = 0;
    for (let end = piece.indexOf(10); end >= 0 && end < count; end = piece.indexOf(10, start)) {
      parts.push(piece.subarray(start, end));
      const bytes = Buffer.concat(parts);
      parts = [];
      start = end + 1;
      line++;
      const record = readRecord(bytes.toString("utf8"));
      if (record === undefined)
        throw new RunFolderError(
          `${name}:${line}: not an episode of \`pact eval\`. Remove the line, or choose another folder with --out <path>.`,
        );
      records.set(episodeKey(record.taskId, record.attempt), record);
      goodBytes += bytes.length + 1;
    }
    parts.push(piece.subarray(start, count));
  }
}

function readRecord(text: string): EpisodeRecord | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { taskId, attempt, category, success, stopReason, error } = value;
  const { value: worth, turns, promptTokens, completionTokens } = value;
  const texts = [taskId, category, stopReason].every((item) => typeof item === "string");
  const counts = [attempt, turns, promptTokens, completionTokens].every((item) => Number.isSafeInteger(item));
  const solve = readSolve(value.solve);
  const more = isRecordOf(value.verdicts, (item) => typeof item === "boolean") && isCalls(value.calls);
  const fits = texts && counts && typeof success === "boolean" && isShare(worth) && solve !== null && more;
  if (!fits || (error !== undefined && typeof error !== "string")) return undefined;
  const { score: _score, messages: _messages, ...record } = value;
  return record as unknown as EpisodeRecord;
}

function readSolve(value: unknown): object | undefined | null {
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null) return null;
  const { solveP, solveR, solveF1 } = value as Record<string, unknown>;
  return [solveP, solveR, solveF1].every(isShare) ? value : null;
}

/** True also for undefined: the field is optional. */
function isRecordOf(value: unknown, fits: (item: unknown) => boolean): boolean {
  if (value === undefined) return true;
  return typeof value === "object" && value !== null && Object.values(value).every(fits);
}

function isCalls(value: unknown): boolean {
  if (value === undefined) return true;
  return (
    isRecordOf(value, Number.isSafeInteger) &&
    Object.keys(value as object)
      .sort()
      .join() === "failed,made"
  );
}

function isShare(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}
