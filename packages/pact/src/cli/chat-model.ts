/**
 * What `pact chat` loads of a model folder: weights, tokenizer, chat template, the tokens that end a turn, and how the
 * folder's author samples from it. One road for all folders: our own have a chat template too (packages/pact/base).
 */
import {
  ChatTemplate,
  type GenerationModel,
  inspectModel,
  loadModel,
  loadTokenizer,
  loraFromPeft,
  type ModelProgress,
  type PretrainedTokenizer,
  withLora,
} from "@pact/nn";
import type { Device } from "@pact/tensor";
import { namedEnds, turnEnds } from "../chat/turn-ends.ts";
import { requirePrecision } from "../model.ts";
import { controlTokens } from "../tokens.ts";
import { requireBase } from "./adapter-base.ts";
import { readAdapterFolder } from "./adapter-folder.ts";
import { baseFolder, noModel } from "./base-policy.ts";

/** How to sample; names as in `GenerateOptions`. */
export interface Sampling {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
}

/** A model to talk to. */
export interface ChatModel {
  readonly folder: string;
  readonly model: GenerationModel;
  readonly tokenizer: PretrainedTokenizer;
  /** Templates of a conversation without tools, and with tools. */
  readonly templates: { readonly plain: ChatTemplate; readonly tools: ChatTemplate };
  /** Names of the control tokens that end a turn. */
  readonly stopTokens: readonly string[];
  /** Ids that the model scores and the tokenizer does not have, forbidden. */
  readonly logitBias: Readonly<Record<number, number>> | undefined;
  /** What `generation_config.json` says. */
  readonly sampling: Sampling;
  /** One of ours: answers and roles are control tokens. */
  readonly isNative: boolean;
}

/** What to load. */
export interface ChatModelOptions {
  /** Default: the shipped base. */
  readonly folder?: string;
  readonly adapter?: string;
  readonly precision: "f32" | "f16";
  readonly device: Device;
  readonly onProgress?: (progress: ModelProgress) => void;
  /** Receives what a person should know of adapters. */
  readonly note?: (line: string) => void;
  /** Variables that will be set and that the template must therefore read. */
  readonly variables?: readonly string[];
}

/** A folder that has no way to chat. */
export class ChatModelError extends Error {
  override readonly name = "ChatModelError";
  readonly code = "ERR_PACT_CHAT_MODEL";
}

/**
 * Loads a model folder.
 *
 * @throws AdapterFolderError for adapters of another model; ChatModelError for a folder without a chat template, without a token that ends a turn, or whose files are not of
 * one model; errors of `loadModel`, `loadTokenizer`, `readAdapterFolder`, `loraFromPeft`
 * @example const base = await loadChatModel({ precision: "f32", device: defaultDevice() });
 */
export async function loadChatModel(options: ChatModelOptions): Promise<ChatModel> {
  const {
    folder = baseFolder,
    adapter,
    precision,
    device,
    onProgress,
    note = () => {},
    variables = [],
  } = options;
  const other = noModel(folder);
  if (other !== undefined) throw new ChatModelError(other);
  requirePrecision({ precision }, device);
  const peft = adapter === undefined ? undefined : readAdapterFolder(adapter);
  const tokenizer = await loadTokenizer(folder);
  const isNative = controlTokens.every((name) => tokenizer.controlTokens.includes(name));
  // Checkpoints of ours that were saved before they had a template speak as the base does.
  const speaker =
    isNative && tokenizer.chatTemplates.size === 0 ? await loadTokenizer(baseFolder) : tokenizer;
  if (speaker.chatTemplates.size === 0)
    throw new ChatModelError(
      `${folder} has no chat template, so nobody knows how to talk to it. Take an instruction-tuned model, or put the ` +
        "template into chat_template.jinja of the folder.",
    );
  const templates = {
    plain: new ChatTemplate(speaker.chatTemplate()),
    tools: new ChatTemplate(speaker.chatTemplate({ tools: true })),
  };
  for (const name of variables)
    if (!templates.plain.source.includes(name))
      throw new ChatModelError(
        `the chat template of ${folder} does not read ${name}, so setting it changes nothing. Leave out --no-think.`,
      );
  // Checked before gigabytes are read.
  const lora = peft && loraFromPeft((await inspectModel(folder)).config, peft, { device });
  if (peft && adapter !== undefined) await requireBase(adapter, peft["adapter_config.json"], folder, note);
  const { config, params, generationConfig, configJson } = await loadModel(folder, {
    dtype: precision,
    device,
    onProgress,
  });
  if (tokenizer.vocabSize > config.vocabSize)
    throw new ChatModelError(
      `the model in ${folder} has ${config.vocabSize} tokens, its tokenizer ${tokenizer.vocabSize}: config.json and ` +
        "tokenizer.json are not of one model. Copy both from the folder the model was saved in.",
    );
  const named = [speaker.special.get("eos_token") ?? [], namedEnds(tokenizer, generationConfig)].flat();
  const stopTokens = turnEnds(tokenizer, templates.plain, [...named, ...namedEnds(tokenizer, configJson)]);
  if (stopTokens.length === 0)
    throw new ChatModelError(
      `${folder} names no token that ends a turn. Put eos_token into its tokenizer_config.json, or eos_token_id into ` +
        "its generation_config.json.",
    );
  return {
    folder,
    model: { config, params: lora ? withLora(params, lora) : params },
    tokenizer,
    templates,
    stopTokens,
    logitBias: forbidden(tokenizer, config.vocabSize),
    sampling: samplingOf(generationConfig),
    isNative,
  };
}

/** A bias against ids without a token: vocabularies are often padded. */
function forbidden(tokenizer: PretrainedTokenizer, vocabSize: number): Record<number, number> | undefined {
  const missing: [number, number][] = [];
  for (let id = 0; id < vocabSize; id++) {
    try {
      tokenizer.tokenBytes(id);
    } catch {
      missing.push([id, Number.NEGATIVE_INFINITY]);
    }
  }
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}

/** Values out of range are not looked at: the file is the folder author's advice, not the user's wish. */
function samplingOf(json: Readonly<Record<string, unknown>> = {}): Sampling {
  const value = (name: string, min: number, max: number): number | undefined => {
    const found = Object.hasOwn(json, name) ? json[name] : undefined;
    return typeof found === "number" && found >= min && found <= max ? found : undefined;
  };
  const topK = value("top_k", 1, Number.MAX_SAFE_INTEGER);
  return {
    temperature: json.do_sample === false ? 0 : value("temperature", 0, 10),
    topK: topK === undefined ? undefined : Math.floor(topK),
    topP: value("top_p", 1e-6, 1),
    minP: value("min_p", 0, 1),
  };
}
