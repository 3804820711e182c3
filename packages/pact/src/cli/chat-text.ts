/**
 * A model's text on its way to a terminal: untrusted, in pieces. Control characters become visible (an escape sequence
 * could rewrite the screen), reasoning is dimmed and calls are highlighted wherever the pieces are cut.
 */
import type { Paint, Style } from "./terminal.ts";

/** Control characters but line break and tab, and the marks that turn the direction of text. */
const unsafe = /[^\P{Cc}\n\t]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Text that can do nothing to a terminal but fill it.
 *
 * @example harmless("\u001b[2J") // "\\x1b[2J"
 */
export function harmless(text: string): string {
  return text.replace(unsafe, (character) => {
    const code = character.charCodeAt(0);
    const [mark, digits] = code > 0xff ? ["\\u", 4] : ["\\x", 2];
    return `${mark}${code.toString(16).padStart(Number(digits), "0")}`;
  });
}

/** A JSON line with no character that a terminal acts upon: JSON itself leaves DEL and C1 as they are. */
export function jsonLine(value: unknown): string {
  const escaped = JSON.stringify(value).replace(/[\u007f-\u009f]/g, (character) => {
    return `\\u00${character.charCodeAt(0).toString(16)}`;
  });
  return `${escaped}\n`;
}

const tags: Readonly<Record<string, Style | "plain">> = {
  "<think>": "dim",
  "</think>": "plain",
  "<tool_call>": "accent",
  "</tool_call>": "plain",
};
const names = Object.keys(tags);
const cut = new RegExp(`(${names.join("|")})`);

/** One reply as it comes. Lines after the first begin with `margin`. */
export class ReplyText {
  readonly #paint: Paint;
  readonly #margin: string;
  #style: Style | "plain" = "plain";
  /** The end of what came, as long as it may be the beginning of a tag. */
  #held = "";

  constructor(paint: Paint, margin = "") {
    this.#paint = paint;
    this.#margin = margin;
  }

  /** What to write for a further piece of text. */
  push(text: string): string {
    const pieces = (this.#held + text).split(cut);
    const last = pieces.length - 1;
    this.#held = beginningOfTag(pieces[last]);
    pieces[last] = pieces[last].slice(0, pieces[last].length - this.#held.length);
    return pieces.map((piece) => this.#write(piece)).join("");
  }

  /** What is still held back; nothing more comes. */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return this.#write(held);
  }

  #write(piece: string): string {
    const style = Object.hasOwn(tags, piece) ? tags[piece] : undefined;
    // A closing tag still belongs to what it closes.
    if (style !== undefined && style !== "plain") this.#style = style;
    const current = this.#style;
    if (style === "plain") this.#style = "plain";
    if (piece === "") return "";
    const shown = harmless(piece).replaceAll("\n", `\n${this.#margin}`);
    return current === "plain" ? shown : this.#paint(current, shown);
  }
}

/** The longest end of a text that begins a tag without being one. */
function beginningOfTag(text: string): string {
  const at = text.lastIndexOf("<");
  const end = at < 0 ? "" : text.slice(at);
  return end !== "" && names.some((name) => name.startsWith(end)) ? end : "";
}
