/**
 * The terminal, by hand: the few ANSI sequences used here, colours that respect NO_COLOR, and a block of lines that
 * is redrawn in place. Everything that writes an escape sequence is in this file.
 *
 * The sequences are those of ECMA-48: CSI n A (cursor up), CSI 0 J (erase to the end), CSI … m (colour), and the
 * private mode ?25 (cursor), which is off only while a block is being written: a killed process hides nothing.
 */

/** What is needed of `process.stdout` or `process.stderr`. */
export interface TextStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

/** The colours used, by meaning. */
export type Style = "bold" | "dim" | "good" | "bad" | "accent";

const codes: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  bad: [31, 39],
  accent: [36, 39],
};

/** Wraps text in a colour, or returns it unchanged. */
export type Paint = (style: Style, text: string) => string;

/** True if the stream can be redrawn in place: a terminal, and one that understands ANSI sequences. */
export function isLive(stream: TextStream, environment: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && environment.TERM !== "dumb";
}

/** Colours for a live terminal; the identity elsewhere and when NO_COLOR is set and not empty (no-color.org). */
export function painter(stream: TextStream, environment: NodeJS.ProcessEnv = process.env): Paint {
  if (!isLive(stream, environment) || (environment.NO_COLOR ?? "") !== "") return (_, text) => text;
  return (style, text) => `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m`;
}

const escapeCharacter = String.fromCharCode(27);
const colourSequence = new RegExp(`${escapeCharacter}\\[[0-9]+m`, "g");

/** Number of columns a text takes. NOTE: counts UTF-16 units; what is drawn here has no wide characters. */
export function visibleLength(text: string): number {
  return text.replace(colourSequence, "").length;
}

/** Cuts a coloured text to `columns` visible characters; a cut text ends in `…` and with its colours closed. */
export function cutTo(text: string, columns: number): string {
  if (visibleLength(text) <= columns) return text;
  let kept = "";
  let room = Math.max(0, columns - 1);
  let last = 0;
  for (const match of text.matchAll(colourSequence)) {
    const plain = text.slice(last, match.index).slice(0, room);
    kept += plain + match[0];
    room -= plain.length;
    last = match.index + match[0].length;
  }
  return `${kept}${text.slice(last).slice(0, room)}${columns > 0 ? "…" : ""}`;
}

/** Replaces control characters (escape sequences of untrusted text among them) by spaces. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

/**
 * A block of lines at the end of a terminal's output that is redrawn in place.
 *
 * `draw` receives the number of columns and returns the lines; each is cut to one row. `print` writes lasting lines
 * above the block. `close` draws it a last time, leaves it on the screen and restores the cursor.
 */
export class LiveBlock {
  readonly #stream: TextStream;
  readonly #draw: (columns: number) => readonly string[];
  #widths: readonly number[] = [];
  #open = false;
  readonly #onResize = (): void => this.update();

  constructor(stream: TextStream, draw: (columns: number) => readonly string[]) {
    this.#stream = stream;
    this.#draw = draw;
  }

  /** Redraws the block; the first call opens it. */
  update(): void {
    if (!this.#open) {
      this.#open = true;
      this.#stream.on?.("resize", this.#onResize);
    }
    const columns = this.#columns();
    const lines = this.#draw(columns).map((line) => cutTo(line, columns - 1));
    this.#stream.write(`\u001b[?25l${this.#erase()}${lines.map((line) => `${line}\n`).join("")}\u001b[?25h`);
    this.#widths = lines.map(visibleLength);
  }

  /** Writes lasting lines above the block. */
  print(text: string): void {
    if (!this.#open) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`${this.#erase()}${text}\n`);
    this.#widths = [];
    this.update();
  }

  /** Leaves the block as it is on the screen and stops listening. Idempotent. */
  close(): void {
    if (!this.#open) return;
    this.update();
    this.#stream.off?.("resize", this.#onResize);
    this.#open = false;
    this.#widths = [];
  }

  #columns(): number {
    return Math.max(20, this.#stream.columns ?? 80);
  }

  /** Moves to the block's first row. NOTE: a terminal made narrower has wrapped the old lines: count their rows anew. */
  #erase(): string {
    const columns = this.#columns();
    const rows = this.#widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? "" : `\r\u001b[${rows}A\u001b[0J`;
  }
}
