/** Anything a model may write: no exception, no pollution, time in proportion to length, and values that come back. */

import {
  type Json,
  type JsonObject,
  parseReply,
  type ReplyFormat,
  spacedJson,
  toolDefinitions,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Processor time of this process since `start`: unlike the clock, it does not count what other processes take. */
function cpuMilliseconds(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const parameters = {
  type: "object",
  properties: {
    text: { type: "string" },
    count: { type: "integer" },
    size: { type: "number" },
    on: { type: "boolean" },
    list: { type: "array" },
    record: { type: "object" },
    maybe: { anyOf: [{ type: "integer" }, { type: "null" }] },
    either: { type: ["integer", "string"] },
    chosen: { enum: [1, 2, 3] },
    referenced: { $ref: "#/$defs/whole" },
    python: { type: "dict" },
  },
  $defs: { whole: { type: "integer" } },
};
const tools = toolDefinitions({ f: { inputSchema: parameters, execute: () => null } });
const xml = (args: Record<string, string>, name = "f") =>
  `<tool_call>\n<function=${name}>\n${Object.entries(args)
    .map(([key, value]) => `<parameter=${key}>\n${value}\n</parameter>\n`)
    .join("")}</function>\n</tool_call>`;

describe("any input", () => {
  const formats: readonly ReplyFormat[] = ["hermes", "qwen-xml", "openai", "python", "auto"];
  const valid: Record<string, string> = {
    hermes:
      '<tool_call>{"name": "f", "arguments": {"text": "a\\u00e9", "size": 1.50, "record": {"a": [1, null]}}}</tool_call>',
    "qwen-xml": xml({ text: "a", size: "1.50", record: '{"a": [1]}', list: "['x', 2]" }),
    python: "[f(text='a\\x41', size=1.50, record={'a': [1, None]}), f(text=\"b\")]",
  };
  const spice = fc.constantFrom(
    ...[
      "<tool_call>",
      "</tool_call>",
      "<function=",
      "<parameter=",
      "</parameter>",
      "</function>",
      "<think>",
      "<answer>",
    ],
    ...[
      "[".repeat(99),
      "{'a':".repeat(99),
      '{"a":'.repeat(99),
      "(",
      ")",
      "]",
      "}",
      "'",
      '"',
      "\\",
      "#",
      ",",
      "=",
      ":",
    ],
    ...[
      "9".repeat(500),
      "1e999",
      "-",
      "NaN",
      "\ud800",
      "\udfff",
      "\0",
      "__proto__",
      '"__proto__": 1,',
      "constructor",
      "\n",
    ],
  );
  const mutated = fc
    .tuple(
      fc.constantFrom(...Object.values(valid)),
      fc.array(fc.tuple(fc.nat(300), fc.nat(6), fc.oneof(spice, fc.string())), { maxLength: 6 }),
    )
    .map(([text, edits]) =>
      edits.reduce((now, [at, cut, piece]) => now.slice(0, at) + piece + now.slice(at + cut), text),
    );

  it("gives calls, typed errors and text, never an exception", () => {
    const prototype = Object.getOwnPropertyNames(Object.prototype).join();
    fc.assert(
      fc.property(mutated, fc.constantFrom(...formats), (text, format) => {
        const parsed = parseReply(text, { format, tools });
        expect(parsed.calls).toEqual(parsed.blocks.flatMap(({ call }) => (call ? [call] : [])));
        for (const { error } of parsed.blocks) if (error) expect(parsed.errors).toContain(error);
        for (const call of parsed.calls) {
          const { arguments: args, argumentsText } = call.function;
          expect(call.function.name).not.toBe("");
          expect(Object.getPrototypeOf(args)).toBe(Object.prototype);
          // The text says the same as the value.
          expect(JSON.parse(argumentsText ?? "")).toEqual(args);
          expect(JSON.stringify(args)).not.toContain('"__proto__":');
        }
      }),
      { numRuns: 3000 },
    );
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototype);
  });

  it.each(Object.keys(valid))("finds a valid call after a broken one (%s)", (name) => {
    const one = name === "python" ? "f(text='ok')" : name === "hermes" ? valid.hermes : xml({ text: "ok" });
    const broken =
      name === "python"
        ? ["f(", "f(text=)", "f(text='a)\n"]
        : ["<tool_call>{", "<tool_call><function=", "<tool_call></tool_call>"];
    for (const text of broken) {
      const source = name === "python" ? `[${one}, ${text}, ${one}]` : `${one}${text}${one}`;
      const { calls, errors } = parseReply(source, { format: name as ReplyFormat, tools });
      expect(calls).toHaveLength(2);
      expect(errors.length).toBeGreaterThan(0);
    }
  });

  it("reads arguments of any JSON back from every syntax", () => {
    const key = fc.string().filter((text) => text !== "__proto__");
    const { value } = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<Json>(null, true, false),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
        fc.string({ unit: "binary" }),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(key, value, { noNullPrototype: true }), (args) => {
        const json = spacedJson(args as JsonObject);
        const text = `<tool_call>{"name": "f", "arguments": ${json}}</tool_call>`;
        // A string that holds the closing tag ends the block: the syntax has no way to write it.
        fc.pre(!json.includes("tool_call>") && !json.includes("think>"));
        expect(parseReply(text, { format: "hermes" }).calls[0].function).toEqual({
          name: "f",
          arguments: args,
          argumentsText: json,
        });
        const message = { role: "assistant", tool_calls: [{ function: { name: "f", arguments: json } }] };
        expect(parseReply(message).calls[0].function.arguments).toEqual(args);
      }),
    );
  });

  it.each([
    ["open tags", "<tool_call>"],
    ["closed tags", "<tool_call></tool_call>"],
    ["open functions", "<tool_call><function=f><parameter=a>"],
    ["parameters", "<parameter=a>1</parameter>"],
    ["brackets", "["],
    ["braces", '{"a":'],
    ["quotes", '"'],
    ["apostrophes", "f('"],
    ["commas", ",  f"],
    ["backslashes", "\\"],
    ["digits", "9"],
    ["spaces", " \n"],
    ["thoughts", "<think>"],
    ["fences", "```"],
  ])("takes time in proportion to its length: %s", (_, piece) => {
    for (const head of [
      "",
      "[f(",
      '<tool_call>{"name": "f", "arguments": {"a": ',
      "<tool_call><function=f><parameter=list>",
    ]) {
      const timed = (length: number): number => {
        const text = (head + piece.repeat(Math.ceil(length / piece.length))).slice(0, length);
        const closed = head.startsWith("<") ? `${text}</parameter></function></tool_call>` : text;
        const start = process.cpuUsage();
        for (const format of formats) parseReply(closed, { format, tools });
        return cpuMilliseconds(start);
      };
      timed(20_000);
      // It takes some tens of milliseconds; quadratic time would be minutes.
      expect(timed(800_000)).toBeLessThan(5000);
    }
  });

  it("reads names and members without quadratic work", () => {
    const many = (count: number, separator: string, item: (i: number) => string) =>
      Array.from({ length: count }, (_, i) => item(i)).join(separator);
    const named = (count: number) => `[f(${many(count, ", ", (i) => `a${i}=1`)})]`;
    const members = (count: number) =>
      `<tool_call>{"name": "f", "arguments": {${many(count, ", ", (i) => `"a${i}": 1`)}}}</tool_call>`;
    for (const [text, count] of [
      [named, 10_000],
      [members, 1500],
    ] as const) {
      const timed = (count: number) => {
        const source = text(count);
        const start = process.cpuUsage();
        expect(parseReply(source).calls).toHaveLength(1);
        return cpuMilliseconds(start);
      };
      timed(count);
      // Linear work takes some tens of milliseconds, a comparison of each with each more than a second.
      expect(Math.min(timed(4 * count), timed(4 * count))).toBeLessThan(500);
    }
  });
});
