/**
 * What a decoder-only transformer looks like. Four families share one pre-norm decoder (transformer.ts); `modelType`
 * decides between their parts:
 *
 * |           | `gpt`                     | `qwen3`                     | `qwen2`            | `llama`                 |
 * |-----------|---------------------------|-----------------------------|--------------------|-------------------------|
 * | positions | learned table             | rotary (rotate half)        | rotary             | rotary                  |
 * | norm      | LayerNorm                 | RMSNorm, on q and k too     | RMSNorm            | RMSNorm                 |
 * | attention | as many kv heads as heads | grouped query heads, head size of its own                                  |
 * | MLP       | GELU (tanh formula)       | SwiGLU                      | SwiGLU             | SwiGLU                  |
 * | biases    | everywhere                | none, or q, k, v, o         | q, k, v            | none, or q, k, v, o;    |
 * |           |                           |                             |                    | none, or MLP            |
 *
 * The last three follow Hugging Face `Qwen3Config`, `Qwen2Config` (also Qwen2.5's) and `LlamaConfig`;
 * `gpt` is GPT-2's architecture with [out, in] weights and separate q, k, v. config-json.ts reads and writes their files.
 * Left out: dropout, sliding windows, mixtures of experts.
 */
import { ConfigError } from "./errors.ts";
import { type RopeScaling, ropeScalingProblems } from "./rope-scaling.ts";

/** The families of models; the table at the head of this file shows how they differ. */
export const modelTypes = ["gpt", "qwen3", "qwen2", "llama"] as const;

/**
 * A decoder-only transformer, by its sizes (all in elements, heads or tokens). Letters as in the shapes of the other
 * files: B batch, N packed tokens, V, C, H, Hkv, D as below.
 */
export type TransformerConfig = {
  /** Which parts are used; see the table at the head of this file. */
  readonly modelType: (typeof modelTypes)[number];
  /** V, number of token ids. */
  readonly vocabSize: number;
  /** C, width of the residual stream. */
  readonly hiddenSize: number;
  /** L, number of pre-norm blocks. */
  readonly numLayers: number;
  /** H, query heads. */
  readonly numHeads: number;
  /** Hkv, key and value heads; divides `numHeads`. */
  readonly numKvHeads: number;
  /** D, size of a head; H·D may differ from C except in `gpt`. */
  readonly headSize: number;
  /** Width inside the MLP; in Hugging Face 4·C by default for `gpt`. */
  readonly intermediateSize: number;
  /** Longest context: positions run from 0 to maxPositions − 1. */
  readonly maxPositions: number;
  /** Added under the root of every norm: 1e-5 in `gpt`, 1e-6 in the others by default of their config files. */
  readonly normEps: number;
  /** Base of the rotary angles; not used by `gpt`. */
  readonly ropeTheta: number;
  /** How the rotary frequencies are scaled; default not. */
  readonly ropeScaling?: RopeScaling;
  /** Whether the output head is the token embedding. */
  readonly tieWordEmbeddings: boolean;
  /** `qwen3` and `llama`: whether q, k, v and o have biases; default false. */
  readonly attentionBias?: boolean;
  /** `llama`: whether the MLP has biases; default false. */
  readonly mlpBias?: boolean;
};

/**
 * Checks a configuration written by hand: positive whole sizes, kv heads that divide heads, an even head size for
 * rotary positions. Returns it unchanged.
 *
 * @throws ConfigError listing everything that is wrong
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * validateConfig({ ...config, numLayers: 4 }).numLayers; // → 4
 * validateConfig({ ...config, numHeads: 3 }); // → throws ConfigError
 * ```
 */
export function validateConfig(config: TransformerConfig): TransformerConfig {
  const problems: string[] = [];
  const { modelType } = config;
  if (!modelTypes.includes(modelType))
    problems.push(`modelType: expected ${oneOf(modelTypes)}, received ${JSON.stringify(modelType)}`);
  for (const [name, size] of Object.entries({
    vocabSize: config.vocabSize,
    hiddenSize: config.hiddenSize,
    numLayers: config.numLayers,
    numHeads: config.numHeads,
    numKvHeads: config.numKvHeads,
    headSize: config.headSize,
    intermediateSize: config.intermediateSize,
    maxPositions: config.maxPositions,
  })) {
    if (!isSize(size)) problems.push(`${name}: expected a whole number ≥ 1, received ${size}`);
  }
  if (!(config.normEps > 0)) problems.push(`normEps: expected a number > 0, received ${config.normEps}`);
  const { numHeads, numKvHeads, headSize, hiddenSize, ropeScaling } = config;
  if (numHeads % numKvHeads !== 0)
    problems.push(`numKvHeads (${numKvHeads}) must divide numHeads (${numHeads})`);
  if (config.attentionBias && modelType !== "qwen3" && modelType !== "llama")
    problems.push(`attentionBias is for qwen3 and llama; ${modelType}'s biases are fixed, leave it out`);
  if (config.mlpBias && modelType !== "llama")
    problems.push(`mlpBias is for llama; ${modelType}'s biases are fixed, leave it out`);
  if (ropeScaling !== undefined) {
    if (modelType === "gpt") problems.push("ropeScaling: gpt has no rotary positions, leave it out");
    problems.push(...ropeScalingProblems(ropeScaling));
  }
  if (modelType !== "gpt") {
    if (headSize % 2 !== 0) problems.push(`headSize must be even for rotary positions, received ${headSize}`);
    if (!(config.ropeTheta > 0))
      problems.push(`ropeTheta: expected a number > 0, received ${config.ropeTheta}`);
  } else if (numHeads !== numKvHeads || numHeads * headSize !== hiddenSize) {
    problems.push(
      `gpt needs numKvHeads = numHeads and numHeads · headSize = hiddenSize, received ${numKvHeads}, ${numHeads} · ${headSize}, ${hiddenSize}`,
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Which linear layers have biases: q, k and v; o; those of the MLP. The output head never has. */
export function biasesOf({ modelType, attentionBias = false, mlpBias = false }: TransformerConfig) {
  if (modelType === "gpt") return { inputs: true, output: true, mlp: true };
  if (modelType === "qwen2") return { inputs: true, output: false, mlp: false };
  return { inputs: attentionBias, output: attentionBias, mlp: mlpBias };
}

/** Whether a value is a whole number ≥ 1. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Names for a message: "a", "b" or "c". */
export function oneOf(names: readonly string[]): string {
  const quoted = names.map((name) => JSON.stringify(name));
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
