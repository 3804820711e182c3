/** Tiny Hugging Face folders with random weights: one of each architecture, with a tokenizer and a chat template in its manner. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configFromJson, initParams, PretrainedTokenizer, saveModel, type TokenizerFiles } from "@pact/nn";
import { createDevice, key } from "@pact/tensor";
import { type Json, openSuite, spacedJson } from "@pact/tools-sim";
import { llamaLike, qwen3Like, qwen25Like } from "../helpers/chat-templates.ts";
import { qwenLikeFiles } from "../helpers/qwen-like.ts";

/** Tokenizer files, template and shape of one family. */
export interface ChatFamily {
  readonly name: "qwen3" | "qwen2" | "llama";
  readonly files: TokenizerFiles & { readonly tokenizer: Record<string, unknown> };
  readonly template: string;
  /** The control token that ends a turn. */
  readonly stop: string;
  /** `config.json`, but for sizes that all share. */
  readonly json: Record<string, unknown>;
}

/** Tools as templates list them: their words should be few tokens, so that prompts are short. */
const texts = openSuite("ftrl-like", { count: 24 }).tasks.flatMap(({ task }) => [
  ...(task?.tools ?? []).flatMap((tool) => [
    spacedJson(tool as unknown as Json),
    JSON.stringify(tool, null, 2),
  ]),
  task?.question ?? "",
]);
const qwenFiles = qwenLikeFiles(undefined, { texts, vocabSize: 700 });

const llamaNames = ["<s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];

function llamaFiles(): ChatFamily["files"] {
  const added = llamaNames.map((content, index) => ({ id: 720 + index, content, special: true }));
  return {
    tokenizer: { ...qwenFiles.tokenizer, added_tokens: added },
    config: { bos_token: "<s>", eos_token: "<|eot_id|>" },
  };
}

export const chatFamilies: readonly ChatFamily[] = [
  {
    name: "qwen3",
    files: qwenFiles,
    template: qwen3Like,
    stop: "<|im_end|>",
    json: { tie_word_embeddings: true, head_dim: 8 },
  },
  { name: "qwen2", files: qwenFiles, template: qwen25Like, stop: "<|im_end|>", json: {} },
  {
    name: "llama",
    files: llamaFiles(),
    template: llamaLike,
    stop: "<|eot_id|>",
    json: {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 512,
      },
    },
  },
];

/** The family of a name. */
export function family(name: ChatFamily["name"]): ChatFamily {
  return chatFamilies.find((own) => own.name === name)!;
}

export function tokenizerOf({ files }: ChatFamily): PretrainedTokenizer {
  return new PretrainedTokenizer(files);
}

/** Ids that the model has beyond its tokenizer, as padded vocabularies do. */
const padding = 5;

/** Writes a model folder; `extra` replaces or adds files, by name. */
export async function makeChatFolder(
  folder: string,
  own: ChatFamily,
  extra: Readonly<Record<string, string>> = {},
): Promise<void> {
  const config = configFromJson({
    model_type: own.name,
    vocab_size: tokenizerOf(own).vocabSize + padding,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    ...own.json,
  });
  const device = await createDevice({ device: "cpu" });
  mkdirSync(folder, { recursive: true });
  const model = { config, params: initParams(config, key(1), { device, std: 0.1 }) };
  await saveModel(folder, { ...model, generationConfig: { temperature: 0.6 } }, { dtype: "BF16" });
  device.destroy();
  const files = {
    "tokenizer.json": JSON.stringify(own.files.tokenizer),
    "tokenizer_config.json": JSON.stringify({ ...(own.files.config as object), chat_template: own.template }),
    ...extra,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
