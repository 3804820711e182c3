/** Where messages of `pact chat` come from: a pipe, and a terminal (a stream that says it is one). */
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { ChatInput, type Entry } from "../../packages/pact/src/cli/chat-input.ts";

async function allOf(input: ChatInput): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const entry = await input.next("> ");
    entries.push(entry);
    if (entry.kind === "end") return entries;
  }
}

const texts = (entries: readonly Entry[]) =>
  entries.map((entry) => ("text" in entry ? entry.text : entry.kind));

/** A terminal: what `type` writes comes as keys. */
function terminal() {
  const keys = Object.assign(new PassThrough(), { isTTY: true });
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = "";
  screen.on("data", (chunk) => {
    shown += String(chunk);
  });
  return {
    input: new ChatInput(keys, screen),
    type: (text: string) => keys.write(text),
    shown: () => shown,
    keys,
  };
}

describe("from a pipe", () => {
  const read = async (text: string) => {
    const input = new PassThrough();
    const output = new PassThrough();
    input.end(text);
    const chat = new ChatInput(input, output);
    expect(chat.isTerminal).toBe(false);
    const found = texts(await allOf(chat));
    expect(output.read()).toBeNull(); // no prompt, no echo
    return found;
  };

  it("every line is a message", async () => {
    expect(await read("one\n\n two \r\nthree")).toEqual(["one", "", " two ", "three", "end"]);
  });

  it("fences and backslashes join lines", async () => {
    expect(await read('"""a\n b\nc"""\nd\\\ne\n"""f"""\n')).toEqual(["a\n b\nc", "d\ne", "f", "end"]);
  });

  it("a message that is not finished ends with the input", async () => {
    expect(await read('"""a\nb')).toEqual(["a\nb", "end"]);
    expect(await read("a\\")).toEqual(["a\\", "end"]);
  });
});

describe("at a terminal", () => {
  it("asks with the prompt, edits, and every key counts once", async () => {
    const { input, type, shown } = terminal();
    for (const [typed, text] of [
      ["helo\u007flo\r", "hello"],
      ["two\r", "two"],
      ["\u001b[A\r", "two"],
      ["\u001b[A\u001b[A\r", "hello"],
    ]) {
      const next = input.next("> ");
      type(typed);
      expect(await next).toEqual({ kind: "message", text });
    }
    expect(shown()).toContain("> ");
  });

  it("hands out pasted lines one by one, and what stands behind them stays", async () => {
    const { input, type } = terminal();
    const first = input.next("> ");
    type("one\rtwo\rthr");
    expect(await first).toEqual({ kind: "message", text: "one" });
    expect(await input.next("> ")).toEqual({ kind: "message", text: "two" });
    const last = input.next("> ");
    type("ee\r");
    expect(await last).toEqual({ kind: "message", text: "three" });
  });

  it("Ctrl-C drops the line, Ctrl-D ends the input", async () => {
    const { input, type } = terminal();
    let next = input.next("> ");
    type("never mind\u0003");
    expect(await next).toEqual({ kind: "interrupt" });
    next = input.next("> ");
    type('"""a\r');
    await new Promise((resolve) => setTimeout(resolve, 20));
    type("\u0003");
    expect(await next).toEqual({ kind: "interrupt" });
    next = input.next("> ");
    type("\u0004");
    expect(await next).toEqual({ kind: "end" });
    expect(await input.next("> ")).toEqual({ kind: "end" });
  });
});
