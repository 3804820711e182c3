// `tokenizer.json` in Hugging Face's layout: BPE model, added tokens, Split + ByteLevel pre-tokenizer.
// Written so that the official libraries read it (Qwen and Llama 3 files look the same); read strictly: only files of
// this layout with our pattern and our id order, since a foreign pattern would cut text differently without a word.
// NOTE: the official libraries turn control names inside text into control ids; Tokenizer.encode never does.

import { BYTE_COUNT, PRE_TOKEN_PATTERN, spellBytes } from "./bytes.ts";
import { TokenizerError } from "./errors.ts";
import type { TokenizerParts } from "./merge.ts";

/** One control token in the file. */
export interface AddedToken {
  id: number;
  content: string;
  single_word: false;
  lstrip: false;
  rstrip: false;
  normalized: false;
  special: true;
}

/** The file `tokenizer.json`, as far as this package writes it. */
export interface TokenizerJson {
  version: "1.0";
  truncation: null;
  padding: null;
  added_tokens: AddedToken[];
  normalizer: null;
  pre_tokenizer: object;
  post_processor: null;
  decoder: object;
  model: {
    type: "BPE";
    dropout: null;
    unk_token: null;
    continuing_subword_prefix: null;
    end_of_word_suffix: null;
    fuse_unk: false;
    byte_fallback: false;
    /** Token, spelt in the byte alphabet → id. */
    vocab: Record<string, number>;
    /** "left right", in rank order. */
    merges: string[];
  };
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
const PRE_TOKENIZER = {
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: PRE_TOKEN_PATTERN }, behavior: "Isolated", invert: false },
    BYTE_LEVEL,
  ],
};

/** Builds the file. `bytes` holds the bytes of every id below the control tokens. */
export function writeTokenizerJson(bytes: readonly Uint8Array[], parts: TokenizerParts): TokenizerJson {
  const spelled = bytes.map(spellBytes);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: parts.controlTokens.map((content, index) => ({
      id: bytes.length + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: PRE_TOKENIZER,
    post_processor: null,
    decoder: BYTE_LEVEL,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(spelled.map((token, id) => [token, id])),
      merges: parts.merges.map(([left, right]) => `${spelled[left]} ${spelled[right]}`),
    },
  };
}

/**
 * Reads the file back into merges and control names.
 *
 * @throws TokenizerError naming the first field that is not as {@link writeTokenizerJson} writes it.
 */
export function readTokenizerJson(json: unknown): TokenizerParts {
  const file = record(typeof json === "string" ? parse(json) : json, "the file");
  expectSame(file.pre_tokenizer, PRE_TOKENIZER, "pre_tokenizer");
  expectSame(file.normalizer ?? null, null, "normalizer");
  const model = record(file.model, "model");
  expectSame(model.type, "BPE", "model.type");

  const ids = new Map<string, number>();
  for (let byte = 0; byte < BYTE_COUNT; byte++) ids.set(spellBytes(Uint8Array.of(byte)), byte);
  const merges = list(model.merges, "model.merges").map((merge, rank): [number, number] => {
    const where = `model.merges[${rank}]`;
    const [left, right, ...rest] = text(merge, where).split(" ");
    const pair = [ids.get(left), ids.get(right)];
    if (pair[0] === undefined || pair[1] === undefined || rest.length > 0 || ids.has(left + right)) {
      throw bad(where, '"left right" of two earlier tokens that join to a new one', merge);
    }
    ids.set(left + right, BYTE_COUNT + rank);
    return [pair[0], pair[1]];
  });

  const vocab = Object.entries(record(model.vocab, "model.vocab"));
  if (vocab.length !== ids.size) {
    throw bad("model.vocab", `${ids.size} tokens (256 bytes and one per merge)`, vocab.length);
  }
  for (const [token, id] of vocab) {
    if (ids.get(token) !== id)
      throw bad(`model.vocab[${JSON.stringify(token)}]`, ids.get(token) ?? "no such token", id);
  }

  const controlTokens = list(file.added_tokens, "added_tokens").map((value, index) => {
    const where = `added_tokens[${index}]`;
    const added = record(value, where);
    expectSame(added.id, ids.size + index, `${where}.id`);
    expectSame(added.special, true, `${where}.special`);
    return text(added.content, `${where}.content`);
  });
  return { merges, controlTokens };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new TokenizerError(`tokenizer.json: not JSON (${(cause as Error).message})`, { cause });
  }
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(where, "an object", value);
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw bad(where, "an array", value);
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== "string") throw bad(where, "a string", value);
  return value;
}

function expectSame(value: unknown, expected: unknown, where: string): void {
  if (canonical(value) !== canonical(expected)) throw bad(where, expected, value);
}

/** JSON with sorted keys: files may list the same fields in another order. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? "undefined"
  );
}

function bad(where: string, expected: unknown, received: unknown): TokenizerError {
  const shorten = (value: unknown): string => {
    const shown = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
    return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
  };
  return new TokenizerError(
    `tokenizer.json: ${where}: expected ${shorten(expected)}, received ${shorten(received)}. ` +
      "Only files written by Tokenizer.toJson are read here; train one with trainBpe",
  );
}
