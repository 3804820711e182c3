/**
 * Text that grows token by token: characters whose bytes are spread over tokens wait for the last of them, and the text
 * ends before the first stop string, wherever token boundaries fall. Only the newest tokens are decoded at each step, with
 * those before them as context, as some tokenizers treat a first token differently.
 */

/** The part of a tokenizer that text needs. */
export type Decoder = { decode(ids: number[]): string };

/** An incomplete character at the end, as decoders show it. */
const incomplete = /\uFFFD+$/;

/** The text of one row. `push` each token, `end` after the last. */
export class TextStream {
  /** True once a stop string has appeared; the text ends before it. */
  stopped = false;
  private readonly decoder: Decoder;
  private readonly stops: readonly string[];
  private readonly ids: number[] = [];
  private context = 0; // tokens from here on are decoded
  private read = 0; // tokens before here are in `text`
  private text = "";
  private given = 0; // characters of `text` handed out

  constructor(decoder: Decoder, stops: readonly string[]) {
    this.decoder = decoder;
    this.stops = stops;
  }

  /** Takes a token and returns the characters that are now certain: no later token can make them part of a stop string. */
  push(id: number): string {
    this.ids.push(id);
    const fresh = this.fresh();
    const complete = fresh.replace(incomplete, "");
    const seen = this.text + complete;
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length));
    const from = Math.max(0, this.text.length - longest + 1);
    const found = this.stops.map((stop) => seen.indexOf(stop, from)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      this.text = seen.slice(0, Math.min(...found));
      return this.give(this.text.length);
    }
    if (fresh !== "" && complete === fresh) {
      this.text = seen;
      this.context = this.read;
      this.read = this.ids.length;
    }
    return this.give(this.text.length - this.beginning());
  }

  /** The characters still held back; nothing more comes. */
  end(): string {
    if (!this.stopped) this.text += this.fresh();
    this.read = this.ids.length;
    return this.give(this.text.length);
  }

  /** What the tokens not yet in the text add to it. */
  private fresh(): string {
    const known = this.decoder.decode(this.ids.slice(this.context, this.read));
    return this.decoder.decode(this.ids.slice(this.context)).slice(known.length);
  }

  private give(until: number): string {
    const part = this.text.slice(this.given, until);
    this.given = Math.max(this.given, until);
    return part;
  }

  /** Length of the longest end of the text that begins a stop string. */
  private beginning(): number {
    let length = 0;
    for (const stop of this.stops)
      for (let n = length + 1; n < stop.length; n++) if (this.text.endsWith(stop.slice(0, n))) length = n;
    return length;
  }
}
