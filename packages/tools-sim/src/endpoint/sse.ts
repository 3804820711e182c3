/**
 * Server-sent events, as far as chat completions use them: the `data` of each event. Bytes come in pieces that may split
 * lines, line ends and characters; every byte is looked at once.
 *
 * Format: "Server-sent events" of the HTML standard (WHATWG). Left out: event names, ids and reconnection times, which
 * these streams do not use. A last event without its blank line counts, since servers end streams that way.
 */

/** Takes bytes and gives back the events that they complete. */
export class SseReader {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #line: string[] = [];
  #data: string[] = [];
  #afterReturn = false;

  /**
   * The `data` of each event that ends in these bytes.
   *
   * @throws TypeError for bytes that are not UTF-8
   */
  push(bytes: Uint8Array): string[] {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The event that the end of the stream completes, if there is one; the same error. */
  end(): string[] {
    return [...this.#read(this.#decoder.decode()), ...this.#read("\n\n")];
  }

  #read(text: string): string[] {
    if (text === "") return [];
    // A line end that was split between two pieces is one line end.
    const rest = this.#afterReturn && text.startsWith("\n") ? text.slice(1) : text;
    this.#afterReturn = text.endsWith("\r");
    const pieces = rest.split(/\r\n|\n|\r/);
    const events: string[] = [];
    for (const [i, piece] of pieces.entries()) {
      this.#line.push(piece);
      if (i === pieces.length - 1) break;
      const line = this.#line.join("");
      this.#line = [];
      if (line === "") {
        if (this.#data.length > 0) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    }
    return events;
  }
}
