/**
 * What a decoder-only transformer looks like, and how that is read from and written to a Hugging Face `config.json`.
 *
 * Two families share one pre-norm decoder (transformer.ts); `modelType` decides between their parts:
 *
 * |           | `gpt`                            | `qwen3`                                      |
 * |-----------|----------------------------------|----------------------------------------------|
 * | positions | learned table                    | rotary (rotate half)                         |
 * | norm      | LayerNorm                        | RMSNorm, also per head on queries and keys   |
 * | attention | as many kv heads as heads        | grouped query heads, head size of its own    |
 * | MLP       | GELU (tanh formula)              | SwiGLU                                       |
 * | biases    | everywhere                       | nowhere                                      |
 *
 * `qwen3` follows Hugging Face `Qwen3Config`; `gpt` is GPT-2's architecture with [out, in] weights and separate q, k, v.
 * Left out: dropout, rope scaling, sliding windows, mixtures of experts; a config that asks for them is refused.
 */
import { ConfigError } from "./errors.ts";

/**
 * A decoder-only transformer, by its sizes (all in elements, heads or tokens). Letters as in the shapes of the other
 * files: B batch, N packed tokens, V, C, H, Hkv, D as below.
 */
export type TransformerConfig = {
  /** Which parts are used; see the table at the head of this file. */
  readonly modelType: "gpt" | "qwen3";
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
  /** D, size of a head; H·D may differ from C in `qwen3`. */
  readonly headSize: number;
  /** Width inside the MLP; in Hugging Face 4·C by default for `gpt`. */
  readonly intermediateSize: number;
  /** Longest context: positions run from 0 to maxPositions − 1. */
  readonly maxPositions: number;
  /** Added under the root of every norm: 1e-5 in `gpt`, 1e-6 in `qwen3` by default of their config files. */
  readonly normEps: number;
  /** Base of the rotary angles; used by `qwen3` only. */
  readonly ropeTheta: number;
  /** Whether the output head is the token embedding. */
  readonly tieWordEmbeddings: boolean;
};

/**
 * Reads a parsed `config.json` (model_type `qwen3` or `gpt`). Fields without meaning for inference are ignored; fields
 * that would change the numbers in a way that is not built (rope scaling, sliding windows, attention biases) are refused.
 *
 * Defaults are those of Hugging Face: `head_dim` 128, `rms_norm_eps` 1e-6, `rope_theta` 10,000, untied head for `qwen3`;
 * `intermediate_size` 4 · `hidden_size`, `layer_norm_eps` 1e-5, tied head for `gpt`.
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
  const modelType = reader.get("model_type");
  let config: TransformerConfig | undefined;
  if (modelType === "qwen3") config = readQwen3(reader);
  else if (modelType === "gpt") config = readGpt(reader);
  else reader.problem(`model_type: expected "qwen3" or "gpt", received ${JSON.stringify(modelType)}`);
  if (config === undefined || reader.problems.length > 0) throw new ConfigError(reader.problems);
  return validateConfig(config);
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
export function configToJson(
  config: TransformerConfig,
): Record<string, string | number | boolean | string[]> {
  const common = {
    model_type: config.modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: config.tieWordEmbeddings,
  };
  if (config.modelType === "gpt")
    return { ...common, activation_function: "gelu_tanh", layer_norm_eps: config.normEps };
  return {
    ...common,
    architectures: ["Qwen3ForCausalLM"],
    attention_bias: false,
    head_dim: config.headSize,
    hidden_act: "silu",
    num_key_value_heads: config.numKvHeads,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
  };
}

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
  const { numHeads, numKvHeads, headSize, hiddenSize, modelType } = config;
  if (numHeads % numKvHeads !== 0)
    problems.push(`numKvHeads (${numKvHeads}) must divide numHeads (${numHeads})`);
  if (modelType === "qwen3") {
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

function readQwen3(reader: Reader): TransformerConfig {
  reader.mustBe("hidden_act", ["silu", undefined]);
  reader.mustBe("attention_bias", [false, undefined]);
  reader.mustBe("rope_scaling", [null, undefined]);
  reader.mustBe("use_sliding_window", [false, undefined]);
  const layerTypes = reader.get("layer_types"); // written by transformers ≥ 4.53
  if (Array.isArray(layerTypes) && layerTypes.some((type) => type !== "full_attention"))
    reader.problem('layer_types: only "full_attention" layers are built');
  const hiddenSize = reader.size("hidden_size");
  const numHeads = reader.size("num_attention_heads");
  return {
    modelType: "qwen3",
    vocabSize: reader.size("vocab_size"),
    hiddenSize,
    numLayers: reader.size("num_hidden_layers"),
    numHeads,
    numKvHeads: reader.size("num_key_value_heads", numHeads),
    headSize: reader.size("head_dim", 128), // Qwen3Config's default
    intermediateSize: reader.size("intermediate_size"),
    maxPositions: reader.size("max_position_embeddings"),
    normEps: reader.positive("rms_norm_eps", 1e-6),
    ropeTheta: readRopeTheta(reader),
    tieWordEmbeddings: reader.flag("tie_word_embeddings", false),
  };
}

/** transformers 5 moved `rope_theta` into `rope_parameters: { rope_type, rope_theta }`. */
function readRopeTheta(reader: Reader): number {
  const nested = reader.get("rope_parameters");
  if (typeof nested !== "object" || nested === null) return reader.positive("rope_theta", 10000);
  const inner = new Reader(nested as Record<string, unknown>, "rope_parameters.", reader.problems);
  inner.mustBe("rope_type", ["default", undefined]);
  return inner.positive("rope_theta", 10000);
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

/** Takes fields out of untrusted JSON and collects what is wrong with them, so that one error names everything. */
class Reader {
  readonly problems: string[];
  private readonly json: Record<string, unknown>;
  private readonly path: string;

  constructor(json: Record<string, unknown>, path = "", problems: string[] = []) {
    this.json = json;
    this.path = path;
    this.problems = problems;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  get(name: string): unknown {
    return Object.hasOwn(this.json, name) ? this.json[name] : undefined;
  }

  /** A whole number ≥ 1. Returns 1 after noting a problem, so that the checks that follow still make sense. */
  size(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (isSize(value)) return value;
    this.expected(name, "a whole number ≥ 1", value);
    return 1;
  }

  positive(name: string, fallback: number): number {
    const value = this.get(name) ?? fallback;
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    this.expected(name, "a number > 0", value);
    return fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    if (typeof value === "boolean") return value;
    this.expected(name, "true or false", value);
    return fallback;
  }

  mustBe(name: string, allowed: readonly unknown[]): void {
    const value = this.get(name);
    if (!allowed.includes(value))
      this.expected(
        name,
        allowed.map((v) => (v === undefined ? "absent" : JSON.stringify(v))).join(" or "),
        value,
      );
  }

  private expected(name: string, what: string, value: unknown): void {
    this.problem(`${this.path}${name}: expected ${what}, received ${JSON.stringify(value) ?? "nothing"}`);
  }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
