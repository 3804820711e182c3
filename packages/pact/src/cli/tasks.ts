/**
 * The tasks of a run: those it trains on and, disjoint from them, those it is evaluated on.
 *
 * Generated families: worlds of the run's seed for training; held-out worlds, whose names occur in no training world, of a
 * fixed seed, so that runs of different seeds and methods are scored on the same tasks. `ftrl`: the published rows
 * that have an expert trace, of recorded calls or of a trace file, every second one of each category for training, the
 * others held out.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  bfclLike,
  categories,
  ftrl,
  ftrlLike,
  readTraces,
  type Split,
  type Task,
  TaskFileError,
  toolHopLike,
  withTraces,
} from "@pact/tools-sim";
import type { TrainConfig } from "../config.ts";

/** Training and held-out tasks, with what `config.json` says about them. */
export interface RunTasks {
  readonly training: readonly Task[];
  readonly heldOut: readonly Task[];
  readonly options: { readonly [key: string]: string | number };
}

/** The options of a run that choose its tasks. */
export interface TaskOptions {
  readonly env: GeneratedId | "ftrl";
  readonly data?: string;
  readonly traces?: string;
  readonly "eval-tasks": number;
}

/**
 * The tasks of a run.
 *
 * @throws TaskFileError for files that are missing, malformed or too few
 * @example runTasks({ env: "ftrl-like", "eval-tasks": 200 }, 1).heldOut.length // 200
 */
export function runTasks({ env, data, traces, ...options }: TaskOptions, seed: number): RunTasks {
  const count = options["eval-tasks"];
  return env === "ftrl"
    ? publishedTasks(data ?? "", count, traces)
    : generatedTasks(seed, count, env, traces);
}

/** Generated training tasks; a run of 40 steps of 16 prompts passes over them 1.25 times. */
const trainingCount = 512;
/** Task seeds from here on belong to runs; the base policy was pre-trained and chosen on lower ones. */
const firstSeed = 1000;
/** Seed of the held-out tasks, whatever the seed of the run. */
const heldOutSeed = firstSeed;

/** What makes tasks of a family, at its default dials. */
interface Family {
  generate(options: { seed: number; split: Split; count: number }): Task[];
}

/** The generated families, with the settings that their episodes need. */
export const generatedFamilies = {
  "ftrl-like": { family: ftrlLike as Family, settings: {} },
  // ToolHop allows 9 rounds; expert turns have up to about 120 tokens, whole expert traces about 500.
  "toolhop-like": {
    family: toolHopLike as Family,
    settings: { maxTurns: 9, maxTurnTokens: 160, maxRolloutTokens: 640, maxContextTokens: 2048 },
  },
  // Calls for all goals share a turn: up to about 220 tokens, whole expert traces about 900.
  "bfcl-like": {
    family: bfclLike as Family,
    settings: { maxTurns: 10, maxTurnTokens: 256, maxRolloutTokens: 1024, maxContextTokens: 3072 },
  },
} as const satisfies Readonly<Record<string, { family: Family; settings: Partial<TrainConfig> }>>;

/** The id of a generated family. */
export type GeneratedId = keyof typeof generatedFamilies;

/**
 * The tasks that a trace file has traces of, each with its trace; without a file the tasks as they are.
 *
 * @throws TaskFileError naming file, line and field of a malformed trace, or if the file has none of these tasks
 */
function traced(tasks: readonly Task[], path: string | undefined, hint: string): Task[] {
  if (path === undefined) return [...tasks];
  const kept = withTraces(tasks, readTraces(path).traces).filter((task) => task.trace !== undefined);
  if (kept.length > 0) return kept;
  throw new TaskFileError(
    `${path} has no trace of a training task, for example of ${tasks[0]?.id}. Make some with ${hint}.`,
  );
}

/**
 * Generated tasks of a family.
 *
 * @param traces trace file; only its tasks are trained on, with its traces
 * @throws TaskFileError for a trace file that is malformed or of other tasks
 * @example generatedTasks(1, 200, "toolhop-like").heldOut.length // 200
 */
export function generatedTasks(
  seed: number,
  heldOut: number,
  id: GeneratedId = "ftrl-like",
  traces?: string,
): RunTasks {
  const { family } = generatedFamilies[id];
  const trainingSeed = firstSeed + seed;
  const training = family.generate({ seed: trainingSeed, split: "train", count: trainingCount });
  const hint = `\`pact traces build --env ${id} --seed ${trainingSeed} --tasks ${trainingCount}\``;
  return {
    training: traced(training, traces, hint),
    heldOut: family.generate({ seed: heldOutSeed, split: "heldout", count: heldOut }),
    options: { trainingSeed, heldOutSeed, ...(traces === undefined ? {} : { traces }) },
  };
}

/** What a folder of FTRL rows without the source of their tools must contain. */
const publishedFiles = ["test.no_code.jsonl", "derived_calls.jsonl"];

/**
 * The published FTRL rows.
 *
 * @param data a file of rows with source, or a folder with `test.jsonl`; or a folder of rows without source and the calls
 * recorded of them
 * @param heldOut most held-out tasks; there may be fewer
 * @param traces trace file; only its rows count, with its traces. Rows without recorded calls need one.
 * @throws TaskFileError naming the missing files, or file, line and field; or if too few rows have a trace
 */
export function publishedTasks(data: string, heldOut: number, traces?: string): RunTasks {
  const isWhole = statSync(data, { throwIfNoEntry: false })?.isFile() || existsSync(join(data, "test.jsonl"));
  const missing = isWhole ? [] : publishedFiles.filter((name) => !existsSync(join(data, name)));
  if (missing.length > 0)
    throw new TaskFileError(
      `the folder ${data} has no ${missing.join(" and no ")}. ` +
        `Give --data the folder with both FTRL files, ${publishedFiles.join(" and ")}, or a file of rows with "codes".`,
    );
  const hint = `\`pact traces build --env ftrl --data ${data}\``;
  const rows = traced(ftrl.load(data), traces, hint).filter((task) => task.trace !== undefined);
  const split = categories.map((category) => rows.filter((task) => task.category === category));
  const training = split.flatMap((tasks) => tasks.filter((_, index) => index % 2 === 0));
  const rest = split.map((tasks) => tasks.filter((_, index) => index % 2 === 1));
  const longest = Math.max(...rest.map((tasks) => tasks.length));
  // One task of each category in turn, so that fewer held-out tasks are still spread over the categories.
  const turns = Array.from({ length: longest }, (_, index) =>
    rest.flatMap((tasks) => tasks.slice(index, index + 1)),
  );
  const chosen = turns.flat().slice(0, heldOut);
  if (training.length === 0 || chosen.length === 0)
    throw new TaskFileError(
      `${data}: ${rows.length} FTRL rows have an expert trace, too few to train and to evaluate on. ` +
        "Give --data a folder whose files are whole, with two such rows of one category at least; or --traces a file " +
        `of their traces, made with ${hint}.`,
    );
  return {
    training,
    heldOut: chosen,
    options: { data, ...(traces === undefined ? {} : { traces }) },
  };
}
