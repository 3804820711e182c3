import { assistantText, ftrlLike, parseAssistant, parseLimits, spacedJson } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const good = '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>';
const goodCall = {
  type: "function",
  function: { name: "f", arguments: { x: 1 }, argumentsText: '{"x": 1}' },
};
const kinds = (text: string) => parseAssistant(text).errors.map((error) => error.kind);

describe("parseAssistant", () => {
  it("reads reasoning, calls, text and answer", () => {
    expect(parseAssistant(`<think> why </think>\nnow ${good}\n${good} <answer> 42 </answer> bye`)).toEqual({
      reasoning: "why",
      calls: [goodCall, goodCall],
      blocks: [{ call: goodCall }, { call: goodCall }],
      errors: [],
      text: "now \n  bye",
      answer: "42",
    });
  });

  it("reads arguments that are JSON in a string, and keeps their text", () => {
    const text = '<tool_call>{"name": "f", "arguments": "{\\"x\\": 1.0}"}</tool_call>';
    expect(parseAssistant(text)).toMatchObject({
      calls: [
        { type: "function", function: { name: "f", arguments: { x: 1 }, argumentsText: '{"x": 1.0}' } },
      ],
      errors: [],
    });
  });

  it("is the inverse of assistantText", () => {
    for (const task of ftrlLike.generate({ seed: 1, split: "train", count: 50 }))
      for (const turn of task.trace?.turns ?? []) {
        const parsed = parseAssistant(assistantText(turn));
        expect(parsed.calls).toEqual(
          turn.calls.map((call) => ({
            ...call,
            function: { ...call.function, argumentsText: spacedJson(call.function.arguments) },
          })),
        );
        expect(parsed.reasoning).toBe(turn.chunks.map((chunk) => chunk.text).join(""));
        expect(parsed.text).toBe("");
      }
    const final = { chunks: [], answer: "Mira, 42" };
    expect(parseAssistant(assistantText(final))).toMatchObject({
      answer: "Mira, 42",
      calls: [],
      reasoning: undefined,
    });
  });

  it.each([
    ["invalid_json", '<tool_call>{"name": "f", "arguments": {}</tool_call>'],
    ["invalid_json", "<tool_call></tool_call>"],
    ["invalid_shape", "<tool_call>[1]</tool_call>"],
    ["invalid_shape", '<tool_call>{"name": 1, "arguments": {}}</tool_call>'],
    ["invalid_shape", '<tool_call>{"name": "f"}</tool_call>'],
    ["invalid_shape", '<tool_call>{"name": "f", "arguments": "[]"}</tool_call>'],
    ["invalid_shape", '<tool_call>{"name": "f", "arguments": "\\"{}\\""}</tool_call>'],
    ["invalid_json", '<tool_call>{"name": "f", "arguments": "x"}</tool_call>'],
    ["invalid_json", '<tool_call>{"name": "f", "arguments": "{\\"x\\": 1e999}"}</tool_call>'],
    [
      "too_deep",
      `<tool_call>{"name": "f", "arguments": "{\\"x\\": ${"[".repeat(99)}${"]".repeat(99)}}"}</tool_call>`,
    ],
    ["forbidden_key", '<tool_call>{"name": "f", "arguments": "{\\"__proto__\\": 1}"}</tool_call>'],
    ["unclosed_call", '<tool_call>{"name": "f", "arguments": {}}'],
    ["unclosed_call", "<tool_call>{"],
    [
      "forbidden_key",
      '<tool_call>{"name": "f", "arguments": {"a": [{"__proto__": {"polluted": 1}}]}}</tool_call>',
    ],
    ["forbidden_key", '<tool_call>{"__proto__": {"name": "f", "arguments": {}}}</tool_call>'],
    ["too_deep", `<tool_call>${"[".repeat(99_000 / 6)}</tool_call>`],
    ["too_long", `<tool_call>{"name": "${"n".repeat(parseLimits.callLength)}", "arguments": {}}</tool_call>`],
  ])("reports %s and keeps the valid calls around it", (kind, broken) => {
    const { calls, errors, blocks } = parseAssistant(`${good}${broken}${good}`);
    expect(calls).toEqual([goodCall, goodCall]);
    expect(errors.map((error) => error.kind)).toEqual([kind]);
    expect(errors[0].at).toBe(good.length);
    expect(blocks.map((block) => block.call === undefined)).toEqual([false, true, false]);
  });

  it("pollutes no prototype", () => {
    parseAssistant('<tool_call>{"name": "f", "arguments": {"__proto__": {"polluted": 1}}}</tool_call>');
    parseAssistant(
      '<tool_call>{"name": "f", "arguments": {"constructor": {"prototype": {"polluted": 1}}}}</tool_call>',
    );
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("does not run calls inside reasoning, and ends an unclosed think at the first call", () => {
    expect(parseAssistant(`<think>${good}</think>done`)).toMatchObject({ calls: [], text: "done" });
    expect(parseAssistant(`<think>hm${good}`)).toMatchObject({ reasoning: "hm", calls: [goodCall] });
    expect(kinds(`<think>hm${good}`)).toEqual(["unclosed_think"]);
    expect(parseAssistant("<think>hm<answer>1</answer>")).toMatchObject({ reasoning: "hm", answer: "1" });
  });

  it("takes what stands before a </think> alone for reasoning, unless calls or an answer came first", () => {
    expect(parseAssistant(`so </think>\n${good}`)).toMatchObject({
      reasoning: "so",
      calls: [goodCall],
      text: "",
    });
    for (const text of [`${good}</think>`, "<answer>1</answer></think>"])
      expect(parseAssistant(text).reasoning).toBeUndefined();
  });

  it("takes an unclosed answer to the end", () => {
    expect(parseAssistant("<answer>42")).toMatchObject({ answer: "42", text: "" });
  });

  it("bounds the number of calls and the length of the text", () => {
    const many = parseAssistant(good.repeat(parseLimits.calls + 5));
    expect(many.calls).toHaveLength(parseLimits.calls);
    expect(many.errors.map((error) => error.kind)).toEqual(["too_many_calls"]);
    const start = performance.now();
    for (const piece of ["<tool_call>", "<think>", "</tool_call>", "{", '"', "\\"]) {
      const parsed = parseAssistant(piece.repeat(parseLimits.textLength + 1));
      expect(parsed.calls).toEqual([]);
      expect(parsed.errors[0].kind).toBe("too_long");
      expect(parsed.blocks.length).toBeLessThanOrEqual(parseLimits.calls + 1);
    }
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("never throws, and every block is a call or an error", () => {
    const pieces = fc.constantFrom(
      ...["<think>", "</think>", "<tool_call>", "</tool_call>", "<answer>", "</answer>", good],
      ...[
        '{"name": "f", "arguments": {',
        "}}",
        '"__proto__": ',
        "[",
        "]",
        "\\",
        '"',
        "null",
        "\u0000",
        "\ud800",
        " ",
      ],
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 30 }), (parts) => {
        const parsed = parseAssistant(parts.join(""));
        expect(parsed.blocks.filter((block) => block.call !== undefined)).toHaveLength(parsed.calls.length);
        for (const call of parsed.calls)
          expect(Object.getPrototypeOf(call.function.arguments)).toBe(Object.prototype);
      }),
      { numRuns: 1000 },
    );
  });

  it("finds a valid call after any text without tags", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes("<")),
        (text) => {
          expect(parseAssistant(text + good).calls).toEqual([goodCall]);
        },
      ),
    );
  });
});
