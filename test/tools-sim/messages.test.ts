/** OpenAI chat messages: what is read, what is refused as a value, and that ids pair one-to-one. */

import {
  conversationToOpenAI,
  fromOpenAI,
  type Message,
  parseLimits,
  parseMessage,
  toOpenAI,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

const wire = (args: unknown, id: unknown = "a") => ({
  id,
  type: "function",
  function: { name: "f", arguments: args },
});
const reply = (...tool_calls: unknown[]) => ({ role: "assistant", content: null, tool_calls });

describe("fromOpenAI", () => {
  it("reads calls, with arguments as text or as an object", () => {
    const { message, errors } = fromOpenAI(
      reply(wire('{"x": 1.0}'), wire({ x: 1 }, "b"), wire("", "c"), wire(null, "d")),
    );
    expect(errors).toEqual([]);
    expect(message).toEqual({
      role: "assistant",
      content: "",
      tool_calls: [
        {
          id: "a",
          type: "function",
          function: { name: "f", arguments: { x: 1 }, argumentsText: '{"x": 1.0}' },
        },
        { id: "b", type: "function", function: { name: "f", arguments: { x: 1 } } },
        { id: "c", type: "function", function: { name: "f", arguments: {}, argumentsText: "{}" } },
        { id: "d", type: "function", function: { name: "f", arguments: {} } },
      ],
    });
  });

  test.each<[Record<string, unknown>, Partial<Message>]>([
    [
      { role: "developer", content: "x" },
      { role: "system", content: "x" },
    ],
    [{ role: "user", content: [{ type: "text", text: "a" }, "b"] }, { content: "ab" }],
    [{ role: "assistant", content: null, refusal: "no" }, { content: "no" }],
    [{ role: "assistant", content: [{ type: "refusal", refusal: "no" }] }, { content: "no" }],
    [{ role: "assistant", content: "x", reasoning: "r" }, { reasoning_content: "r" }],
    [
      { role: "tool", content: "x", tool_call_id: "1", name: "f" },
      { role: "tool", tool_call_id: "1", name: "f" },
    ],
  ])("reads %j", (source, message) => {
    expect(fromOpenAI(source)).toMatchObject({ message, errors: [], blocks: [] });
  });

  test.each<[unknown, string, RegExp]>([
    [null, "invalid_shape", /not an object/],
    ["text", "invalid_shape", /not an object/],
    [{ role: "judge", content: "" }, "invalid_shape", /"role"/],
    [{ role: "user", content: 7 }, "invalid_shape", /"content"/],
    [
      { role: "user", content: [{ type: "image_url", image_url: {} }] },
      "unsupported_content",
      /without text/,
    ],
    [{ role: "user", content: "x".repeat(parseLimits.textLength + 1) }, "too_long", /are read/],
    [{ role: "assistant", content: "", tool_calls: {} }, "invalid_shape", /"tool_calls"/],
    [
      {
        get role() {
          throw new Error("hidden");
        },
      },
      "invalid_shape",
      /can not be read/,
    ],
  ])("says what is wrong with a message (%#)", (source, kind, message) => {
    const { errors } = fromOpenAI(source);
    expect(errors).toMatchObject([{ kind, message: expect.stringMatching(message) }]);
  });

  test.each<[unknown, string]>([
    [7, "invalid_shape"],
    [{ id: "b" }, "invalid_shape"],
    [{ id: "b", function: { arguments: "{}" } }, "invalid_shape"],
    [wire("{", "b"), "invalid_json"],
    [wire('{"x": 1e999}', "b"), "invalid_json"],
    [wire("[1]", "b"), "invalid_shape"],
    [wire('{"a": [{"__proto__": 1}]}', "b"), "forbidden_key"],
    [wire(JSON.parse('{"__proto__": 1}'), "b"), "forbidden_key"],
    [wire(`{"x": ${"[".repeat(parseLimits.depth)}${"]".repeat(parseLimits.depth)}}`, "b"), "too_deep"],
    [wire(`{"x": "${"x".repeat(parseLimits.callLength)}"}`, "b"), "too_long"],
    [wire({ x: 1n }, "b"), "invalid_shape"],
  ])("keeps the calls around a broken one (%#)", (broken, kind) => {
    const { message, blocks, errors } = fromOpenAI(reply(wire("{}", "a"), broken, wire("{}", "c")));
    expect(message.tool_calls?.map(({ id }) => id)).toEqual(["a", "c"]);
    expect(blocks.map(({ error }) => error?.kind)).toEqual([undefined, kind, undefined]);
    expect(errors).toEqual([blocks[1].error]);
    expect(errors[0]).toMatchObject({ at: 1, callId: broken === 7 ? "call_1" : "b" });
  });

  it("gives every call an id of its own", () => {
    const { blocks } = fromOpenAI(
      reply(wire("{}", "call_1"), wire("{}", ""), wire("{", "call_1"), wire("{}", 5)),
    );
    const ids = blocks.map(({ call, error }) => call?.id ?? error?.callId);
    expect(ids[0]).toBe("call_1");
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain("");
  });

  it("reads a bounded number of calls", () => {
    const { message, errors } = fromOpenAI(reply(...new Array(parseLimits.calls + 9).fill(wire("{}", ""))));
    expect(message.tool_calls).toHaveLength(parseLimits.calls);
    expect(errors.map(({ kind }) => kind)).toEqual(["too_many_calls"]);
  });

  it("never throws, and its messages come back from the wire as they are", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), fc.anything(), (content, id, name, args) => {
        fromOpenAI(content);
        const { message } = fromOpenAI({
          role: "assistant",
          content,
          reasoning: name,
          tool_calls: [{ id, function: { name, arguments: args } }],
        });
        const again = fromOpenAI(JSON.parse(JSON.stringify(toOpenAI(message))));
        expect(again.errors).toEqual([]);
        expect(again.message.tool_calls?.map((call) => call.function.arguments)).toEqual(
          message.tool_calls?.map((call) => JSON.parse(JSON.stringify(call.function.arguments))),
        );
        expect(again.message.content).toBe(message.content);
      }),
      { numRuns: 500 },
    );
  });
});

describe("toOpenAI", () => {
  it("writes arguments as the model did", () => {
    const { message } = fromOpenAI(reply(wire('{"x":  1.0}'), wire({ x: 1 }, "b")));
    expect(toOpenAI(message)).toEqual({
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "a", type: "function", function: { name: "f", arguments: '{"x":  1.0}' } },
        { id: "b", type: "function", function: { name: "f", arguments: '{"x": 1}' } },
      ],
    });
  });
});

describe("conversationToOpenAI", () => {
  const call = (id?: string) => ({
    ...(id === undefined ? {} : { id }),
    type: "function" as const,
    function: { name: "f", arguments: {} },
  });
  const paired = (messages: Message[]) => {
    const out = conversationToOpenAI(messages);
    const asked = out.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id));
    const answered = out.filter(({ role }) => role === "tool").map(({ tool_call_id }) => tool_call_id);
    return { out, asked, answered };
  };

  it("pairs calls and results that have no ids in their order", () => {
    const { asked, answered } = paired([
      { role: "user", content: "q" },
      { role: "assistant", content: "", tool_calls: [call(), call()] },
      { role: "tool", name: "f", content: "1" },
      { role: "tool", name: "f", content: "2" },
      { role: "assistant", content: "", tool_calls: [call()] },
      { role: "tool", name: "f", content: "3" },
    ]);
    expect(answered).toEqual(asked);
    expect(new Set(asked).size).toBe(3);
  });

  it("gives the error of a broken call a call with empty arguments", () => {
    const { message, blocks } = fromOpenAI(reply(wire("{", "a"), wire("{}", "b")));
    const { out, asked, answered } = paired([
      message,
      { role: "tool", content: "broken", tool_call_id: blocks[0].error?.callId },
      { role: "tool", name: "f", content: "1", tool_call_id: "b" },
    ]);
    expect([...asked].sort()).toEqual([...answered].sort());
    expect(out[0].tool_calls?.[1]).toEqual({
      id: "a",
      type: "function",
      function: { name: "unreadable_call", arguments: "{}" },
    });
    expect(message.tool_calls).toHaveLength(1);
  });
});

describe("parseMessage", () => {
  it("has broken calls as blocks, and falls back to the text without tool_calls", () => {
    const parsed = parseMessage(reply(wire("{"), wire("{}", "b")) as unknown as Message);
    expect(parsed.blocks.map(({ error }) => error?.kind)).toEqual(["invalid_json", undefined]);
    const text = '<tool_call>{"name": "f", "arguments": {"x": 1.0}}</tool_call>';
    expect(parseMessage({ role: "assistant", content: text }).calls[0].function.argumentsText).toBe(
      '{"x": 1.0}',
    );
  });
});
