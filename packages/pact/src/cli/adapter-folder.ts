/** Reads LoRA adapters from a folder in PEFT's layout; the folder may come from anywhere. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { PeftFiles } from "@pact/nn";

/** A folder without adapters that can be used. Its message ends with what to do. */
export class AdapterFolderError extends Error {
  override readonly name = "AdapterFolderError";
  readonly code = "ERR_PACT_ADAPTER_FOLDER";
}

const configName = "adapter_config.json";
const manifestName = "manifest.json";
const weightsName = "adapter_model.safetensors";
/** Those of PEFT have some hundred bytes, with full names of layers some hundred kilobytes. */
const mostConfigBytes = 16 << 20;

/**
 * The two files of a folder that PEFT's `save_pretrained` wrote, or of a run's checkpoint with adapters.
 *
 * @throws AdapterFolderError naming the file that is missing or malformed; what is in it, `loraFromPeft` checks
 * @example readAdapterFolder("runs/first/checkpoints/step-000030")["adapter_config.json"].r
 */
export function readAdapterFolder(folder: string): PeftFiles {
  return { [configName]: readObject(folder, configName), [weightsName]: read(folder, weightsName) };
}

/**
 * SHA-256 of the weights that adapters were trained beside, as a run notes it: in the checkpoint's manifest, and in the run's
 * own `config.json`; undefined where nobody did.
 *
 * @throws AdapterFolderError for one of them that is malformed
 * @example adapterBase("runs/first/checkpoints/step-000030") === (await digestOf("models/qwen3"))
 */
export function adapterBase(folder: string): string | undefined {
  const checkpoints = dirname(resolve(folder));
  // Checkpoints from before manifests noted it are asked where they were made.
  const places: [string, string][] = [[folder, manifestName]];
  if (basename(checkpoints) === "checkpoints") places.push([dirname(checkpoints), "config.json"]);
  for (const [place, name] of places) {
    const { base } = existsSync(join(place, name)) ? readObject(place, name) : {};
    if (typeof base === "string") return base;
  }
  return undefined;
}

function read(folder: string, name: string, mostBytes = Number.POSITIVE_INFINITY): Uint8Array {
  const path = join(folder, name);
  try {
    if (statSync(path).size <= mostBytes) return readFileSync(path);
  } catch (cause) {
    throw new AdapterFolderError(
      `the adapter folder ${folder} has no readable ${name}. Give the folder that PEFT's save_pretrained wrote, or a ` +
        "checkpoint of a run with loraRank.",
      { cause },
    );
  }
  throw new AdapterFolderError(
    `${name} in ${folder} has more than ${mostBytes} bytes. Copy the adapter again.`,
  );
}

function readObject(folder: string, name: string): Readonly<Record<string, unknown>> {
  const text = new TextDecoder().decode(read(folder, name, mostConfigBytes));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AdapterFolderError(`${name} in ${folder} is not JSON. Copy the adapter again.`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new AdapterFolderError(`${name} in ${folder} is no JSON object. Copy the adapter again.`);
  return json as Readonly<Record<string, unknown>>;
}
