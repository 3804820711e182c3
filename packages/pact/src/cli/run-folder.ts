/**
 * The run folder: where it lies and how it is claimed. How files get into it whole: disk.ts and checkpoints.ts.
 *
 *   runs/<id>/  config.json · metrics.jsonl · rollouts.jsonl · evaluations.jsonl · summary.json · report.html
 *               checkpoints/step-<n>/ model.safetensors · config.json · tokenizer.json · state.safetensors · manifest.json …
 *
 * Whole files are written beside their place and renamed over it, so a reader sees the old file or the new one, never
 * half of one. The three `.jsonl` files grow by whole lines; a kill can cut the last line, which readers ignore.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeFolder } from "./disk.ts";

/** A run folder that can not be used. Its message ends with what to do. */
export class RunFolderError extends Error {
  override readonly name = "RunFolderError";
  readonly code = "ERR_PACT_RUN_FOLDER";
}

/**
 * The folder of a run that was given no `--run-dir`: `runs/<UTC time>-<method>-seed<seed>`, below the working folder.
 *
 * @example defaultRunFolder("pact", 1, new Date(0)) // "runs/1970-01-01-000000-pact-seed1"
 */
export function defaultRunFolder(method: string, seed: number, date: Date = new Date()): string {
  const [day, time] = date.toISOString().split("T");
  return join("runs", `${day}-${time.slice(0, 8).replaceAll(":", "")}-${method}-seed${seed}`);
}

/**
 * Makes sure a folder can hold a new run, and creates it.
 *
 * @returns its absolute path
 * @throws RunFolderError if the path is a file or a folder that holds anything, or can not be created
 */
export function claimRunFolder(path: string): string {
  const folder = resolve(path);
  try {
    makeFolder(folder);
    if (readdirSync(folder).length === 0) return folder;
  } catch (error) {
    throw new RunFolderError(
      `cannot create the run folder ${folder} (${errorCode(error)}). Choose another with --run-dir <path>.`,
      { cause: error },
    );
  }
  throw new RunFolderError(
    `the run folder ${folder} is not empty; a run never overwrites another. ` +
      "Choose another with --run-dir <path>, go on with the one in it with --resume, or empty it.",
  );
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
