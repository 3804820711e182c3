/**
 * Where messages come from: lines of a terminal, with editing and history, or of a pipe. A message that begins with `"""`
 * lasts until `"""`; a line that ends in a backslash goes on.
 *
 * On a terminal the line editor is there only while a line is asked for. In between the terminal is in its usual mode, so
 * that Ctrl-C is a signal, and what is typed waits.
 */
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** Where a person or a script sits; tests bring their own. */
export interface ChatConsole {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly errors: Writable & { readonly isTTY?: boolean };
}

/** A message, Ctrl-C in place of one, or the end of the input. */
export type Entry =
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "interrupt" }
  | { readonly kind: "end" };

type Line = string | undefined | typeof interrupt;
const interrupt = Symbol("Ctrl-C");
const fence = '"""';

/** Reads messages. `close` it, or a terminal stays open. */
export class ChatInput {
  readonly isTerminal: boolean;
  readonly #input: ChatConsole["input"];
  readonly #output: Writable;
  /** Lines that came with an earlier one, as when several are pasted. */
  readonly #waiting: string[] = [];
  #history: string[] = [];
  /** What was typed behind the last line break. */
  #unfinished = "";
  #ended = false;
  #pipe: Interface | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** @param output where a terminal's prompt and echo go */
  constructor(input: ChatConsole["input"], output: Writable & { readonly isTTY?: boolean }) {
    this.#input = input;
    this.#output = output;
    this.isTerminal = input.isTTY === true && output.isTTY === true;
  }

  /** The next message; `prompt` is shown on a terminal only. */
  async next(prompt: string): Promise<Entry> {
    let line = await this.#line(prompt);
    if (typeof line !== "string") return noMessage(line);
    const isFenced = line.trimStart().startsWith(fence);
    if (isFenced) line = line.trimStart().slice(fence.length);
    const goesOn = (last: string) => (isFenced ? !last.trimEnd().endsWith(fence) : last.endsWith("\\"));
    const parts = [line];
    while (goesOn(parts[parts.length - 1])) {
      const more = await this.#line("… ");
      if (more === interrupt) return noMessage(more);
      // An input that ends inside of a message ends the message.
      if (more === undefined) break;
      if (!isFenced) parts[parts.length - 1] = parts[parts.length - 1].slice(0, -1);
      parts.push(more);
    }
    const text = parts.join("\n");
    if (!isFenced) return { kind: "message", text };
    const whole = text.trimEnd();
    return { kind: "message", text: whole.endsWith(fence) ? whole.slice(0, -fence.length) : whole };
  }

  close(): void {
    this.#pipe?.close();
  }

  #line(prompt: string): Promise<Line> {
    return this.isTerminal ? this.#ask(prompt) : this.#read();
  }

  async #read(): Promise<Line> {
    this.#pipe ??= createInterface({ input: this.#input, terminal: false });
    this.#lines ??= this.#pipe[Symbol.asyncIterator]();
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  #ask(prompt: string): Promise<Line> {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      this.#output.write(`${prompt}${waiting}\n`);
      return Promise.resolve(waiting);
    }
    if (this.#ended) return Promise.resolve(undefined);
    const lines = createInterface({
      input: this.#input,
      output: this.#output,
      terminal: true,
      prompt,
      history: this.#history,
    });
    lines.on("history", (history: string[]) => {
      this.#history = history;
    });
    return new Promise((resolve) => {
      const end = (): void => {
        this.#ended = true;
        this.#output.write("\n");
        resolve(undefined);
      };
      const finish = (line: Line): void => {
        lines.off("close", end);
        this.#unfinished = line === interrupt ? "" : lines.line;
        lines.close();
        resolve(line);
      };
      lines.on("line", (line) => {
        // Lines of one chunk come in one go; the editor must not be closed before the last of them.
        if (this.#waiting.push(line) === 1) setImmediate(() => finish(this.#waiting.shift()));
      });
      lines.on("SIGINT", () => {
        this.#output.write("^C\n");
        finish(interrupt);
      });
      lines.on("close", end);
      lines.prompt();
      if (this.#unfinished !== "") lines.write(this.#unfinished);
    });
  }
}

function noMessage(line: undefined | typeof interrupt): Entry {
  return { kind: line === interrupt ? "interrupt" : "end" };
}
