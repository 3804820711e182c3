/**
 * Parameters: a flat record of tensors under their Hugging Face names, and the table that says which ones a
 * configuration has, in which order, with which shape and initial values. Everything that walks parameters
 * (initialisation, checkpoints, the optimiser's arena) walks this table. Linear weights are [out, in].
 */
import type { Tensor } from "@pact/tensor";
import { biasesOf, type TransformerConfig } from "./config.ts";
import { ParameterError } from "./errors.ts";

/** Model parameters by Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`. */
export type Params = Record<string, Tensor>;

/** How a parameter starts: `residual` is `normal` scaled down by the number of residual branches. */
export type InitKind = "normal" | "residual" | "ones" | "zeros";

/** One parameter of a configuration: its Hugging Face name, its shape ([out, in] for linear weights), how it starts. */
export type ParamSpec = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: InitKind;
};

/** Names (without `.weight` / `.bias`) of the parts of one layer. `gpt` has no gate; only `qwen3` has queryNorm and keyNorm. */
export type LayerNames = {
  readonly attentionNorm: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly queryNorm: string;
  readonly keyNorm: string;
  readonly attentionOut: string;
  readonly mlpNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
};

/** Names of the parts outside the layers. Only `gpt` has a position table. */
export function outerNames({ modelType, tieWordEmbeddings }: TransformerConfig) {
  const names =
    modelType === "gpt"
      ? { embedding: "wte", positions: "wpe", finalNorm: "ln_f" }
      : { embedding: "model.embed_tokens", positions: "", finalNorm: "model.norm" };
  return { ...names, head: tieWordEmbeddings ? names.embedding : "lm_head" };
}

/** What the names of everything in layer `layer` (0-based) begin with. */
export function layerPrefix({ modelType }: TransformerConfig, layer: number): string {
  return modelType === "gpt" ? `h.${layer}` : `model.layers.${layer}`;
}

/** Names of the parts of layer `layer` (0-based). */
export function layerNames(config: TransformerConfig, layer: number): LayerNames {
  const at = layerPrefix(config, layer);
  if (config.modelType === "gpt") {
    return {
      attentionNorm: `${at}.ln_1`,
      query: `${at}.attn.q_proj`,
      key: `${at}.attn.k_proj`,
      value: `${at}.attn.v_proj`,
      queryNorm: "",
      keyNorm: "",
      attentionOut: `${at}.attn.o_proj`,
      mlpNorm: `${at}.ln_2`,
      gate: "",
      up: `${at}.mlp.fc_in`,
      down: `${at}.mlp.fc_out`,
    };
  }
  return {
    attentionNorm: `${at}.input_layernorm`,
    query: `${at}.self_attn.q_proj`,
    key: `${at}.self_attn.k_proj`,
    value: `${at}.self_attn.v_proj`,
    queryNorm: `${at}.self_attn.q_norm`,
    keyNorm: `${at}.self_attn.k_norm`,
    attentionOut: `${at}.self_attn.o_proj`,
    mlpNorm: `${at}.post_attention_layernorm`,
    gate: `${at}.mlp.gate_proj`,
    up: `${at}.mlp.up_proj`,
    down: `${at}.mlp.down_proj`,
  };
}

/**
 * Every parameter of a configuration in canonical order: embeddings, layers from the first to the last, final norm,
 * and the output head if it is not tied. The optimiser's arena has this order too.
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * paramSpecs(config)[0]; // → { name: "wte.weight", shape: [8, 4], init: "normal" }
 * paramSpecs(config).reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0); // → 348
 * ```
 */
export function paramSpecs(config: TransformerConfig): ParamSpec[] {
  const {
    vocabSize,
    hiddenSize: width,
    numHeads,
    numKvHeads,
    headSize,
    intermediateSize,
    maxPositions,
  } = config;
  const gpt = config.modelType === "gpt";
  const biases = biasesOf(config);
  const specs: ParamSpec[] = [];
  const linear = (name: string, out: number, input: number, bias: boolean, init: InitKind = "normal") => {
    specs.push({ name: `${name}.weight`, shape: [out, input], init });
    if (bias) specs.push({ name: `${name}.bias`, shape: [out], init: "zeros" });
  };
  const norm = (name: string, size: number) => {
    specs.push({ name: `${name}.weight`, shape: [size], init: "ones" });
    if (gpt) specs.push({ name: `${name}.bias`, shape: [size], init: "zeros" });
  };
  const outer = outerNames(config);
  specs.push({ name: `${outer.embedding}.weight`, shape: [vocabSize, width], init: "normal" });
  if (gpt) specs.push({ name: `${outer.positions}.weight`, shape: [maxPositions, width], init: "normal" });
  for (let layer = 0; layer < config.numLayers; layer++) {
    const names = layerNames(config, layer);
    norm(names.attentionNorm, width);
    linear(names.query, numHeads * headSize, width, biases.inputs);
    linear(names.key, numKvHeads * headSize, width, biases.inputs);
    linear(names.value, numKvHeads * headSize, width, biases.inputs);
    if (config.modelType === "qwen3") {
      norm(names.queryNorm, headSize);
      norm(names.keyNorm, headSize);
    }
    linear(names.attentionOut, width, numHeads * headSize, biases.output, "residual");
    norm(names.mlpNorm, width);
    if (!gpt) linear(names.gate, intermediateSize, width, biases.mlp);
    linear(names.up, intermediateSize, width, biases.mlp);
    linear(names.down, width, intermediateSize, biases.mlp, "residual");
  }
  norm(outer.finalNorm, width);
  if (!config.tieWordEmbeddings)
    specs.push({ name: `${outer.head}.weight`, shape: [vocabSize, width], init: "normal" });
  return specs;
}

/**
 * The parameter called `name`.
 *
 * @throws ParameterError if there is none
 * @example
 * ```ts
 * param({ w: zeros([2, 3]) }, "w"); // → f32[2, 3]
 * param({}, "w"); // → throws ParameterError
 * ```
 */
export function param(params: Params, name: string): Tensor {
  if (Object.hasOwn(params, name)) return params[name];
  throw new ParameterError(
    `The model has no parameter "${name}". Make parameters with initParams(config, key) or paramsFromSafetensors(config, bytes).`,
  );
}
