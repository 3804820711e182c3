// The one error type of the tokenizer.

/** A tokenizer was trained, loaded or used with bad input; the message says what, where and how to mend it. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
  readonly code = "TOKENIZER";
}
