/**
 * The checkpoints of a run folder:
 *
 *   checkpoints/step-<n>/  model.safetensors · config.json · tokenizer.json   a model folder that loads by itself
 *                          and the folder's other small files, where it has them (template, stop tokens)
 *                          with LoRA adapter_model.safetensors · adapter_config.json (PEFT's) instead of the model, and
 *                          base_config.json instead of config.json: with that the folder would be taken for a model
 *                          state.safetensors                                  what training needs to go on
 *                          manifest.json                                      format version, kernels, SHA-256 of each file and,
 *                                                                             with LoRA, of the weights they stand beside
 *   checkpoints/latest     name of the newest folder, written last
 *
 * A checkpoint is made under a temporary name and renamed when every file is on the disk; only then does `latest` point
 * to it. Whatever is interrupted, the newest checkpoint that can be read is whole: each file is compared with its
 * checksum, and one that does not agree (torn, tampered with) is passed over for the one before, saying so.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tokenizerFileNames } from "@pact/nn";
import { CheckpointError } from "../errors.ts";
import type { Checkpoint } from "../run-sink.ts";
import { type Disk, disk, namesIn, readIfThere, writeWhole } from "./disk.ts";
import type { ModelFiles } from "./folder-sink.ts";
import { type NotedKernels, notedKernels } from "./kernel-table.ts";

/** Changes when the layout changes. */
const formatVersion = 1;
const namePattern = /^step-\d{6,}$/;
const stateName = "state.safetensors";
/** Names of what was trained, as Hugging Face and PEFT have them. */
const weightsNames = { model: "model.safetensors", adapter: "adapter_model.safetensors" } as const;
const adapterConfigName = "adapter_config.json";
/** `config.json` of the model: beside adapters it is the base's, and has another name. */
const configNames = { model: "config.json", adapter: "base_config.json" } as const;
/** Files of a model that only some models have. */
export const companionNames: readonly string[] = [
  "generation_config.json",
  ...tokenizerFileNames.filter((name) => name !== "tokenizer.json"),
];

/** A checkpoint read back and verified. */
export interface StoredCheckpoint extends Omit<Checkpoint, "step"> {
  readonly name: string;
  /** What it was computed with; undefined on the cpu device. */
  readonly kernels?: NotedKernels;
}

/** Name of a step's folder. */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** Steps done before the checkpoint of a name. */
export function stepOf(name: string): number {
  return Number(name.slice("step-".length));
}

/**
 * Writes a checkpoint of a run folder, then points `latest` to it. One of the same step, damaged or it would be gone on
 * with, is replaced.
 *
 * @param folder the run folder
 * @param files of the model, beside its weights
 */
export function saveCheckpoint(
  folder: string,
  { step, model, adapterConfig, state }: Checkpoint,
  files: ModelFiles,
  use: Disk = disk,
): void {
  const all = join(folder, "checkpoints");
  const place = join(all, checkpointName(step));
  const temporary = `${place}.tmp`;
  const contents: Record<string, Uint8Array> = {
    [adapterConfig ? weightsNames.adapter : weightsNames.model]: model,
    [adapterConfig ? configNames.adapter : configNames.model]: Buffer.from(files.config),
    "tokenizer.json": Buffer.from(files.tokenizer),
    [stateName]: state,
  };
  if (adapterConfig) contents[adapterConfigName] = Buffer.from(`${JSON.stringify(adapterConfig, null, 2)}\n`);
  for (const name of companionNames) {
    if (files.companions?.[name] !== undefined) contents[name] = Buffer.from(files.companions[name]);
  }
  const names = Object.keys(contents);
  try {
    // What an interrupted run left under these names is made anew.
    use.remove(temporary);
    use.makeFolder(temporary);
    for (const name of names) writeWhole(join(temporary, name), contents[name], use);
    const sums = Object.fromEntries(names.map((name) => [name, sha256(contents[name])]));
    const base = adapterConfig && files.base;
    const manifest = { formatVersion, step, kernels: files.kernels?.(), base, sha256: sums };
    writeWhole(join(temporary, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`, use);
    use.remove(place);
    use.rename(temporary, place);
    writeWhole(join(all, "latest"), `${checkpointName(step)}\n`, use);
  } catch (error) {
    use.remove(temporary);
    throw error;
  }
}

/**
 * The newest checkpoint that is whole: the one `latest` names, else the one before, and so on.
 *
 * @param upTo greatest number of steps done
 * @param note receives a line for each checkpoint that had to be passed over
 * @returns undefined if there is none
 * @example const newest = readNewestCheckpoint("runs/1", console.error);
 */
export function readNewestCheckpoint(
  folder: string,
  note: (line: string) => void,
  upTo: number = Number.POSITIVE_INFINITY,
): StoredCheckpoint | undefined {
  const all = join(folder, "checkpoints");
  const names = namesIn(all).filter((name) => namePattern.test(name));
  const pointed = readIfThere(join(all, "latest"))?.trim();
  // A folder newer than the pointer was renamed into place but its pointer was not written; it is whole all the same.
  if (pointed !== undefined && names.length > 0 && !names.includes(pointed)) {
    note(`checkpoints/latest names ${JSON.stringify(pointed.slice(0, 40))}, which is not there`);
  }
  // By number: names of seven digits and more do not sort as text.
  const newest = names.filter((own) => stepOf(own) <= upTo).sort((a, b) => stepOf(b) - stepOf(a));
  for (const name of newest) {
    try {
      return { name, ...readVerified(join(all, name)) };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      note(`checkpoint ${name} is not usable (${error.message}); trying the one before`);
    }
  }
  return undefined;
}

/**
 * The files of one checkpoint, compared with their checksums.
 *
 * @throws CheckpointError for a file that is missing or differs, or another format version
 */
function readVerified(folder: string): Omit<StoredCheckpoint, "name"> {
  const { sums, kernels } = readManifest(readIfThere(join(folder, "manifest.json")));
  const read = (name: string): Uint8Array => {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(join(folder, name));
    } catch {
      throw new CheckpointError(`${name} can not be read`);
    }
    if (sha256(bytes) !== sums.get(name)) throw new CheckpointError(`${name} does not have its checksum`);
    return bytes;
  };
  const isAdapter = sums.has(weightsNames.adapter);
  const stored = {
    model: read(isAdapter ? weightsNames.adapter : weightsNames.model),
    ...(isAdapter && { adapterConfig: readObject(adapterConfigName, read(adapterConfigName)) }),
    state: read(stateName),
    ...(kernels && { kernels }),
  };
  // Beside older adapters it has the model's name.
  read(sums.has(configNames.adapter) ? configNames.adapter : configNames.model);
  read("tokenizer.json");
  for (const name of companionNames) if (sums.has(name)) read(name);
  return stored;
}

function readObject(name: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const value = parsed(name, new TextDecoder().decode(bytes));
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new CheckpointError(`${name} is no JSON object`);
}

function parsed(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CheckpointError(`${name} is no JSON`);
  }
}

function readManifest(text: string | undefined) {
  if (text === undefined) throw new CheckpointError("manifest.json is missing");
  const manifest = parsed("manifest.json", text);
  const { formatVersion: version, sha256: sums, kernels } = Object(manifest) as Record<string, unknown>;
  if (version !== formatVersion) {
    throw new CheckpointError(
      `manifest.json has format version ${JSON.stringify(version)}, expected ${formatVersion}`,
    );
  }
  const entries: [string, unknown][] = Object.entries(Object(sums) as object);
  return { sums: new Map(entries), kernels: notedKernels(kernels) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
