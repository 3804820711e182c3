/**
 * Keeps a key out of texts: whatever a server sends back is searched for it, as it is and in the encodings in which
 * servers echo headers: percent and JSON escapes, HTML character references, hexadecimal, Base64 at any alignment.
 */

const mark = "[redacted]";

/** Shorter keys are placeholders ("none", "EMPTY"): they are kept out of errors, but models may well write such words. */
export const leastSecretLength = 8;

/** Base64 pieces below this length occur by chance. */
const leastPiece = 8;

/**
 * A function that replaces a key in any text by `[redacted]`; without a key, texts stay as they are.
 *
 * @example
 * ```ts
 * redactor("sk-12345678")("Bearer sk-12345678 is wrong"); // → "Bearer [redacted] is wrong"
 * ```
 */
export function redactor(key: string | undefined): (text: string) => string {
  if (key === undefined || key === "") return (text) => text;
  const bytes = Buffer.from(key, "utf8");
  const written = new RegExp([...key].map(spellings).join(""), "g");
  const hexadecimal = new RegExp(bytes.toString("hex"), "gi");
  const pieces = base64Pieces(bytes);
  return (text) => {
    let clean = text.replace(written, mark);
    if (bytes.length * 2 >= leastPiece) clean = clean.replace(hexadecimal, mark);
    for (const piece of pieces) clean = clean.replaceAll(piece, mark);
    return clean;
  };
}

/** A pattern of the ways in which one character of a key is written. */
function spellings(character: string): string {
  const code = character.charCodeAt(0);
  const hex = [...code.toString(16).padStart(2, "0")]
    .map((digit) => `[${digit}${digit.toUpperCase()}]`)
    .join("");
  const plain = character.replace(
    /[^A-Za-z0-9]/,
    (special) => `\\u${special.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `(?:\\\\?${plain}|%(?:25)?${hex}|\\\\u00${hex}|&#0*${code};|&#[xX]0*${hex};)`;
}

/** What Base64 makes of the key wherever it stands in the encoded text: at three alignments, without the border digits. */
function base64Pieces(bytes: Buffer): string[] {
  const pieces = [0, 1, 2].flatMap((before) => {
    const digits = Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .replaceAll("=", "");
    const inner = digits.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
  });
  return [...new Set(pieces)].filter((piece) => piece.length >= leastPiece);
}
