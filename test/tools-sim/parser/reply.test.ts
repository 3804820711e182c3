/** One reply in four syntaxes: what each reads, what it refuses, and that `auto` finds out. */

import { type Json, parseReply, type ReplyFormat, toolDefinitions } from "@pact/tools-sim";
import { describe, expect, it, test } from "vitest";

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

describe("Qwen3-Coder XML", () => {
  test.each<[string, string, Json, string]>([
    ["text", "10", "10", '"10"'],
    ["text", " two\nlines ", " two\nlines ", '" two\\nlines "'],
    ["text", "null", "null", '"null"'],
    ["count", "10", 10, "10"],
    ["count", "ten", "ten", '"ten"'],
    ["count", "0x1F", "0x1F", '"0x1F"'],
    ["size", "10.0", 10, "10.0"],
    ["size", "1e999", "1e999", '"1e999"'],
    ["on", "True", true, "true"],
    ["on", "yes", "yes", '"yes"'],
    ["list", "[1, 2.0]", [1, 2], "[1, 2.0]"],
    ["list", "{}", "{}", '"{}"'],
    ["list", "['a', None, 2.0]", ["a", null, 2], '["a", null, 2.0]'],
    ["record", '{"a": [{}]}', { a: [{}] }, '{"a": [{}]}'],
    ["record", "{'a': f(1)}", "{'a': f(1)}", "\"{'a': f(1)}\""],
    ["maybe", "None", null, "null"],
    ["maybe", "7", 7, "7"],
    ["either", "7", 7, "7"],
    ["either", "7a", "7a", '"7a"'],
    ["chosen", "2", 2, "2"],
    ["referenced", "2", 2, "2"],
    ["python", "{'a': True}", { a: true }, '{"a": true}'],
    ["constructor", "1", "1", '"1"'],
    ["toString", "1", "1", '"1"'],
  ])("reads %s = %j", (key, written, value, text) => {
    const { calls, errors } = parseReply(xml({ [key]: written }), { format: "qwen-xml", tools });
    expect(errors).toEqual([]);
    expect(calls).toEqual([
      {
        type: "function",
        function: { name: "f", arguments: { [key]: value }, argumentsText: `{"${key}": ${text}}` },
      },
    ]);
    expect(Object.getPrototypeOf(calls[0].function.arguments)).toBe(Object.prototype);
  });

  it("takes every value for text without a schema, and a parameter's last value", () => {
    const source = xml({ a: "1" }).replace("</function>", "<parameter=a>2</parameter></function>");
    expect(parseReply(source, { format: "qwen-xml" }).calls[0].function.arguments).toEqual({ a: "2" });
    expect(parseReply(xml({}, " g "), { format: "qwen-xml" }).calls[0].function).toMatchObject({
      name: "g",
      arguments: {},
    });
  });

  test.each<[string, string]>([
    ["invalid_syntax", "<tool_call>f(1)</tool_call>"],
    ["invalid_syntax", "<tool_call><function=f></tool_call>"],
    ["invalid_syntax", "<tool_call><function=f><parameter=a>1</function></tool_call>"],
    ["invalid_syntax", "<tool_call><function=f><parameter=a</function></parameter></tool_call>"],
    ["invalid_syntax", "<tool_call><function=f>so<parameter=a>1</parameter></function></tool_call>"],
    ["invalid_shape", "<tool_call><function=></function></tool_call>"],
    ["forbidden_key", xml(Object.fromEntries([["__proto__", "1"]]))],
    ["forbidden_key", xml({ record: '{"a": {"__proto__": 1}}' })],
    ["unclosed_call", "<tool_call><function=f></function>"],
    ["too_long", xml({ text: "x".repeat(200_000) })],
  ])("reports %s and keeps the calls around it (%#)", (kind, broken) => {
    const good = xml({ count: "1" });
    const { blocks, calls } = parseReply(`${good}${broken}${good}`, { format: "qwen-xml", tools });
    expect(blocks.map(({ error }) => error?.kind)).toEqual([undefined, kind, undefined]);
    expect(blocks[1].error?.at).toBe(good.length);
    expect(calls.map((call) => call.function.arguments)).toEqual([{ count: 1 }, { count: 1 }]);
  });
});

describe("Python lists", () => {
  it("names positional arguments by the tool, and keeps int and float apart", () => {
    const source = "<think>so</think>[f('x', 10, size=10.0, record={'a': (1, None)}), g(True), f(1, text=2)]";
    const { blocks, reasoning, text } = parseReply(source, { format: "python", tools });
    expect({ reasoning, text }).toEqual({ reasoning: "so", text: "" });
    expect(blocks[0].call?.function).toEqual({
      name: "f",
      arguments: { text: "x", count: 10, size: 10, record: { a: [1, null] } },
      argumentsText: '{"text": "x", "count": 10, "size": 10.0, "record": {"a": [1, null]}}',
    });
    expect(blocks.slice(1).map(({ error }) => error?.message)).toEqual([
      "positional arguments of an unknown tool",
      "an argument is given by position and by name",
    ]);
  });

  test.each<[string, string]>([
    ["f(a=g(1))", "invalid_shape"],
    ["f(a={1, 2})", "invalid_shape"],
    ["f(a=1e999)", "invalid_shape"],
    [`f(a=${"9".repeat(399)})`, "invalid_shape"],
    ["f(a={'__proto__': 1})", "forbidden_key"],
    ["f(__proto__=1)", "forbidden_key"],
    ["f(a=", "invalid_syntax"],
  ])("refuses %s", (broken, kind) => {
    const { blocks, calls } = parseReply(`[f(a=1), ${broken}, f(a=2)]`, { format: "python" });
    expect(blocks[1].error?.kind).toBe(kind);
    expect(calls.map((call) => call.function.arguments)).toEqual([{ a: 1 }, { a: 2 }]);
    expect(blocks[0].error).toBeUndefined();
  });

  it("takes constructor for a name like any other", () => {
    const [{ function: fn }] = parseReply("[f(constructor={'prototype': {'polluted': 1}})]", {
      format: "python",
    }).calls;
    expect(fn.arguments).toEqual({ constructor: { prototype: { polluted: 1 } } });
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});

describe("auto", () => {
  const hermes = '<tool_call>{"name": "f", "arguments": {"count": 1}}</tool_call>';
  const message = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "a", function: { name: "f", arguments: '{"count": 1}' } }],
  };
  test.each<[string, unknown, ReplyFormat]>([
    ["Hermes JSON", hermes, "hermes"],
    ["Qwen3-Coder XML", xml({ count: "1" }), "qwen-xml"],
    ["a Python list", "[f(count=1)]", "python"],
    ["a fenced Python list", "```python\n[f(count=1)]\n```", "python"],
    ["tool_calls", message, "openai"],
  ])("reads %s, as the format of that name does", (_, source, format) => {
    const parsed = parseReply(source, { tools });
    expect(parsed.calls.map((call) => call.function.arguments)).toEqual([{ count: 1 }]);
    expect(parseReply(source, { format, tools })).toEqual(parsed);
  });

  test.each<[string, unknown, ReplyFormat]>([
    ["XML", xml({ count: "1" }), "hermes"],
    ["Hermes JSON", hermes, "qwen-xml"],
    ["Hermes JSON", hermes, "python"],
    ["a Python list", "[f(count=1)]", "hermes"],
    ["Hermes JSON", { role: "assistant", content: hermes }, "openai"],
  ])("is needed to read %s otherwise (%#)", (_, source, format) => {
    expect(parseReply(source, { format, tools }).calls).toEqual([]);
  });

  it("takes both tagged syntaxes in one reply, and the content of a message without calls", () => {
    const content = `so ${hermes}${xml({ count: "1" })}`;
    const parsed = parseReply({ role: "assistant", content, reasoning_content: "r" }, { tools });
    expect(parsed.calls).toHaveLength(2);
    expect(parsed).toMatchObject({ text: "so", reasoning: "r", errors: [] });
  });

  it("leaves prose alone", () => {
    for (const text of ["Done (mostly).", "[see the list (below)]", "[1, 2]", "", "{}", "[]"])
      expect(parseReply(text)).toMatchObject({ blocks: [], text });
  });
});
