// The one error type of the tokenizer.

import { PactError } from "@pact/tensor";

/**
 * A tokenizer was trained, loaded or used with bad input (code `tokenizer`); the message says what, where and how to mend it.
 *
 * @example
 * ```ts
 * Tokenizer.fromJson("{}"); // → throws TokenizerError
 * ```
 */
export class TokenizerError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("tokenizer", message, options);
  }
}
