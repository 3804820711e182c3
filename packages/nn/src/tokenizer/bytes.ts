// Text → pre-tokens → bytes, and the printable byte alphabet of the saved file.
// The alphabet is GPT-2's `bytes_to_unicode`, which Hugging Face's ByteLevel pre-tokenizer uses; the pattern is ours.
// Leaves out normalisation: bytes in are bytes out.

/** Number of base tokens: one per byte value, so every string has an encoding. */
export const BYTE_COUNT = 256;

/**
 * Source of the pattern that cuts text before any merge; merges never cross a cut.
 * Alternatives, first match wins: a word with its leading space, a word, one digit, symbols that stop where a
 * spaced word begins, symbols. Symbols bind to symbols only, so a quoted name is the same tokens in a question,
 * in JSON arguments and in an observation: what must be copied has one spelling.
 */
export const PRE_TOKEN_PATTERN = " \\p{L}+|\\p{L}+|\\p{N}|[^\\p{L}\\p{N}]+?(?= \\p{L})|[^\\p{L}\\p{N}]+";

const preToken = new RegExp(PRE_TOKEN_PATTERN, "gu");
const utf8 = new TextEncoder();

/**
 * Cuts a text by {@link PRE_TOKEN_PATTERN}; the pieces joined give the text back.
 *
 * @example
 * ```ts
 * splitText('find "Bavo" now'); // → ["find", ' "', "Bavo", '"', " now"]
 * ```
 */
export function splitText(text: string): string[] {
  return text.match(preToken) ?? [];
}

/** UTF-8 bytes of a text. NOTE: a lone surrogate has no UTF-8 form and becomes U+FFFD, as in TextEncoder. */
export function bytesOf(text: string): Uint8Array {
  return utf8.encode(text);
}

// Visible Latin-1 characters stand for themselves, the other bytes for U+0100 onwards in order.
const visible = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

const alphabet: string[] = [];
for (let byte = 0, next = 0x100; byte < BYTE_COUNT; byte++) {
  alphabet.push(String.fromCharCode(visible(byte) ? byte : next++));
}

/** Spells bytes in the printable alphabet; a space becomes "Ġ". */
export function spellBytes(bytes: Uint8Array): string {
  let spelled = "";
  for (const byte of bytes) spelled += alphabet[byte];
  return spelled;
}

const byteOf = new Map(alphabet.map((character, byte) => [character, byte]));

/** Bytes of a token that is spelt in the printable alphabet; undefined if a character is not in it. */
export function readBytes(spelled: string): Uint8Array | undefined {
  const bytes = new Uint8Array(spelled.length);
  for (let index = 0; index < spelled.length; index++) {
    const byte = byteOf.get(spelled[index]);
    if (byte === undefined) return undefined;
    bytes[index] = byte;
  }
  return bytes;
}
