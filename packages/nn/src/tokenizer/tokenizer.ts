// Byte-level BPE: text ↔ token ids, with control tokens that text can never produce.
// Ids: 0–255 the bytes, then one id per merge in rank order, then the control tokens.
// Saved in the layout of Hugging Face's `tokenizer.json` (see json.ts).
// Leaves out: reading foreign tokenizer.json files (pretrained.ts).

import { BYTE_COUNT, bytesOf, splitText } from "./bytes.ts";
import { TokenizerError } from "./errors.ts";
import { readTokenizerJson, type TokenizerJson, writeTokenizerJson } from "./json.ts";
import { decodeIds, type TokenizerLike, unknownControl, unknownId } from "./like.ts";
import { mergePair, type TokenizerParts } from "./merge.ts";

// A run of text may hold any number of distinct words: the cache is for the common short ones.
const CACHE_ENTRIES = 50_000;
const CACHE_PIECE_LENGTH = 64;

/**
 * A byte-level BPE tokenizer. For every well-formed string `decode(encode(s)) === s`.
 *
 * @example
 * ```ts
 * const tokenizer = new Tokenizer({ merges: [[104, 105]], controlTokens: ["<|end|>"] }); // "h" + "i"
 * [...tokenizer.encode("hi!"), tokenizer.controlId("<|end|>")]; // → [256, 33, 257]
 * tokenizer.decode([256, 33, 257]); // → "hi!<|end|>"
 * Tokenizer.fromJson(JSON.stringify(tokenizer.toJson())).vocabSize; // → 258
 * ```
 */
export class Tokenizer implements TokenizerLike {
  /** Ids in all: 256 bytes + merges + control tokens. */
  readonly vocabSize: number;
  readonly #parts: TokenizerParts;
  readonly #ranks = new Map<number, number>();
  readonly #bytes: Uint8Array[];
  readonly #controls: Map<string, number>;
  readonly #controlBytes: Uint8Array[];
  readonly #cache = new Map<string, readonly number[]>();

  /** @throws TokenizerError if a merge names a later id or spells an earlier token, or a control name is empty or repeated. */
  constructor(parts: TokenizerParts) {
    const { merges, controlTokens } = parts;
    this.#parts = parts;
    this.#bytes = tokenBytes(merges);
    this.vocabSize = this.#bytes.length + controlTokens.length;
    merges.forEach(([left, right], rank) => {
      this.#ranks.set(this.#pair(left, right), rank);
    });
    this.#controlBytes = controlTokens.map(bytesOf);
    this.#controls = new Map(controlTokens.map((name, index) => [name, this.#bytes.length + index]));
    if (this.#controls.size !== controlTokens.length || this.#controls.has("")) {
      throw new TokenizerError(
        `Tokenizer: control names must be distinct and not empty, received ${JSON.stringify(controlTokens)}`,
      );
    }
  }

  /** Names of the control tokens, in id order. */
  get controlTokens(): readonly string[] {
    return this.#parts.controlTokens;
  }

  /**
   * Ids of a text. NOTE: never a control id: text that spells a control name is encoded as its characters, so
   * tool output can not forge a role. Lone surrogates are read as U+FFFD.
   */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const piece of splitText(text)) {
      for (const id of this.#encodePiece(piece)) ids.push(id);
    }
    return ids;
  }

  /**
   * Text of ids; a control token is written as its name. Bytes that are not UTF-8 (a sampled sequence may hold any)
   * become U+FFFD.
   *
   * @throws TokenizerError on an id outside the vocabulary.
   */
  decode(ids: Iterable<number>): string {
    return decodeIds(this, ids);
  }

  /** Bytes of one token; of a control token, those of its name. @throws TokenizerError on an id outside the vocabulary. */
  tokenBytes(id: number): Uint8Array {
    const bytes = this.#bytes[id] ?? this.#controlBytes[id - this.#bytes.length];
    if (bytes === undefined) throw unknownId(id, this.vocabSize);
    return bytes;
  }

  /**
   * Id of a control token.
   *
   * @throws TokenizerError if there is none of that name.
   */
  controlId(name: string): number {
    const id = this.#controls.get(name);
    if (id === undefined) {
      throw unknownControl(name, this.controlTokens, "Train it with trainBpe(texts, { controlTokens: […] })");
    }
    return id;
  }

  /** Whether an id is a control token, which no encoded text holds. */
  isControl(id: number): boolean {
    return id >= this.#bytes.length && id < this.vocabSize;
  }

  /** The tokenizer in Hugging Face's `tokenizer.json` layout; `JSON.stringify` it to save. */
  toJson(): TokenizerJson {
    return writeTokenizerJson(this.#bytes, this.#parts);
  }

  /**
   * Loads what {@link Tokenizer.toJson} gave: its text, or the parsed value.
   *
   * @throws TokenizerError if the file is not one of ours, naming the field.
   */
  static fromJson(json: unknown): Tokenizer {
    return new Tokenizer(readTokenizerJson(json));
  }

  #pair(left: number, right: number): number {
    return left * this.#bytes.length + right;
  }

  #encodePiece(piece: string): readonly number[] {
    const known = this.#cache.get(piece);
    if (known !== undefined) return known;
    const ids = this.#merge([...bytesOf(piece)]);
    if (piece.length <= CACHE_PIECE_LENGTH && this.#cache.size < CACHE_ENTRIES) this.#cache.set(piece, ids);
    return ids;
  }

  // Applies the lowest-ranked merge everywhere, then the next. Every pair with a merged token ranks after that merge, so
  // at most one pass per merge is needed: a piece of n bytes costs O(n · merges), whatever an attacker writes.
  #merge(ids: number[]): number[] {
    for (;;) {
      let best: number | undefined;
      for (let i = 0; i + 1 < ids.length; i++) {
        const rank = this.#ranks.get(this.#pair(ids[i], ids[i + 1]));
        if (rank !== undefined && (best === undefined || rank < best)) best = rank;
      }
      if (best === undefined) return ids;
      const [left, right] = this.#parts.merges[best];
      ids = mergePair(ids, left, right, BYTE_COUNT + best);
    }
  }
}

/** Bytes of every id below the control tokens; checks that merges build on earlier ids and spell new tokens. */
function tokenBytes(merges: TokenizerParts["merges"]): Uint8Array[] {
  const bytes = Array.from({ length: BYTE_COUNT }, (_, byte) => Uint8Array.of(byte));
  const seen = new Set<string>();
  merges.forEach(([left, right], rank) => {
    const joined = Uint8Array.of(...(bytes[left] ?? []), ...(bytes[right] ?? []));
    const spelled = joined.join();
    if (!(left in bytes) || !(right in bytes) || seen.has(spelled)) {
      throw new TokenizerError(
        `Tokenizer: merge ${rank} joins ids ${left} and ${right}; both must be below ${BYTE_COUNT + rank} ` +
          "and the joined token must be new",
      );
    }
    seen.add(spelled);
    bytes.push(joined);
  });
  return bytes;
}
