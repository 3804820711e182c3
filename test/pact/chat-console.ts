/** A console for tests of `pact chat`: lines go in, what is shown is kept. */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";

export interface TestConsole {
  readonly input: PassThrough;
  readonly output: PassThrough;
  readonly errors: PassThrough;
  /** Of standard output. */
  shown(): string;
  /** Of standard error. */
  told(): string;
}

/** @param lines all that is typed; left out, the input stays open */
export function testConsole(lines?: readonly string[]): TestConsole {
  const kept = { output: "", errors: "" };
  const stream = (name: keyof typeof kept) =>
    new PassThrough().on("data", (chunk) => {
      kept[name] += String(chunk);
    });
  const input = new PassThrough();
  if (lines) input.end(lines.map((line) => `${line}\n`).join(""));
  const [output, errors] = [stream("output"), stream("errors")];
  return { input, output, errors, shown: () => kept.output, told: () => kept.errors };
}

/** Where Ctrl-C comes from: `press` it. */
export class TestSignals extends EventEmitter {
  readonly exits: number[] = [];

  press(): void {
    this.emit("SIGINT");
  }

  exit(code: number): void {
    this.exits.push(code);
  }
}

/** The lines of `--json`. */
export function eventsOf(shown: string): Record<string, unknown>[] {
  return shown
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Record<string, unknown> => JSON.parse(line));
}
