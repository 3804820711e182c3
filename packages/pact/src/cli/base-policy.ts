/**
 * The base policy that is shipped with the package: a small transformer that can use tools a little, where the paper
 * starts from a pre-trained model. How it was made is written beside it, in packages/pact/base/README.md.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  configFromJson,
  type Params,
  paramsFromSafetensors,
  Tokenizer,
  type TransformerConfig,
} from "@pact/nn";
import { type Dialect, nativeDialect } from "../dialect.ts";
import type { ModelFiles } from "./folder-sink.ts";

/** A model folder in memory, not yet on a device. */
export interface ModelFolder {
  readonly folder: string;
  readonly config: TransformerConfig;
  /** How episodes become its tokens. */
  readonly dialect: Dialect;
  /** Bytes of `model.safetensors`. */
  readonly weights: Uint8Array;
  /** `config.json` and `tokenizer.json` as they are, for checkpoints. */
  readonly files: ModelFiles;
}

/** Path of the shipped base, the same from `src/cli` and from `dist/cli`. */
const baseFolder = fileURLToPath(new URL("../../base/", import.meta.url));

/**
 * Reads a folder of `config.json`, `tokenizer.json` and `model.safetensors`.
 *
 * @param folder default: the shipped base
 * @throws Error naming the file that is missing or malformed, or files that do not belong together
 * @example const base = readModelFolder();
 */
export function readModelFolder(folder: string = baseFolder): ModelFolder {
  if (existsSync(`${folder}/adapter_config.json`) && !existsSync(`${folder}/model.safetensors`))
    throw new Error(
      `the folder ${folder} holds LoRA adapters, not a model. Make one of them: pact merge ${folder} --model <base folder> --out <folder>.`,
    );
  const files = { config: readText(folder, "config.json"), tokenizer: readText(folder, "tokenizer.json") };
  const config = parse(folder, "config.json", () => configFromJson(JSON.parse(files.config)));
  const tokenizer = parse(folder, "tokenizer.json", () => Tokenizer.fromJson(JSON.parse(files.tokenizer)));
  if (config.vocabSize !== tokenizer.vocabSize)
    throw new Error(
      `the model in ${folder} has ${config.vocabSize} tokens, its tokenizer ${tokenizer.vocabSize}: ` +
        "config.json and tokenizer.json are not of one model. Copy both from the folder the model was saved in.",
    );
  return {
    folder,
    config,
    dialect: nativeDialect(tokenizer),
    weights: read(folder, "model.safetensors"),
    files,
  };
}

/**
 * The weights of a model folder as tensors on the default device.
 *
 * @param dtype default f32; f16 where the device has it
 * @throws Error naming the file, if it is damaged or has not the tensors that `config.json` asks for
 * @example const params = modelParams(readModelFolder());
 */
export function modelParams({ folder, config, weights }: ModelFolder, dtype: "f32" | "f16" = "f32"): Params {
  return parse(folder, "model.safetensors", () => paramsFromSafetensors(config, weights, { dtype }));
}

function read(folder: string, name: string): Uint8Array {
  try {
    return readFileSync(`${folder}/${name}`);
  } catch (error) {
    throw new Error(
      `the model folder ${folder} has no readable ${name}. Reinstall the package, or check out the file.`,
      {
        cause: error,
      },
    );
  }
}

function readText(folder: string, name: string): string {
  return new TextDecoder().decode(read(folder, name));
}

function parse<T>(folder: string, name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${name} in ${folder} is not usable: ${reason.replace(/\.?\s*$/, ".")} ` +
        "Copy the model folder again from where it was saved, or give another with --model <path>.",
      { cause: error },
    );
  }
}
