/**
 * Errors of @pact/nn. Each names what was wrong, where, what was expected and the call that fixes it; all derive from
 * `PactError`, so one `catch` covers the engine and the layers above it.
 */
import { PactError } from "@pact/tensor";

/**
 * A safetensors file that is malformed, truncated or does not hold what was asked for (code `safetensors`).
 *
 * @example
 * ```ts
 * readSafetensors(new Uint8Array(4)); // → throws SafetensorsError
 * ```
 */
export class SafetensorsError extends PactError {
  constructor(message: string) {
    super("safetensors", message);
  }
}

/**
 * A model configuration that can not be used; `problems` lists every fault found, not only the first (code `config`).
 *
 * @example
 * ```ts
 * new ConfigError(["numLayers: expected a whole number ≥ 1, received 0"]).problems.length; // → 1
 * configFromJson({}); // → throws ConfigError
 * ```
 */
export class ConfigError extends PactError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super("config", `The model configuration can not be used:\n${lines(problems)}`);
    this.problems = problems;
  }
}

/**
 * Parameters that are missing, unexpected or of the wrong shape for a configuration (code `parameters`).
 *
 * @example
 * ```ts
 * new AdamW({}); // → throws ParameterError
 * ```
 */
export class ParameterError extends PactError {
  constructor(message: string) {
    super("parameters", message);
  }
}

/**
 * A model folder that can not be read or written; `problems` lists every fault found, not only the first (code
 * `checkpoint`).
 *
 * @example
 * ```ts
 * new CheckpointError("no/such/folder", ["config.json is missing"]).problems.length; // → 1
 * await loadModel("no/such/folder"); // → throws CheckpointError
 * ```
 */
export class CheckpointError extends PactError {
  readonly problems: readonly string[];

  constructor(folder: string, problems: readonly string[], options?: ErrorOptions) {
    super(
      "checkpoint",
      `The model folder ${JSON.stringify(folder)} can not be used:\n${lines(problems)}`,
      options,
    );
    this.problems = problems;
  }
}

/** Problems as a list, cut where a hostile file would fill the screen. */
export function lines(problems: readonly string[]): string {
  const shown = problems.slice(0, 1000).map((p) => `  - ${p}`);
  if (problems.length > shown.length) shown.push(`  … and ${problems.length - shown.length} more`);
  return shown.join("\n");
}

/**
 * Tokens, positions or ranges a model can not take: an id outside the vocabulary, a context too long (code `input`).
 *
 * @example
 * ```ts
 * packSequences([[0.5]]); // → throws InputError
 * ```
 */
export class InputError extends PactError {
  constructor(message: string) {
    super("input", message);
  }
}

/**
 * A decoding session without room for the tokens that were appended (code `capacity`).
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const options = { prompts: [[1, 2]], rows: [{ prompt: 0, capacity: 15 }] }; // 17 tokens
 * new DecodeSession(config, initParams(config, key(0)), options); // → throws CapacityError
 * ```
 */
export class CapacityError extends PactError {
  constructor(message: string) {
    super("capacity", message);
  }
}
