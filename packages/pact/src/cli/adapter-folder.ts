/** Reads LoRA adapters from a folder in PEFT's layout; the folder may come from anywhere. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { PeftFiles } from "@pact/nn";

/** A folder without adapters that can be used. Its message ends with what to do. */
export class AdapterFolderError extends Error {
  override readonly name = "AdapterFolderError";
  readonly code = "ERR_PACT_ADAPTER_FOLDER";
}

const configName = "adapter_config.json";
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
  const read = (name: string, mostBytes = Number.POSITIVE_INFINITY): Uint8Array => {
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
  };
  const json = parse(folder, new TextDecoder().decode(read(configName, mostConfigBytes)));
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new AdapterFolderError(`${configName} in ${folder} is no JSON object. Copy the adapter again.`);
  return { [configName]: json as Readonly<Record<string, unknown>>, [weightsName]: read(weightsName) };
}

function parse(folder: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AdapterFolderError(`${configName} in ${folder} is not JSON. Copy the adapter again.`, {
      cause,
    });
  }
}
