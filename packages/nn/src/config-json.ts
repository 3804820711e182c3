/**
 * Reading and writing a Hugging Face `config.json`. What would change the numbers in a way that is not built (sliding
 * windows, other kinds of rope scaling, quantised weights) is refused, everything else without meaning here ignored.
 * Left out: the tokenizer's ids (`bos_token_id` and the like), which are the tokenizer's and generation_config.json's.
 */

import { modelTypes, oneOf, type TransformerConfig, validateConfig } from "./config.ts";
import { Reader } from "./config-reader.ts";
import { ConfigError } from "./errors.ts";
import { type RopeScaling, ropeTypes } from "./rope-scaling.ts";

/** Name of the class in transformers that has the output head. */
const architectures = {
  gpt: undefined,
  qwen3: "Qwen3ForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  llama: "LlamaForCausalLM",
} as const;

/**
 * Reads a parsed `config.json` (model_type `gpt`, `qwen3`, `qwen2` or `llama`). Fields without meaning for inference are
 * ignored; fields that would change the numbers in a way that is not built are refused.
 *
 * Defaults are those of Hugging Face: `rms_norm_eps` 1e-6, `rope_theta` 10,000, untied head, no scaling of positions;
 * `head_dim` 128 for `qwen3`, `hidden_size` / `num_attention_heads` for `qwen2` and `llama`; `intermediate_size`
 * 4 · `hidden_size`, `layer_norm_eps` 1e-5, tied head for `gpt`.
 *
 * @param json what `JSON.parse` gave for the file
 * @throws ConfigError listing everything that is wrong
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * [config.headSize, config.intermediateSize, config.tieWordEmbeddings]; // → [2, 16, true]
 * configFromJson({ model_type: "mamba" }); // → throws ConfigError
 * ```
 */
export function configFromJson(json: unknown): TransformerConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new ConfigError(["expected the object of a config.json; parse the file with JSON.parse first"]);
  const reader = new Reader(json as Record<string, unknown>);
  const modelType = modelTypes.find((known) => known === reader.get("model_type"));
  if (modelType === undefined) {
    reader.expected("model_type", oneOf(modelTypes), reader.get("model_type"));
    throw new ConfigError(reader.problems);
  }
  reader.mustBe("quantization_config", [null, undefined]);
  const config = modelType === "gpt" ? readGpt(reader) : readRotary(reader, modelType);
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return validateConfig(config);
}

/** The fields that the three families with rotary positions share, and those that they do not. */
function readRotary(reader: Reader, modelType: "qwen3" | "qwen2" | "llama"): TransformerConfig {
  const classes = reader.get("architectures");
  const expected = architectures[modelType];
  if (Array.isArray(classes) && !classes.includes(expected))
    reader.expected("architectures", JSON.stringify([expected]), classes);
  reader.mustBe("hidden_act", ["silu", undefined]);
  reader.mustBe("use_sliding_window", [false, null, undefined]);
  const layerTypes = reader.get("layer_types"); // written by transformers ≥ 4.53
  if (Array.isArray(layerTypes) && layerTypes.some((type) => type !== "full_attention"))
    reader.problem('layer_types: only "full_attention" layers are built');
  const hiddenSize = reader.size("hidden_size");
  const numHeads = reader.size("num_attention_heads");
  const config: TransformerConfig = {
    modelType,
    vocabSize: reader.size("vocab_size"),
    hiddenSize,
    numLayers: reader.size("num_hidden_layers"),
    numHeads,
    numKvHeads: reader.size("num_key_value_heads", numHeads),
    headSize: reader.size("head_dim", modelType === "qwen3" ? 128 : hiddenSize / numHeads),
    intermediateSize: reader.size("intermediate_size"),
    maxPositions: reader.size("max_position_embeddings"),
    normEps: reader.positive("rms_norm_eps", 1e-6),
    ...readRope(reader),
    tieWordEmbeddings: reader.flag("tie_word_embeddings", false),
  };
  // Absent rather than false, so that a config without them is written and compared as one without them.
  const attentionBias = modelType !== "qwen2" && reader.flag("attention_bias", false);
  const mlpBias = modelType === "llama" && reader.flag("mlp_bias", false);
  return { ...config, ...(attentionBias && { attentionBias }), ...(mlpBias && { mlpBias }) };
}

/** transformers 5 moved `rope_theta` and the fields of `rope_scaling` into one `rope_parameters`. */
function readRope(reader: Reader): Pick<TransformerConfig, "ropeTheta" | "ropeScaling"> {
  const scaling = reader.inner("rope_parameters") ?? reader.inner("rope_scaling");
  const ropeScaling = scaling && readScaling(scaling);
  // Either place may hold theta; as in the library the inner one counts first.
  const inner = (scaling?.get("rope_theta") ?? null) !== null;
  return {
    ropeTheta: (scaling && inner ? scaling : reader).positive("rope_theta", 10000),
    ...(ropeScaling && { ropeScaling }),
  };
}

/** `rope_type`, in older files `type`, says which fields follow. */
function readScaling(reader: Reader): RopeScaling | undefined {
  const field =
    reader.get("rope_type") === undefined && reader.get("type") !== undefined ? "type" : "rope_type";
  const type = reader.get(field);
  reader.mustBe("partial_rotary_factor", [1, null, undefined]);
  if (type === "default") return undefined;
  if (type === "linear") return { type, factor: reader.positive("factor") };
  if (type === "llama3")
    return {
      type,
      factor: reader.positive("factor"),
      lowFreqFactor: reader.positive("low_freq_factor"),
      highFreqFactor: reader.positive("high_freq_factor"),
      originalMaxPositions: reader.size("original_max_position_embeddings"),
    };
  reader.expected(field, oneOf(ropeTypes), type);
  return undefined;
}

function readGpt(reader: Reader): TransformerConfig {
  reader.mustBe("activation_function", ["gelu_tanh"]);
  const hiddenSize = reader.size("hidden_size");
  const numHeads = reader.size("num_attention_heads");
  if (hiddenSize % numHeads !== 0)
    reader.problem(`num_attention_heads (${numHeads}) must divide hidden_size (${hiddenSize})`);
  return {
    modelType: "gpt",
    vocabSize: reader.size("vocab_size"),
    hiddenSize,
    numLayers: reader.size("num_hidden_layers"),
    numHeads,
    numKvHeads: numHeads,
    headSize: hiddenSize / numHeads,
    intermediateSize: reader.size("intermediate_size", 4 * hiddenSize),
    maxPositions: reader.size("max_position_embeddings"),
    normEps: reader.positive("layer_norm_eps", 1e-5),
    ropeTheta: 10000,
    tieWordEmbeddings: reader.flag("tie_word_embeddings", true),
  };
}

/**
 * Writes the fields of a Hugging Face `config.json`; `configFromJson` reads them back to the same config.
 *
 * @returns a plain object for `JSON.stringify`
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * configToJson(config).num_attention_heads; // → 2
 * configFromJson(configToJson(config)).hiddenSize; // → 4
 * ```
 */
export function configToJson(config: TransformerConfig): Record<string, unknown> {
  const { modelType } = config;
  const common = {
    model_type: modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: config.tieWordEmbeddings,
  };
  if (modelType === "gpt")
    return { ...common, activation_function: "gelu_tanh", layer_norm_eps: config.normEps };
  // Qwen2's files have no head_dim; the library takes one where it is not hidden_size / num_attention_heads.
  const ownHeadSize = modelType !== "qwen2" || config.headSize * config.numHeads !== config.hiddenSize;
  return {
    ...common,
    architectures: [architectures[modelType]],
    ...(modelType !== "qwen2" && { attention_bias: config.attentionBias ?? false }),
    ...(modelType === "llama" && { mlp_bias: config.mlpBias ?? false }),
    ...(modelType !== "llama" && { use_sliding_window: false }),
    ...(ownHeadSize && { head_dim: config.headSize }),
    hidden_act: "silu",
    num_key_value_heads: config.numKvHeads,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    ...(config.ropeScaling && { rope_scaling: scalingToJson(config.ropeScaling) }),
  };
}

function scalingToJson(scaling: RopeScaling): Record<string, string | number> {
  if (scaling.type === "linear") return { rope_type: "linear", factor: scaling.factor };
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositions,
  };
}
