// Reads the tokenizer files of a checkpoint folder.
// Leaves out: additional_chat_templates/, tokenizer.model (SentencePiece), vocab.json with merges.txt.

import { TokenizerError } from "./errors.ts";
import { PretrainedTokenizer } from "./pretrained.ts";

/**
 * Names of the files that {@link loadTokenizer} reads; all but the first may be absent. Copied as they are, they make the
 * tokenizer of a checkpoint that is saved after training.
 *
 * @example
 * ```ts
 * tokenizerFileNames[0]; // → "tokenizer.json"
 * ```
 */
export const tokenizerFileNames = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
] as const;

/**
 * Loads the tokenizer of a checkpoint folder: tokenizer.json, and where they exist tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json and chat_template.jinja.
 *
 * @throws TokenizerError if tokenizer.json is missing, a file is not JSON, or it is not a byte-level BPE tokenizer that
 * loses no text; the message names file and field.
 *
 * @example
 * ```ts
 * await loadTokenizer("no/such/folder"); // → throws TokenizerError
 * ```
 */
export async function loadTokenizer(folder: string): Promise<PretrainedTokenizer> {
  const [tokenizer, config, specialTokens, addedTokens, chatTemplate] = await Promise.all(
    tokenizerFileNames.map((name) => readText(folder, name)),
  );
  if (tokenizer === undefined) {
    throw new TokenizerError(
      `loadTokenizer: ${folder} has no tokenizer.json. Save it there with tokenizer.save_pretrained of the official ` +
        "library, or with JSON.stringify(trainBpe(…).toJson())",
    );
  }
  return new PretrainedTokenizer({
    tokenizer: parse(tokenizer, "tokenizer.json"),
    config: parse(config, "tokenizer_config.json"),
    specialTokens: parse(specialTokens, "special_tokens_map.json"),
    addedTokens: parse(addedTokens, "added_tokens.json"),
    chatTemplate,
  });
}

async function readText(folder: string, name: string): Promise<string | undefined> {
  // Here and not above, so that the package can be imported where there is no Node.
  const read = await import("../folder/read.ts");
  try {
    return await read.readText(folder, name);
  } catch (cause) {
    throw new TokenizerError(`loadTokenizer: ${name} can not be read (${(cause as Error).message})`, {
      cause,
    });
  }
}

function parse(text: string | undefined, name: string): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TokenizerError(`loadTokenizer: ${name} is not JSON (${(cause as Error).message})`, { cause });
  }
}
