// What every tokenizer here can do, and what both kinds share: ids to text, and finding control names in template text.
// Leaves out: special tokens added around a text (a template writes them), offsets, batches.

import { TokenizerError } from "./errors.ts";

/**
 * A tokenizer whose text never encodes to a control token. {@link Tokenizer} is one, {@link PretrainedTokenizer} another.
 *
 * For every well-formed string `decode(encode(s)) === s`; a lone surrogate has no UTF-8 form and is read as U+FFFD.
 *
 * @example
 * ```ts
 * const tokenizer: TokenizerLike = new Tokenizer({ merges: [], controlTokens: ["<|end|>"] });
 * [...tokenizer.encode("<|e"), tokenizer.controlId("<|end|>")]; // → [60, 124, 101, 256]
 * ```
 */
export interface TokenizerLike {
  /** Largest id + 1. */
  readonly vocabSize: number;
  /** Names of the control tokens, in id order. */
  readonly controlTokens: readonly string[];
  /** Ids of a text; never a control id, whatever the text spells. */
  encode(text: string): number[];
  /**
   * Text of ids; control tokens as their names, bytes that are not UTF-8 as U+FFFD.
   *
   * @throws TokenizerError on an id that no token has.
   */
  decode(ids: Iterable<number>): string;
  /** Bytes of one token; of a control token, those of its name. @throws TokenizerError as `decode`. */
  tokenBytes(id: number): Uint8Array;
  /** Id of a control token. @throws TokenizerError if there is none of that name. */
  controlId(name: string): number;
  /** Whether an id is a control token. */
  isControl(id: number): boolean;
}

/** `decode` of a tokenizer that knows the bytes of its tokens. Bytes on the two sides of a control token do not join. */
export function decodeIds(
  tokenizer: Pick<TokenizerLike, "tokenBytes" | "isControl">,
  ids: Iterable<number>,
): string {
  // A leading U+FEFF is text here, not a mark to drop.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  for (const id of ids) {
    const bytes = tokenizer.tokenBytes(id);
    if (tokenizer.isControl(id)) text += decoder.decode();
    text += decoder.decode(bytes, { stream: true });
  }
  return text + decoder.decode();
}

/** The error of an id that no token has. */
export function unknownId(id: number, vocabSize: number): TokenizerError {
  return new TokenizerError(
    `decode: id ${id} is outside the vocabulary 0 … ${vocabSize - 1}, or a hole in it. ` +
      "Sample only ids that the tokenizer has",
  );
}

/** The error of a control token that does not exist. */
export function unknownControl(name: string, controlTokens: readonly string[], fix: string): TokenizerError {
  return new TokenizerError(
    `controlId: no control token ${JSON.stringify(name)}; this tokenizer has ${JSON.stringify(controlTokens)}. ${fix}`,
  );
}

/**
 * Cuts the text of a template at control names: pieces of text, and ids of control tokens. At each place the longest
 * name counts, as in Hugging Face's tokenizers. NOTE: only for text that a template's author wrote; what users and
 * tools wrote goes to `encode` as it is.
 *
 * @example
 * ```ts
 * const tokenizer = new Tokenizer({ merges: [], controlTokens: ["<|end|>"] });
 * splitControls(tokenizer, "hi<|end|>\n"); // → ["hi", 256, "\n"]
 * ```
 */
export function splitControls(
  tokenizer: Pick<TokenizerLike, "controlTokens" | "controlId">,
  text: string,
): (string | number)[] {
  const pattern = controlPattern(tokenizer.controlTokens);
  if (pattern === undefined) return text === "" ? [] : [text];
  // A group in the pattern makes `split` keep what it matched: text, name, text, …
  return text
    .split(pattern)
    .map((piece, index) => (index % 2 === 0 ? piece : tokenizer.controlId(piece)))
    .filter((piece) => piece !== "");
}

/** One per list of names: checkpoints have hundreds of them, and templates are cut into hundreds of pieces. */
const patterns = new WeakMap<readonly string[], RegExp>();

function controlPattern(controlTokens: readonly string[]): RegExp | undefined {
  if (controlTokens.length === 0) return undefined;
  let pattern = patterns.get(controlTokens);
  if (pattern === undefined) {
    const longestFirst = [...controlTokens].sort((a, b) => b.length - a.length);
    const names = longestFirst.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    pattern = new RegExp(`(${names.join("|")})`);
    patterns.set(controlTokens, pattern);
  }
  return pattern;
}
