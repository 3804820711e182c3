/** A base folder with random weights: enough to run every stage of the command in seconds. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configFromJson, configToJson, initParams, paramsToSafetensors, trainBpe } from "@pact/nn";
import { createDevice, key } from "@pact/tensor";
import { controlTokens } from "../../packages/pact/src/tokens.ts";

export async function makeBase(folder: string): Promise<void> {
  const tokenizer = trainBpe(["find (town: string)"], { vocabSize: 280, controlTokens });
  const config = configFromJson({
    model_type: "qwen3",
    vocab_size: tokenizer.vocabSize,
    hidden_size: 16,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    head_dim: 16,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
  });
  const device = await createDevice({ device: "cpu" });
  const params = initParams(config, key(1), { device });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(configToJson(config)));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
  writeFileSync(join(folder, "model.safetensors"), await paramsToSafetensors(params));
  device.destroy();
}
