/**
 * Model folders that runs start from: the base policy shipped with the package (a small transformer that can use tools a
 * little, where the paper starts from a pre-trained model; how it was made is in packages/pact/base/README.md), checkpoints
 * of runs, and folders in the layout of the Hugging Face hub. A tokenizer with our control tokens speaks the native dialect,
 * any other the one of its chat template.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ChatTemplate,
  ConfigError,
  configFromJson,
  inspectModel,
  loadModel,
  loadTokenizer,
  type ModelProgress,
  type Params,
  type PretrainedTokenizer,
  readFolderText,
  Tokenizer,
  type TransformerConfig,
} from "@pact/nn";
import { namedEnds, turnEnds } from "../chat/turn-ends.ts";
import { type Dialect, nativeDialect } from "../dialect.ts";
import { type ChatDialect, chatDialect } from "../dialect-chat.ts";
import { controlTokens } from "../tokens.ts";
import { companionNames } from "./checkpoints.ts";
import type { ModelFiles } from "./folder-sink.ts";

/** A model folder whose files fit together; its weights are on disk. */
export interface ModelFolder {
  readonly folder: string;
  readonly config: TransformerConfig;
  /** How episodes become its tokens. */
  readonly dialect: Dialect;
  /** SHA-256 of its weights, of shards one after the other. */
  readonly digest: string;
  /** The files beside the weights, for checkpoints. */
  readonly files: ModelFiles;
  /** What a person should know of how it speaks. */
  readonly notes: readonly string[];
}

/** A model folder that can not be used. Its message ends with what to do. */
export class ModelFolderError extends Error {
  override readonly name = "ModelFolderError";
  readonly code = "ERR_PACT_MODEL_FOLDER";
}

const weightsName = "model.safetensors";
const indexName = "model.safetensors.index.json";

/** Path of the shipped base, the same from `src/cli` and from `dist/cli`. */
export const baseFolder = fileURLToPath(new URL("../../base/", import.meta.url));

/**
 * Reads a folder of `config.json`, `tokenizer.json` and `model.safetensors` (or its shards), and its other small files. Weights are checked by their headers and read later.
 *
 * @param folder default: the shipped base
 * @throws ModelFolderError naming the file that is missing or malformed, or files that do not belong together
 * @example const base = await readModelFolder();
 */
export async function readModelFolder(folder: string = baseFolder): Promise<ModelFolder> {
  return { ...(await inspectModelFolder(folder)), digest: await digestOf(folder) };
}

/**
 * The same without a look at the weights beyond their headers, so that a large folder takes no time.
 *
 * @throws ModelFolderError as `readModelFolder`
 * @example const { config, dialect } = await inspectModelFolder("models/qwen3");
 */
export async function inspectModelFolder(folder: string = baseFolder): Promise<Omit<ModelFolder, "digest">> {
  const other = noModel(folder);
  if (other !== undefined) throw new ModelFolderError(other);
  const texts = {
    config: await readText(folder, "config.json"),
    tokenizer: await readText(folder, "tokenizer.json"),
  };
  const config = await usable(folder, "config.json", () => configFromJson(JSON.parse(texts.config)));
  const json = await usable(folder, "tokenizer.json", (): unknown => JSON.parse(texts.tokenizer));
  const companions: Record<string, string> = {};
  for (const name of companionNames) {
    const text = await usable(folder, name, () => readFolderText(folder, name));
    if (text !== undefined) companions[name] = text;
  }
  const files = { ...texts, config: asSaved(texts.config), companions };
  const speaker = isNative(json)
    ? await nativeSpeaker(folder, config, json, files)
    : await chatSpeaker(folder, config, files);
  await usable(folder, weightFile(folder) ?? weightsName, () => inspectModel(folder));
  return { folder, config, ...speaker };
}

/**
 * The weights of a model folder as tensors on the default device.
 *
 * @param dtype default f32; f16 where the device has it
 * @param onProgress called after every piece that was read
 * @throws ModelFolderError naming the file, if it is damaged or has not the tensors that `config.json` asks for
 * @example const params = await modelParams(await readModelFolder());
 */
export async function modelParams(
  { folder }: Pick<ModelFolder, "folder">,
  dtype: "f32" | "f16" = "f32",
  onProgress?: (progress: ModelProgress) => void,
): Promise<Params> {
  const load = () => loadModel(folder, { dtype, ...(onProgress && { onProgress }) });
  return (await usable(folder, weightFile(folder) ?? weightsName, load)).params;
}

/**
 * What a folder without weights is instead of a model, and what to give; undefined for any other.
 *
 * @example noModel("runs/first") // "runs/first is the folder of a run, not a model. Give one of its checkpoints, …"
 */
export function noModel(folder: string): string | undefined {
  if (!existsSync(folder))
    return `there is no folder ${folder}. Give --model the folder of a Hugging Face checkpoint, or of a run's checkpoint.`;
  if (weightFile(folder) !== undefined) return undefined;
  if (existsSync(join(folder, "adapter_config.json")))
    return (
      `the folder ${folder} holds LoRA adapters, not a model. Make one of them: pact merge ${folder} --out <folder>. ` +
      "Or talk to them beside their model: pact chat --model <folder> --adapter <adapters>."
    );
  if (existsSync(join(folder, "checkpoints")))
    return `${folder} is the folder of a run, not a model. Give one of its checkpoints, ${join(folder, "checkpoints", "step-…")}.`;
  if (existsSync(join(folder, "config.json")))
    return (
      `the model folder ${folder} has no weights, neither ${weightsName} nor ${indexName}. Copy them there; those in another ` +
      "format save as safetensors first: model.save_pretrained(folder)."
    );
  return undefined;
}

type Speaker = Pick<ModelFolder, "dialect" | "files" | "notes">;

/** Whether a parsed `tokenizer.json` has all of our control tokens. */
function isNative(json: unknown): boolean {
  const added: unknown = Object(json).added_tokens;
  const names = Array.isArray(added) ? added.map((token) => Object(token).content as unknown) : [];
  return controlTokens.every((name) => names.includes(name));
}

async function nativeSpeaker(
  folder: string,
  config: TransformerConfig,
  json: unknown,
  files: ModelFiles,
): Promise<Speaker> {
  const tokenizer = await usable(folder, "tokenizer.json", () => Tokenizer.fromJson(json));
  if (config.vocabSize !== tokenizer.vocabSize) throw unlike(folder, config, tokenizer);
  return { dialect: nativeDialect(tokenizer), files, notes: [] };
}

async function chatSpeaker(
  folder: string,
  config: TransformerConfig,
  files: Required<Pick<ModelFiles, "companions">> & ModelFiles,
): Promise<Speaker> {
  const tokenizer = await usable(folder, "its tokenizer", () => loadTokenizer(folder));
  if (tokenizer.vocabSize > config.vocabSize) throw unlike(folder, config, tokenizer);
  if (tokenizer.chatTemplates.size === 0)
    throw new ModelFolderError(
      `${folder} has no chat template, so nobody knows how to write episodes for its model. Take an instruction-tuned model, ` +
        "or put the template into chat_template.jinja of the folder.",
    );
  const { "generation_config.json": generation = "{}" } = files.companions;
  const named = await usable(folder, "generation_config.json", () =>
    [generation, files.config].flatMap((text) => namedEnds(tokenizer, Object(JSON.parse(text)))),
  );
  const dialect = await usable(folder, "the chat template", () => {
    const template = new ChatTemplate(tokenizer.chatTemplate({ tools: true }));
    const eos = tokenizer.special.get("eos_token");
    const stopTokens = turnEnds(tokenizer, template, [...(eos === undefined ? [] : [eos]), ...named]);
    return chatDialect(tokenizer, template, { stopTokens });
  });
  return { dialect, files, notes: notesOf(dialect) };
}

function notesOf({ stopTokens, traits }: ChatDialect): string[] {
  return [
    `episodes are written by the model's chat template; ${stopTokens.join(" or ")} ends a turn`,
    ...(traits.keepsReasoning
      ? []
      : [
          "the chat template leaves out the reasoning of turns that call tools: the expert's is not trained, and a rollout " +
            "that reasons before a call goes on behind a new prompt",
        ]),
  ];
}

/** `config.json` of a checkpoint, whose weights are f32 whatever those of the folder are. */
function asSaved(config: string): string {
  const json: Record<string, unknown> = JSON.parse(config);
  const stale = ["torch_dtype", "dtype"].filter((name) => (json[name] ?? "float32") !== "float32");
  if (stale.length === 0) return config;
  const changed = Object.fromEntries(stale.map((name) => [name, "float32"]));
  return `${JSON.stringify({ ...json, ...changed }, null, 2)}\n`;
}

function unlike(
  folder: string,
  config: TransformerConfig,
  tokenizer: Tokenizer | PretrainedTokenizer,
): ModelFolderError {
  return new ModelFolderError(
    `the model in ${folder} has ${config.vocabSize} tokens, its tokenizer ${tokenizer.vocabSize}: ` +
      "config.json and tokenizer.json are not of one model. Copy both from the folder the model was saved in.",
  );
}

/** The file that holds the weights, or says which do; undefined if there is none. */
function weightFile(folder: string): string | undefined {
  return [weightsName, indexName].find((name) => existsSync(join(folder, name)));
}

/**
 * SHA-256 of a folder's weights, of shards one after the other.
 *
 * NOTE: called when the files are known to be whole and inside the folder.
 *
 * @example await digestOf("models/qwen3")
 */
export async function digestOf(folder: string): Promise<string> {
  const names =
    weightFile(folder) === weightsName
      ? [weightsName]
      : [...new Set<string>(Object.values(JSON.parse(await readText(folder, indexName)).weight_map))].sort();
  const hash = createHash("sha256");
  for (const name of names)
    for await (const piece of createReadStream(join(folder, name))) hash.update(piece);
  return hash.digest("hex");
}

async function readText(folder: string, name: string): Promise<string> {
  const text = await usable(folder, name, () => readFolderText(folder, name));
  if (text !== undefined) return text;
  throw new ModelFolderError(
    `the model folder ${folder} has no readable ${name}. ${
      folder === baseFolder
        ? "Reinstall the package, or check out the file."
        : "Give --model the folder of a Hugging Face checkpoint, or of a run's checkpoint."
    }`,
  );
}

async function usable<T>(folder: string, name: string, make: () => T | Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // A whole file of a model that is not supported gets no better by copying.
    const remedy =
      error instanceof ConfigError
        ? "Give another with --model <path>: checkpoints of Qwen3, Qwen2 and Llama are read."
        : "Copy the model folder again from where it was saved, or give another with --model <path>.";
    throw new ModelFolderError(
      `${name} in ${folder} is not usable: ${reason.replace(/\.?\s*$/, ".")} ${remedy}`,
      { cause: error },
    );
  }
}
