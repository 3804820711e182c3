/**
 * Errors of @pact/nn. Each names what was wrong, where, what was expected and the call that fixes it; all derive from
 * `PactError`, so one `catch` covers the engine and the layers above it.
 */
import { PactError } from "@pact/tensor";

/** A safetensors file that is malformed, truncated or does not hold what was asked for (code `safetensors`). */
export class SafetensorsError extends PactError {
  constructor(message: string) {
    super("safetensors", message);
  }
}

/** A model configuration that can not be used; `problems` lists every fault found, not only the first (code `config`). */
export class ConfigError extends PactError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      "config",
      `The model configuration can not be used:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

/** Parameters that are missing, unexpected or of the wrong shape for a configuration (code `parameters`). */
export class ParameterError extends PactError {
  constructor(message: string) {
    super("parameters", message);
  }
}

/** Tokens, positions or ranges a model can not take: an id outside the vocabulary, a context too long (code `input`). */
export class InputError extends PactError {
  constructor(message: string) {
    super("input", message);
  }
}

/** A decoding session without room for the tokens that were appended (code `capacity`). */
export class CapacityError extends PactError {
  constructor(message: string) {
    super("capacity", message);
  }
}
