/**
 * `pact merge`: makes a plain model folder of LoRA adapters (Hu et al., arXiv 2106.09685) and the model they stand beside.
 * Everything is checked before the folder is written, and the folder is whole or not there. Left out: several adapters.
 */
import { existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import {
  inspectModel,
  loadModel,
  loraFromPeft,
  type ModelProgress,
  mergeLora,
  type PeftFiles,
  readFolderText,
  saveModel,
  tokenizerFileNames,
} from "@pact/nn";
import { createDevice } from "@pact/tensor";
import { nameIn } from "./adapter-base.ts";
import { AdapterFolderError, adapterBase, readAdapterFolder } from "./adapter-folder.ts";
import { baseFolder, digestOf, ModelFolderError } from "./base-policy.ts";
import { readNewestCheckpoint } from "./checkpoints.ts";
import { namesIn, writeWhole } from "./disk.ts";
import { Interrupt, interruptedExitCode } from "./interrupt.ts";
import { type MergeOptions, mergeOptions, mergePositional } from "./merge-options.ts";
import { parseOptions, takePositional, UsageError } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { readRunConfig } from "./resume.ts";

/** What `--json` prints. */
export interface Merged {
  readonly out: string;
  readonly model: string;
  /** Where the adapters were. */
  readonly adapters: string;
  readonly rank: number;
  readonly alpha: number;
  /** Layers that had adapters. */
  readonly layers: number;
  readonly parameters: number;
  readonly dtype: StoredType;
}

type StoredType = "F32" | "F16" | "BF16";

/** Adapters, where they were found, and the model that they name. */
interface Source {
  readonly place: string;
  readonly files: PeftFiles;
  readonly model?: string;
  /** SHA-256 of the weights that they were trained beside, where it is known. */
  readonly digest?: string;
}

/**
 * Runs `pact merge`.
 *
 * @param args the arguments after `merge`
 * @returns 0, or 130 if Ctrl-C ended it
 * @throws UsageError for a wrong command line; AdapterFolderError for a folder without adapters; ModelFolderError for a
 *   model that is not the one a run started from; errors of `loadModel`,
 *   `loraFromPeft` and `saveModel`
 * @example process.exitCode = await merge(["runs/lora", "--out", "merged"]);
 */
export async function merge(args: readonly string[]): Promise<number> {
  const { word, rest } = takePositional("pact merge", mergePositional, args);
  const options = parseOptions("pact merge", mergeOptions, rest);
  if (word === undefined)
    throw new UsageError(
      "pact merge: give the folder of a run or of adapters, e.g. pact merge runs/lora --out merged.",
    );
  const out = outFolder(options);
  const stream = options.json ? process.stderr : process.stdout;
  const progress = createProgress(stream);
  using interrupt = new Interrupt(() => progress.line("stopping; nothing is kept"));
  try {
    const merged = await mergeInto(
      out,
      sourceOf(resolve(word), progress),
      options,
      progress,
      interrupt.signal,
    );
    progress.close();
    const shown = relative(process.cwd(), out).startsWith("..") ? out : relative(process.cwd(), out);
    const { layers, rank, alpha, dtype } = merged;
    stream.write(
      `\n  merged    ${layers} layers of rank ${rank}, alpha ${alpha}, ${dtype}\n  model     ${shown}\n`,
    );
    if (options.json) process.stdout.write(`${JSON.stringify(merged)}\n`);
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) return interruptedExitCode;
    throw error;
  } finally {
    progress.close();
  }
}

function outFolder({ out }: MergeOptions): string {
  if (out === undefined)
    throw new UsageError("pact merge: --out <path> is missing, the folder for the merged model.");
  const folder = resolve(out);
  if (existsSync(folder) && (!isFolder(folder) || namesIn(folder).length > 0))
    throw new UsageError(
      `pact merge: --out ${folder} is there already and not an empty folder. Choose another.`,
    );
  return folder;
}

function isFolder(path: string): boolean {
  return statSync(path).isDirectory();
}

/** The adapters of a run's newest checkpoint, or of a folder of adapters. */
function sourceOf(folder: string, progress: Progress): Source {
  if (!existsSync(join(folder, "checkpoints"))) {
    const files = readAdapterFolder(folder);
    return { place: folder, files, model: nameIn(files["adapter_config.json"]), digest: adapterBase(folder) };
  }
  const { command = {}, base } = readRunConfig(folder);
  const stored = readNewestCheckpoint(folder, (line) => progress.line(line));
  if (stored === undefined)
    throw new AdapterFolderError(
      `the run in ${folder} has no checkpoint. Go on with it: pact train --resume --run-dir ${folder}`,
    );
  const place = join(folder, "checkpoints", stored.name);
  if (stored.adapterConfig === undefined)
    throw new AdapterFolderError(
      `the run in ${folder} trained all parameters, so ${place} is a model already. Use it as it is.`,
    );
  const { model: weights, adapterConfig } = stored;
  const files = { "adapter_model.safetensors": weights, "adapter_config.json": adapterConfig };
  const model = typeof command.model === "string" ? command.model : baseFolder;
  return { place, files, model, ...(typeof base === "string" && { digest: base }) };
}

async function mergeInto(
  out: string,
  { place, files, model: named, digest }: Source,
  { model: given, dtype: wanted }: MergeOptions,
  progress: Progress,
  stop: AbortSignal,
): Promise<Merged> {
  const folder = given ?? named;
  if (folder === undefined)
    throw new UsageError(
      "pact merge: adapter_config.json names no model. Give the one they were trained on with --model <path>.",
    );
  if (given === undefined) {
    if (!existsSync(folder))
      throw new UsageError(
        `pact merge: the model ${JSON.stringify(folder)}, which the adapters name, is no folder here. Give it with --model <path>.`,
      );
    progress.line(`model: ${folder}`);
  }
  const { config: shape, tensors } = await inspectModel(folder);
  const beside: [name: string, text: string][] = [];
  for (const name of tokenizerFileNames) {
    const text = await readFolderText(folder, name);
    if (text !== undefined) beside.push([name, text]);
  }
  const device = await createDevice({ device: "cpu" });
  using _device = { [Symbol.dispose]: () => device.destroy() };
  // Checked before gigabytes are read.
  const adapters = loraFromPeft(shape, files, { device });
  if (digest !== undefined && (await digestOf(folder)) !== digest)
    throw new ModelFolderError(
      `the model in ${folder} is not the one the run started from: its weights differ. Give its folder with --model <path>.`,
    );
  const { rank, alpha, targets } = adapters.settings;
  const own = tensors.get(`${targets[0]}.weight`)?.dtype;
  const dtype = wanted === "same" ? storedType(own) : (wanted.toUpperCase() as StoredType);
  const follow = (name: string) => {
    let begun = false;
    return ({ bytes, totalBytes }: ModelProgress) => {
      stop.throwIfAborted();
      const total = Math.ceil(totalBytes / 1e6);
      if (!begun) progress.stage(name, "MB", total);
      begun = true;
      progress.advance(Math.ceil(bytes / 1e6));
    };
  };
  const model = await loadModel(folder, { device, onProgress: follow("read") });
  const params = mergeLora(model.params, adapters);
  await saveModel(out, { ...model, params }, { dtype, onProgress: follow("write") });
  for (const [name, text] of beside) writeWhole(join(out, name), text);
  const parameters = Object.values(params).reduce((sum, { size }) => sum + size, 0);
  return { out, model: folder, adapters: place, rank, alpha, layers: targets.length, parameters, dtype };
}

/** F64 is read in f32, so it is not stored in more. */
function storedType(dtype: string | undefined): StoredType {
  return dtype === "F16" || dtype === "BF16" ? dtype : "F32";
}
