/** A folder as Hugging Face lays it out, tiny and random: what commands that take any checkpoint are tried on. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configFromJson, initParams, saveModel } from "@pact/nn";
import { createDevice, key } from "@pact/tensor";
import { qwenControls, qwenLikeFiles } from "../helpers/qwen-like.ts";

/** In Qwen3's manner: ChatML, tools as JSON, results as the user's, reasoning that `enable_thinking` switches off. */
export const chatTemplate = `{%- if tools -%}
<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
<|im_start|>assistant
{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% else -%}
<|im_start|>{{ 'user' if message.role == 'tool' else message.role }}
{{ message.content }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif -%}`;

/** `config.json` of a tiny model of each architecture. */
export const architectures = {
  qwen3: { head_dim: 8 },
  qwen2: {},
  llama: {},
} as const;

/** Writes the folder; `extra` replaces or adds files, by name. */
export async function makeHfFolder(
  folder: string,
  architecture: keyof typeof architectures = "qwen3",
  extra: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { tokenizer, config } = qwenLikeFiles();
  const ids = (tokenizer.added_tokens as { id: number }[]).map(({ id }) => id);
  const model = configFromJson({
    model_type: architecture,
    vocab_size: Math.max(...ids) + 8,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    ...architectures[architecture],
  });
  const device = await createDevice({ device: "cpu" });
  mkdirSync(folder, { recursive: true });
  const params = initParams(model, key(3), { device, std: 0.3 });
  const eos = ids[qwenControls.indexOf("<|im_end|>")];
  await saveModel(folder, { config: model, params, generationConfig: { eos_token_id: eos, top_k: 20 } });
  device.destroy();
  const files = {
    "tokenizer.json": JSON.stringify(tokenizer),
    "tokenizer_config.json": JSON.stringify({ ...(config as object), chat_template: chatTemplate }),
    ...extra,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
