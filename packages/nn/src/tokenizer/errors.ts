// The one error type of the tokenizer.

import { PactError } from "@pact/tensor";

/** A tokenizer was trained, loaded or used with bad input (code `TOKENIZER`); the message says what, where and how to mend it. */
export class TokenizerError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("TOKENIZER", message, options);
  }
}
