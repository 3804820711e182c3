// Fine-tuning a Hugging Face folder with LoRA by PACT: the base is read from the disk and stays frozen, adapters are trained beside it,
// saved as PEFT saves them, read back and merged. Without an argument the folder is a tiny random Qwen3 that is written first, from
// which only the expert's writing can be learned. About 8 s on the cpu device.
//   node --import tsx --conditions=source examples/012-lora-from-a-folder.ts [model folder]
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as nn from "@pact/nn";
import { chatDialect, nullSink, Trainer, trainConfig } from "@pact/pact";
import { init, key } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";

const device = await init({ device: "cpu" });
const work = mkdtempSync(join(tmpdir(), "pact-lora-"));
const dials = { worlds: 2, minTools: 2, maxTools: 3 };
const tasks = (split: "train" | "heldout", count: number) =>
  ftrlLike.generate({ seed: 1, split, count, category: "single_hop", dials });

/** What a folder of a small Qwen3 holds: config.json, model.safetensors in bf16, tokenizer, chat template. */
async function writeFolder(folder: string): Promise<void> {
  const controlTokens = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
  ];
  const texts = tasks("train", 24).map(({ question, tools, trace }) =>
    JSON.stringify([question, tools, trace]),
  );
  const tokenizer = nn.trainBpe(texts, { vocabSize: 512, controlTokens });
  const config = nn.configFromJson({
    model_type: "qwen3",
    vocab_size: tokenizer.vocabSize,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 16,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: true,
  });
  await nn.saveModel(
    folder,
    { config, params: nn.initParams(config, key(1), { std: 0.15 }) },
    { dtype: "BF16" },
  );
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ eos_token: "<|im_end|>" }));
  writeFileSync(
    join(folder, "chat_template.jinja"),
    `{% if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ "user" if m.role == "tool" else m.role }}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}
{%- for c in m.tool_calls or [] %}<tool_call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`,
  );
}

const folder = process.argv[2] ?? join(work, "base");
if (process.argv[2] === undefined) await writeFolder(folder);

const { config, params } = await nn.loadModel(folder);
const tokenizer = await nn.loadTokenizer(folder);
const dialect = chatDialect(tokenizer, tokenizer.chatTemplate({ tools: true }));

// What an expert writes, in nats per token, on tasks that are not trained on.
const documents = tasks("heldout", 4).map((task) => dialect.document(task, task.trace!));
const packed = nn.packSequences(documents.map(({ ids }) => ids));
const labels = documents.flatMap((document) => document.labels);
const written = Int32Array.from([...labels.keys()].filter((token) => labels[token] > 0));
const logProbs = async (own: nn.Params) =>
  Array.from(await nn.tokenLogProbs(config, own, packed, written).data(), Number);
const nats = async (own: nn.Params) =>
  -(await logProbs(own)).reduce((sum, value) => sum + value, 0) / written.length;

const adapterFolder = join(work, "adapter");
mkdirSync(adapterFolder);
const settings = {
  ...{
    steps: 4,
    promptsPerStep: 2,
    rolloutsPerPrompt: 2,
    maxTurns: 2,
    maxTurnTokens: 24,
    maxRolloutTokens: 120,
  },
  ...{ maxContextTokens: 4096, learningRate: 3e-2, warmupSteps: 0, anchorProbability: 0.25 },
  ...{ loraRank: 4, loraAlpha: 8, activationCheckpointing: true },
};
const trainer = new Trainer({
  config: trainConfig(settings),
  model: config,
  params,
  baseModel: folder,
  dialect,
  tasks: tasks("train", 8),
  sink: {
    ...nullSink,
    checkpoint: async ({ model, adapterConfig }) => {
      writeFileSync(join(adapterFolder, "adapter_model.safetensors"), model);
      writeFileSync(join(adapterFolder, "adapter_config.json"), JSON.stringify(adapterConfig));
    },
  },
});
const size = (own: nn.Params) => Object.values(own).reduce((sum, tensor) => sum + tensor.size, 0);
console.log(`base: ${size(params)} parameters, frozen; adapters: ${size(trainer.params)}, trained`);
const before = await nats(params);
for await (const event of trainer.steps())
  if (event.kind === "step")
    console.log(`step ${event.step}: L_SFT ${event.metrics.values["loss/sft_mean"]?.toFixed(3)}`);
const trained = nn.withLora(params, { settings: trainer.model.adapted!.settings, weights: trainer.params });
const [after, own] = [await nats(trained), await logProbs(trained)];
console.log(`the expert's tokens: ${before.toFixed(3)} → ${after.toFixed(3)} nats`);

// In another process: the base again from its folder, and the adapters from theirs.
const read = (name: string) => readFileSync(join(adapterFolder, name));
const adapters = nn.loraFromPeft(config, {
  "adapter_model.safetensors": read("adapter_model.safetensors"),
  "adapter_config.json": JSON.parse(String(read("adapter_config.json"))),
});
const fresh = (await nn.loadModel(folder)).params;
const reloaded = await logProbs(nn.withLora(fresh, adapters));
const isSame = own.every((value, i) => value === reloaded[i]);
console.log(`${readdirSync(adapterFolder).join(", ")}: ${isSame ? "the same bits again" : "DIFFERENT"}`);

// As one plain model, which Python loads as well; `pact merge` does the same.
const merged = { config, params: nn.mergeLora(fresh, adapters) };
await nn.saveModel(join(work, "merged"), merged, { dtype: "F32" });
const again = await logProbs((await nn.loadModel(join(work, "merged"))).params);
const furthest = Math.max(...Array.from(again, (value, i) => Math.abs(value - own[i])));
console.log(`merged: log-probs within ${furthest.toExponential(1)}`);

trainer.dispose();
device.destroy();
rmSync(work, { recursive: true });
if (!(after < before - 0.3)) throw new Error(`${before} → ${after} nats, expected 0.3 less`);
if (!isSame || furthest > 1e-3) throw new Error("the adapters did not come back as they were");
