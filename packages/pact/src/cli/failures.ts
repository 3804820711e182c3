/**
 * What a run that fails amid its work tells a person: what happened, which checkpoint is safe, and how to go on.
 *
 * Full disk, a folder that can not be written or is gone, a lost device, memory, numbers that left the floats. Other
 * errors keep their own message; what was saved is added to them.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DeviceLostError, OutOfMemoryError } from "@pact/tensor";
import { NonFiniteError } from "../errors.ts";
import { readNewestCheckpoint } from "./checkpoints.ts";
import { RunFolderError } from "./run-folder.ts";

/** A run that ended by a failure. Its message says what was saved and how to go on; `cause` is what happened. */
export class RunFailedError extends Error {
  override readonly name = "RunFailedError";
  readonly code = "ERR_PACT_RUN_FAILED";
}

/** What happened, and what has to be done before the run can go on. */
interface Failure {
  readonly what: string;
  readonly remedy: string;
  /** Going on would fail again at the same step. */
  readonly repeats?: boolean;
  /** What to do if the remedy does not help. */
  readonly otherwise?: string;
}

/**
 * The error to end a run with.
 *
 * @param folder the run folder
 * @returns the error itself where nothing can be added: nothing was saved, and it is no failure of the machine
 * @example throw explainFailure("runs/1", error);
 */
export function explainFailure(folder: string, error: unknown): unknown {
  if (error instanceof RunFailedError) return error;
  const failure = failureOf(folder, error);
  const saved = savedIn(folder);
  if (failure === undefined && (saved === undefined || error instanceof RunFolderError)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const { what, remedy, repeats, otherwise }: Failure = failure ?? { what: text, remedy: "" };
  const parts = [ended(what), advice(folder, saved, remedy, repeats), otherwise];
  return new RunFailedError(parts.filter((part) => part !== undefined).join(" "), { cause: error });
}

function advice(folder: string, saved: string | undefined, remedy: string, repeats = false): string {
  const first = remedy === "" ? "" : `${remedy}, then `;
  if (!existsSync(folder)) return "Nothing of the run is left. Start it again in another --run-dir.";
  if (saved === undefined)
    return `No checkpoint was saved yet. ${capital(`${first}start again with another --run-dir, or`)} \`pact train --resume --run-dir ${folder}\`, which starts at step 0.`;
  const place = join(folder, "checkpoints", saved);
  if (repeats)
    return `Saved: checkpoint ${saved}. ${capital(`${first}start a new run`)} with --model ${place} and another --run-dir; --resume would come to the same place.`;
  return `Saved: checkpoint ${saved}, whole, with the logs up to it. ${capital(`${first}go on`)} with \`pact train --resume --run-dir ${folder}\`.`;
}

/** Name of the newest whole checkpoint; undefined without one, or if the disk can not be read. */
function savedIn(folder: string): string | undefined {
  try {
    return readNewestCheckpoint(folder, () => {})?.name;
  } catch {
    return undefined;
  }
}

function failureOf(folder: string, error: unknown): Failure | undefined {
  if (error instanceof DeviceLostError)
    return { what: `The device was lost: ${error.message}`, remedy: "wait until it is back" };
  if (error instanceof OutOfMemoryError || isAllocation(error))
    return {
      what: `Out of memory: ${error.message}`,
      remedy: "free memory of this device",
      otherwise:
        "If the run alone is too large for it, start a new one with activationCheckpointing=true, a smaller tokenBudget, promptsPerStep or rolloutsPerPrompt " +
        "(--set) and the checkpoint as --model, which pact merge makes of adapters; pact plan says what helps.",
    };
  if (error instanceof NonFiniteError)
    return { what: error.message, remedy: "lower learningRate or clipNorm", repeats: true };
  if (error instanceof RunFolderError) return undefined;
  if (!existsSync(folder))
    return { what: `The run folder ${folder} is gone: it was deleted or moved during the run.`, remedy: "" };
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return { what: `The disk of ${folder} is full (${code}).`, remedy: "free some space" };
    case "EROFS":
    case "EACCES":
    case "EPERM":
      return { what: `The run folder ${folder} can not be written (${code}).`, remedy: "make it writable" };
    case "EIO":
      return {
        what: `The disk of ${folder} fails (${code}).`,
        remedy: "check it, or copy the folder elsewhere",
      };
    default:
      return undefined;
  }
}

/** An array that does not fit into memory; V8 gives it no class of its own. */
function isAllocation(error: unknown): error is RangeError {
  return (
    error instanceof RangeError &&
    /array (buffer )?allocation failed|invalid (typed )?array length/i.test(error.message)
  );
}

function ended(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function capital(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}`;
}
