/**
 * The tasks of a run: those it trains on and, disjoint from them, those it is evaluated on.
 *
 * `ftrl-like`: worlds of the run's seed for training; held-out worlds, whose names occur in no training world, of a
 * fixed seed, so that runs of different seeds and methods are scored on the same tasks. `ftrl`: the published rows
 * that have an expert trace, every second one of each category for training, the others held out.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { categories, ftrl, ftrlLike, type Task, TaskFileError } from "@pact/tools-sim";

/** Training and held-out tasks, with what `config.json` says about them. */
export interface RunTasks {
  readonly training: readonly Task[];
  readonly heldOut: readonly Task[];
  readonly options: { readonly [key: string]: string | number };
}

/** Generated training tasks; a run of 40 steps of 16 prompts passes over them 1.25 times. */
const trainingCount = 512;
/** Task seeds from here on belong to runs; the base policy was pre-trained and chosen on lower ones. */
const firstSeed = 1000;
/** Seed of the held-out tasks, whatever the seed of the run. */
const heldOutSeed = firstSeed;

/** Generated tasks. */
export function generatedTasks(seed: number, heldOut: number): RunTasks {
  const trainingSeed = firstSeed + seed;
  return {
    training: ftrlLike.generate({ seed: trainingSeed, split: "train", count: trainingCount }),
    heldOut: ftrlLike.generate({ seed: heldOutSeed, split: "heldout", count: heldOut }),
    options: { trainingSeed, heldOutSeed },
  };
}

/** What a folder of FTRL rows must contain. */
const publishedFiles = ["test.no_code.jsonl", "derived_calls.jsonl"];

/**
 * The published FTRL rows of a folder.
 *
 * @param heldOut most held-out tasks; there may be fewer
 * @throws TaskFileError naming the missing files, or file, line and field; or if too few rows have a trace
 */
export function publishedTasks(folder: string, heldOut: number): RunTasks {
  const missing = publishedFiles.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0)
    throw new TaskFileError(
      `the folder ${folder} has no ${missing.join(" and no ")}. ` +
        `Give --data the folder with both FTRL files, ${publishedFiles.join(" and ")}.`,
    );
  const rows = ftrl.load(folder).filter((task) => task.trace !== undefined);
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
      `${folder}: ${rows.length} FTRL rows have an expert trace, too few to train and to evaluate on. ` +
        "Give --data a folder whose files are whole, with two such rows of one category at least.",
    );
  return { training, heldOut: chosen, options: { data: folder } };
}
