// What a checkpoint folder says of its tokenizer: tokenizer.json, tokenizer_config.json and the files older checkpoints
// have beside them, checked and joined. Only byte-level BPE that loses nothing is accepted: Qwen2, Qwen3, Llama 3, GPT-2.
// Leaves out: SentencePiece-style BPE, Unigram and WordPiece, which can not give every text back.

import { BYTE_COUNT, readBytes, spellBytes } from "./bytes.ts";
import { TokenizerError } from "./errors.ts";

/** Parsed files of a checkpoint folder, by name; absent files are left out. */
export interface TokenizerFiles {
  /** `tokenizer.json`: model, pre-tokenizer, added tokens. */
  readonly tokenizer: unknown;
  /** `tokenizer_config.json`: names of special tokens, chat templates, added tokens. */
  readonly config?: unknown;
  /** `special_tokens_map.json`: names of special tokens, in older checkpoints. */
  readonly specialTokens?: unknown;
  /** `added_tokens.json`: name → id, in older checkpoints. */
  readonly addedTokens?: unknown;
  /** Text of `chat_template.jinja`, which counts before the template in `tokenizer_config.json`. */
  readonly chatTemplate?: string;
}

/** The checked content of the files. */
export interface PretrainedParts {
  /** `tokenizer.json` for encoding text: without added tokens, normaliser and post-processor. */
  readonly model: JsonRecord;
  /** Spelling of each id in the byte alphabet; control tokens and holes are absent. */
  readonly spelled: readonly (string | undefined)[];
  /** Control name → id, in id order. */
  readonly controls: ReadonlyMap<string, number>;
  /** "bos_token", "eos_token", … → control name. */
  readonly special: ReadonlyMap<string, string>;
  /** Name → chat template; a single one is called "default". */
  readonly chatTemplates: ReadonlyMap<string, string>;
}

/** A JSON object of unknown content. */
export type JsonRecord = Readonly<Record<string, unknown>>;

const LARGEST_ID = 2 ** 24;

/**
 * Checks and joins the files.
 *
 * @throws TokenizerError naming the file and the field.
 */
export function readPretrained(files: TokenizerFiles): PretrainedParts {
  const file = record(files.tokenizer, "tokenizer.json");
  const config = record(files.config ?? {}, "tokenizer_config.json");
  const model = record(file.model, "tokenizer.json: model");
  checkLossless(file, model);

  const vocab = record(model.vocab, "tokenizer.json: model.vocab");
  const controls = controlIds(file, files, config);
  const special = specialNames(config, files.specialTokens);
  for (const [field, name] of special) {
    if (controls.has(name)) continue;
    if (!Object.hasOwn(vocab, name)) throw bad(field, "the name of a token", name);
    controls.set(name, wholeId(vocab[name], `tokenizer.json: model.vocab[${JSON.stringify(name)}]`));
  }
  const text = Object.entries(vocab).filter(([token]) => !controls.has(token));
  for (const [name, id] of controls) {
    if (name === "" || name !== name.trim())
      throw bad("added_tokens", "a name without space at its ends", name);
    if (Object.hasOwn(vocab, name) && vocab[name] !== id) {
      throw bad(`model.vocab[${JSON.stringify(name)}]`, id, vocab[name]);
    }
  }
  return {
    model: {
      ...file,
      added_tokens: [],
      normalizer: null,
      post_processor: null,
      pre_tokenizer: { type: "Sequence", pretokenizers: cuts(file) },
      model: withoutControls(model, text, controls),
    },
    spelled: spellings(text, controls),
    controls: new Map([...controls].sort(([, a], [, b]) => a - b)),
    special,
    chatTemplates: templates(config.chat_template, files.chatTemplate),
  };
}

/** Refuses what would lose text: only isolating cuts and the byte alphabet are allowed between a text and its tokens. */
function checkLossless(file: JsonRecord, model: JsonRecord): void {
  if (model.type !== "BPE") throw bad("model.type", "BPE", model.type);
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if ((model[field] ?? "") !== "") throw bad(`model.${field}`, null, model[field]);
  }
  // NFC is left out rather than applied: text in that form has the same ids, and other text comes back as it was.
  const normalizer = file.normalizer ?? null;
  if (normalizer !== null && record(normalizer, "tokenizer.json: normalizer").type !== "NFC") {
    throw bad("normalizer", "none or NFC", normalizer);
  }
  const steps = sequence(file.pre_tokenizer, "pretokenizers", "pre_tokenizer");
  steps.forEach((step, index) => {
    const isLast = index === steps.length - 1;
    const isolates =
      step.type === "Split" &&
      step.behavior === "Isolated" &&
      step.invert !== true &&
      isPattern(step.pattern);
    const fine = isLast
      ? step.type === "ByteLevel" && step.add_prefix_space !== true
      : isolates || step.type === "Digits";
    if (!fine)
      throw bad("pre_tokenizer", "isolating Split or Digits, then ByteLevel without prefix space", step);
  });
  const decoders = sequence(file.decoder, "decoders", "decoder");
  if (decoders.length !== 1 || decoders[0].type !== "ByteLevel")
    throw bad("decoder", "ByteLevel", file.decoder);
}

/** `{ Regex }` or `{ String }`. */
function isPattern(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { Regex, String: plain } = value as JsonRecord;
  return typeof (Regex ?? plain) === "string" && (Regex ?? plain) !== "";
}

/** What ByteLevel cuts by, unless it is told not to: GPT-2's pattern. */
const BYTE_LEVEL_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * The pre-tokenizer, with cuts that have names as patterns: the library reads those as the official one does, but knows
 * Digits as ASCII digits, and takes U+FEFF for a space in ByteLevel's own.
 */
function cuts(file: JsonRecord): JsonRecord[] {
  const isolated = (Regex: string): JsonRecord => {
    return { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false };
  };
  return sequence(file.pre_tokenizer, "pretokenizers", "pre_tokenizer").flatMap((step): JsonRecord[] => {
    if (step.type === "Digits") return [isolated(step.individual_digits === true ? "\\p{N}" : "\\p{N}+")];
    const bytes = { ...step, use_regex: false };
    if (step.type === "ByteLevel" && step.use_regex !== false) return [isolated(BYTE_LEVEL_PATTERN), bytes];
    return [step];
  });
}

function sequence(value: unknown, field: string, where: string): JsonRecord[] {
  const step = record(value, `tokenizer.json: ${where}`);
  if (step.type !== "Sequence") return [step];
  const inner = list(step[field], `tokenizer.json: ${where}.${field}`);
  if (inner.length === 0) throw bad(where, "at least one step", value);
  return inner.flatMap((one) => sequence(one, field, where));
}

/** Every added token of every file, special or not: all of them are control tokens here. */
function controlIds(file: JsonRecord, files: TokenizerFiles, config: JsonRecord): Map<string, number> {
  const controls = new Map<string, number>();
  const add = (name: unknown, id: unknown, where: string): void => {
    if (typeof name !== "string") throw bad(where, "a name", name);
    const known = controls.get(name);
    if (known !== undefined && known !== wholeId(id, where)) throw bad(where, known, id);
    controls.set(name, wholeId(id, where));
  };
  list(file.added_tokens ?? [], "tokenizer.json: added_tokens").forEach((value, index) => {
    const where = `tokenizer.json: added_tokens[${index}]`;
    const token = record(value, where);
    for (const flag of ["lstrip", "rstrip", "single_word"]) {
      if (token[flag] === true) throw bad(`${where}.${flag}`, false, true);
    }
    add(token.content, token.id, where);
  });
  const more = record(config.added_tokens_decoder ?? {}, "tokenizer_config.json: added_tokens_decoder");
  for (const [id, value] of Object.entries(more)) {
    const where = `tokenizer_config.json: added_tokens_decoder[${id}]`;
    add(record(value, where).content, Number(id), where);
  }
  for (const [name, id] of Object.entries(record(files.addedTokens ?? {}, "added_tokens.json"))) {
    add(name, id, `added_tokens.json: ${JSON.stringify(name)}`);
  }
  return controls;
}

/** Special names of both files; each is a string, or an object with `content`. The newer file counts first. */
function specialNames(config: JsonRecord, older: unknown): Map<string, string> {
  const names = new Map<string, string>();
  const sources = [record(older ?? {}, "special_tokens_map.json"), config];
  for (const field of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    for (const source of sources) {
      const value = source[field];
      const name = typeof value === "object" && value !== null ? (value as JsonRecord).content : value;
      if (typeof name === "string") names.set(field, name);
    }
  }
  return names;
}

/** Removes control tokens, and merges that would make one, so that no text can reach them. */
function withoutControls(
  model: JsonRecord,
  text: [string, unknown][],
  controls: ReadonlyMap<string, number>,
): JsonRecord {
  const merges = list(model.merges, "tokenizer.json: model.merges").map((merge, rank): string[] => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const isPair = Array.isArray(pair) && pair.length === 2 && pair.every((side) => typeof side === "string");
    if (!isPair) throw bad(`model.merges[${rank}]`, '"left right" or ["left", "right"]', merge);
    return pair;
  });
  const known = new Set(text.map(([token]) => token));
  const kept = merges.filter((pair) => !controls.has(pair.join("")));
  // A merge into a token that does not exist would drop its text.
  const lost = kept.find((pair) => !known.has(pair.join("")));
  if (lost !== undefined) throw bad("model.merges", "pairs that join to a token of model.vocab", lost);
  return { ...model, unk_token: null, fuse_unk: false, vocab: Object.fromEntries(text), merges: kept };
}

function spellings(
  text: readonly [string, unknown][],
  controls: ReadonlyMap<string, number>,
): (string | undefined)[] {
  const spelled: (string | undefined)[] = [];
  const taken = new Set(controls.values());
  if (taken.size !== controls.size)
    throw bad("added_tokens", "an id for each name", Object.fromEntries(controls));
  for (const [token, value] of text) {
    const where = `model.vocab[${JSON.stringify(token)}]`;
    const id = wholeId(value, where);
    if (token === "" || readBytes(token) === undefined)
      throw bad(where, "a token in the byte alphabet", token);
    if (taken.has(id)) throw bad(where, "an id of its own", id);
    taken.add(id);
    spelled[id] = token;
  }
  const known = new Set(text.map(([token]) => token));
  for (let byte = 0; byte < BYTE_COUNT; byte++) {
    const token = spellBytes(Uint8Array.of(byte));
    if (!known.has(token))
      throw bad("model.vocab", `a token for each byte, ${JSON.stringify(token)} too`, "none");
  }
  return spelled;
}

/** `chat_template` is a text, or a list of named ones. */
function templates(value: unknown, file: string | undefined): Map<string, string> {
  const found = new Map<string, string>();
  if (typeof value === "string") found.set("default", value);
  else if (value !== undefined && value !== null) {
    list(value, "tokenizer_config.json: chat_template").forEach((entry, index) => {
      const where = `tokenizer_config.json: chat_template[${index}]`;
      const { name, template } = record(entry, where);
      if (typeof name !== "string" || typeof template !== "string")
        throw bad(where, "{ name, template }", entry);
      found.set(name, template);
    });
  }
  if (file !== undefined) found.set("default", file);
  return found;
}

function record(value: unknown, where: string): JsonRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(where, "an object", value);
  return value as JsonRecord;
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw bad(where, "an array", value);
  return value;
}

function wholeId(value: unknown, where: string): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > LARGEST_ID) {
    throw bad(where, `a whole id of at most ${LARGEST_ID}`, value);
  }
  return value as number;
}

function bad(where: string, expected: unknown, received: unknown): TokenizerError {
  const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 200);
  return new TokenizerError(
    `loadTokenizer: ${where}: expected ${shown(expected)}, received ${shown(received)}. ` +
      "Byte-level BPE tokenizers that lose no text are read (Qwen2, Qwen3, Llama 3, GPT-2, or trained with trainBpe)",
  );
}
