/**
 * Marks around the texts of messages, so that a rendered template still says which character came from where.
 *
 *   { content: " hi <|end|> " }   →   " ⟦3⟧hi <·|end|>⟧ "   →   template   →   parts: template text, field 3 "hi <|end|>", …
 *
 * A mark is private-use characters that occur nowhere in the conversation, so no text can forge one. Spaces at a text's
 * ends stay outside, for templates that trim. Control names inside are broken by a third mark: should a template take a
 * text apart, still nobody finds one in it. Left out: templates that reorder or cut texts; they are refused.
 */
import { RenderError } from "../errors.ts";

/** A piece of rendered text: of the template, or of the field with this number. */
export interface RenderedPart {
  readonly text: string;
  readonly field?: number;
}

const BLOCK = 32;
const FIRST = 0xe000;
const LAST = 0xf8ff;

/** Writes and reads marks for one conversation. */
export class FieldMarks {
  readonly #base: number;
  readonly #open: string;
  readonly #close: string;
  readonly #break: string;
  readonly #names: RegExp | undefined;

  /**
   * @param sources every text that may reach the rendering, the template's too
   * @param controlTokens names to break
   * @throws RenderError if the texts use private-use characters of every block
   */
  constructor(sources: Iterable<string>, controlTokens: readonly string[]) {
    this.#base = freeBlock(sources);
    [this.#open, this.#close, this.#break] = [0, 1, 2].map((mark) => String.fromCharCode(this.#base + mark));
    const names = controlTokens.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    if (names.length > 0) this.#names = new RegExp(`(?=${names.join("|")})[^]`, "gu");
  }

  /** The text with its marks; a text of only spaces stays as it is. */
  mark(text: string, field: number): string {
    const core = text.trim();
    if (core === "") return text;
    const start = text.indexOf(core);
    const digits = [...field.toString(16)].map((digit) =>
      String.fromCharCode(this.#base + 16 + Number.parseInt(digit, 16)),
    );
    const broken =
      this.#names === undefined ? core : core.replace(this.#names, (first) => first + this.#break);
    return (
      text.slice(0, start) +
      this.#open +
      digits.join("") +
      broken +
      this.#close +
      text.slice(start + core.length)
    );
  }

  /** The parts of a rendered text, without marks. @throws RenderError if the template took a marked text apart. */
  parts(rendered: string): RenderedPart[] {
    const text = this.#unescape(rendered);
    const [from, to] = [this.#base, this.#base + BLOCK - 1].map((code) => String.fromCharCode(code));
    const parts: RenderedPart[] = [];
    let at = 0;
    while (at < text.length) {
      const open = text.indexOf(this.#open, at);
      const template = text.slice(at, open < 0 ? undefined : open);
      if (new RegExp(`[${from}-${to}]`).test(template)) throw takenApart(this.plain(template));
      if (template !== "") parts.push({ text: template });
      if (open < 0) break;
      const close = text.indexOf(this.#close, open);
      if (close < 0) throw takenApart(this.plain(text.slice(open)));
      const inner = text.slice(open + 1, close);
      if (inner.includes(this.#open)) throw takenApart(this.plain(inner));
      let field = 0;
      let digits = 0;
      for (; this.#digit(inner, digits) >= 0; digits++) field = field * 16 + this.#digit(inner, digits);
      parts.push({ text: this.plain(inner.slice(digits)), field });
      at = close + 1;
    }
    return parts;
  }

  /** Text without marks. */
  plain(marked: string): string {
    const [from, to] = [this.#base, this.#base + BLOCK - 1].map((code) => String.fromCharCode(code));
    return marked.replace(new RegExp(`[${from}-${to}]`, "g"), "");
  }

  #digit(text: string, index: number): number {
    const digit = text.charCodeAt(index) - this.#base - 16;
    return digit >= 0 && digit < 16 ? digit : -1;
  }

  /** JSON filters may write the marks as \uXXXX; the block is chosen so that no text spells them that way. */
  #unescape(rendered: string): string {
    return rendered.replace(/\\u([ef][0-9a-f]{3})/gi, (escaped, hex: string) => {
      const code = Number.parseInt(hex, 16);
      return code >= this.#base && code < this.#base + BLOCK ? String.fromCharCode(code) : escaped;
    });
  }
}

/** First code of 32 private-use characters of which none occurs, neither as itself nor as \uXXXX. */
function freeBlock(sources: Iterable<string>): number {
  const used = new Set<number>();
  for (const source of sources) {
    for (const [character, hex] of source.matchAll(/[\ue000-\uf8ff]|\\u([ef][0-9a-f]{3})/gi)) {
      const code = hex === undefined ? character.charCodeAt(0) : Number.parseInt(hex, 16);
      used.add(Math.floor((code - FIRST) / BLOCK));
    }
  }
  for (let block = 0; FIRST + (block + 1) * BLOCK - 1 <= LAST; block++) {
    if (!used.has(block)) return FIRST + block * BLOCK;
  }
  throw new RenderError(
    "renderConversation: the texts use private-use characters (U+E000 … U+F8FF) of every block; at least 32 in a row " +
      "must be free. Remove them from the messages.",
  );
}

function takenApart(near: string): RenderError {
  return new RenderError(
    `renderConversation: the template takes the text of a message apart, near ${JSON.stringify(near.slice(0, 80))}, so ` +
      "its origin is lost. Use a template that writes each text whole (reasoning belongs into reasoning_content).",
  );
}
