/** `pact play`: a person's lines, what the environment answers, and how it ends. */
import { PassThrough } from "node:stream";
import { openSuite, suiteIds } from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { play } from "../../packages/pact/src/cli/play.ts";
import { playPositional } from "../../packages/pact/src/cli/play-options.ts";
import { main } from "../../packages/pact/src/cli.ts";

/** Types the lines and returns what was shown with the exit code. */
async function type(
  args: readonly string[],
  lines: readonly string[],
): Promise<{ code: number; shown: string }> {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = "";
  output.on("data", (chunk) => {
    shown += String(chunk);
  });
  input.end(lines.map((line) => `${line}\n`).join(""));
  const code = await play(args, { input, output });
  return { code, shown };
}

const { task } = openSuite("ftrl-like", { seed: 1, count: 1 }).tasks[0];
const trace = task!.trace!;
const expertLines = [
  ...trace.turns.map((turn) =>
    turn.calls
      .map(({ function: { name, arguments: args } }) => {
        const named = Object.entries(args).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
        return `${name}(${named.join(", ")})`;
      })
      .join(", "),
  ),
  `/answer ${trace.final.answer}`,
];

describe("pact play", () => {
  it("plays the expert's calls in Python's syntax to the end", async () => {
    const { code, shown } = await type(["ftrl-like"], expertLines);
    expect(code).toBe(0);
    expect(shown).toContain(task!.messages.at(-1)!.content.split("\n")[0]);
    expect(shown).toContain(trace.turns.at(-1)!.observations.at(-1));
    expect(shown).toMatch(/^> ?solved, value \d\.\d{3}, stop reason answer$/m);
  });

  it("takes raw text as a model writes it", async () => {
    const { shown } = await type(
      ["ftrl-like"],
      ['<tool_call>{"name": "nope", "arguments": {}}</tool_call>', "/answer x"],
    );
    expect(shown).toContain('"error": "unknown tool"');
    expect(shown).toContain("not solved");
  });

  it("has commands, and leaves when asked or when the input ends", async () => {
    const { code, shown } = await type(
      ["ftrl-like", "--task", "2"],
      ["/help", "/tools", "/dance", "/quit", "never read"],
    );
    expect(code).toBe(0);
    expect(shown).toContain("/answer text      give the final answer");
    expect(shown).toContain("unknown command /dance");
    expect(shown).toContain("stop reason left");
    expect((await type(["ftrl-like"], [])).shown).toContain("stop reason left");
  });

  it("ends no episode because of a slip", async () => {
    const { shown } = await type(["ftrl-like"], ["help", "foo(", "f(1)(2)", "/answer x"]);
    expect(shown).toContain("not a call: help. To answer in words: /say");
    expect(shown.match(/not a call/g)).toHaveLength(3);
    expect(shown).toContain("stop reason answer");
    expect((await type(["ftrl-like"], ["/say I give up"])).shown).toContain("stop reason no_call");
  });

  it("shows no control characters of a tool or a person", async () => {
    const { shown } = await type(["ftrl-like"], ["/\u001b[2Jx", "/quit"]);
    expect(shown.split("").some((c) => c.charCodeAt(0) === 27)).toBe(false);
  });

  it("names what is wrong with the command line", async () => {
    const run = async (...args: string[]) => {
      const errors: string[] = [];
      const code = await main(["play", ...args], { out: () => {}, error: (text) => errors.push(text) });
      return { code, message: errors.join("") };
    };
    expect(await run()).toMatchObject({ code: 2, message: expect.stringContaining("no environment given") });
    expect(await run("ftrllike")).toMatchObject({
      code: 2,
      message: expect.stringContaining("Did you mean ftrl-like?"),
    });
    expect(await run("ftrl-like", "--sed", "1")).toMatchObject({
      code: 2,
      message: expect.stringContaining("--seed"),
    });
    expect(await run("bfcl")).toMatchObject({
      code: 1,
      message: expect.stringContaining("needs the published data"),
    });
  });

  it("knows every environment there is", () => {
    expect([...playPositional.choices].sort()).toEqual([...suiteIds].sort());
  });

  it("explains itself", async () => {
    const shown: string[] = [];
    expect(await main(["play", "--help"], { out: (text) => shown.push(text), error: () => {} })).toBe(0);
    expect(shown.join("")).toContain("Usage: pact play <env> [options]");
  });
});
