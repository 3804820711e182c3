// The error types of tokenizers and chat templates.

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

/** What was wrong with a chat template or its values; see `renderChat`. */
export type ChatTemplateProblem = "syntax" | "missing" | "raised" | "limit" | "runtime";

/**
 * A chat template that is not Jinja, or that can not render what it was given (code `chat-template`); `kind` says why.
 *
 * @example
 * ```ts
 * renderChat("{{ raise_exception('no tools, please') }}", []); // → throws ChatTemplateError
 * ```
 */
export class ChatTemplateError extends PactError {
  readonly kind: ChatTemplateProblem;

  constructor(kind: ChatTemplateProblem, message: string, options?: ErrorOptions) {
    super("chat-template", `renderChat: ${message}`, options);
    this.kind = kind;
  }
}
