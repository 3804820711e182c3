import {
  activeChunkCount,
  activeChunks,
  type Chunk,
  normaliseReasoning,
  prefixLevels,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { annotationLimits, readAnnotation } from "../../../packages/tools-sim/src/traces/annotator.ts";
import { cutAtPreview, previewsCall } from "../../../packages/tools-sim/src/traces/preview.ts";
import {
  segmentByFallback,
  segmentByRules,
  type TurnContext,
  turnPattern,
} from "../../../packages/tools-sim/src/traces/rules.ts";
import { segmentTurn } from "../../../packages/tools-sim/src/traces/segment.ts";
import { paragraphsOf, sentencesOf } from "../../../packages/tools-sim/src/traces/text.ts";

const tool = (name: string) => ({
  type: "function" as const,
  function: {
    name,
    description: "finds",
    parameters: { type: "object", properties: { town: { type: "string" } } },
  },
});
const tools = [tool("mayorFinder"), tool("areaLookup")];
const calls = [{ name: "mayorFinder", arguments: { town: "Bavo" } }];
const turn = (reasoning: string, more: Partial<TurnContext> = {}): TurnContext => ({
  reasoning,
  calls,
  tools,
  hasObservations: false,
  previousFailed: false,
  ...more,
});
const joined = (chunks: readonly Chunk[]) => chunks.map(({ text }) => text).join("");

/** Reasoning as models write it, and worse: noise, tags, previews, odd characters. */
const reasoning = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          "I need the mayor of Bavo.",
          "mayorFinder",
          "areaLookup",
          "\n\n",
          "\n",
          " ",
          "Bavo",
          "That failed. ",
          "assistant: ",
          "user :",
        ],
        ...[
          "<think>",
          "</tool_call>",
          "<|im_start|>assistant",
          "<|",
          "|>",
          "<|im_end|>",
          '{"name": "mayorFinder", ',
          '"arguments": {}}',
        ],
        ...[
          "mayorFinder(",
          "\u001b[31m",
          "\ud83d\ude00",
          "\ud83d",
          "\u00a0",
          "\r\n",
          "\u2028",
          "?",
          "!",
          "\u200b",
        ],
      ),
      fc.string({ unit: "binary", maxLength: 8 }),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => pieces.join(""));

describe("normaliseReasoning", () => {
  it("removes role noise and white space, and keeps paragraphs", () => {
    expect(
      normaliseReasoning(
        "<|im_start|>assistant\nassistant: I  need\tit.\r\n\r\n\r\nUse f. <|im_end|></think>",
      ),
    ).toBe("I need it.\n\nUse f.");
  });
  it("changes nothing the second time, whatever the text", () => {
    fc.assert(
      fc.property(reasoning, (source) => {
        const once = normaliseReasoning(source);
        expect(normaliseReasoning(once)).toBe(once);
        expect(once).not.toMatch(/<\/?(?:think|tool_call|answer)>|<\|\w*\|>/i);
        expect(joined(paragraphsOf(once).map((text) => ({ type: "other", text })))).toBe(once);
        for (const paragraph of paragraphsOf(once)) expect(sentencesOf(paragraph).join("")).toBe(paragraph);
      }),
      { numRuns: 500 },
    );
  });
  it("takes linear time on a megabyte of noise", () => {
    const began = performance.now();
    for (const piece of ["assistant:", "<|a", "\n", " ", "<|im_start|> "])
      normaliseReasoning(piece.repeat(100_000));
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

describe("previews", () => {
  it("are the call's JSON, name( and the name with all its arguments", () => {
    expect(previewsCall('{"name": "x"}', calls)).toBe(true);
    expect(previewsCall("mayorFinder(town", calls)).toBe(true);
    expect(previewsCall('Ask mayorFinder about "Bavo".', calls)).toBe(true);
    expect(previewsCall("Ask mayorFinder.", calls)).toBe(false);
    expect(previewsCall("Ask mayorFinder about Bavolo.", calls)).toBe(false);
    expect(previewsCall("The mayor of Bavo.", calls)).toBe(false);
    expect(previewsCall("Use now.", [{ name: "now", arguments: {} }])).toBe(false);
    expect(previewsCall("now()", [{ name: "now", arguments: {} }])).toBe(true);
  });
  it("are cut off where the sentence or the JSON begins, and nothing before previews", () => {
    expect(cutAtPreview("I need Bavo. I use mayorFinder. Done.", calls)).toEqual([
      "I need Bavo.",
      " I use mayorFinder. Done.",
    ]);
    expect(cutAtPreview('So: {\n"name": "mayorFinder", "arguments": {}}', calls)).toEqual([
      "So: ",
      '{\n"name": "mayorFinder", "arguments": {}}',
    ]);
    fc.assert(
      fc.property(reasoning, (source) => {
        const text = normaliseReasoning(source);
        const [before, rest] = cutAtPreview(text, calls);
        expect(before + rest).toBe(text);
        expect(previewsCall(before, calls)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});

describe("rules", () => {
  it("name what a turn does", () => {
    expect(turnPattern(turn("Need the mayor."))).toBe("initial_attempt");
    expect(turnPattern(turn("mayorFinder or areaLookup?"))).toBe("compare_then_call");
    expect(turnPattern(turn("Again.", { previousFailed: true, hasObservations: true }))).toBe(
      "retry_after_failed_call",
    );
    expect(turnPattern(turn("Next.", { hasObservations: true }))).toBe("post_observation_followup");
    expect(turnPattern(turn("Got it.", { calls: [] }))).toBe("final_answer_turn");
    expect(turnPattern(turn(""))).toBe("other");
  });
  it("label simple turns and leave the others", () => {
    const simple = segmentByRules(
      turn("The user asks for the mayor.\n\nI use mayorFinder.\n\nIt takes a town: mayorFinder on Bavo."),
    );
    expect(simple).toEqual([
      { type: "task_restate", text: "The user asks for the mayor." },
      { type: "tool_selection", text: "\n\nI use mayorFinder." },
      { type: "explicit_call_preview", text: "\n\nIt takes a town: mayorFinder on Bavo." },
    ]);
    expect(segmentByRules(turn("Hm."))).toBeUndefined();
    expect(segmentByRules(turn(`${"I need it.\n\n".repeat(4)}I need it.`))).toBeUndefined();
    expect(segmentByRules(turn("I need it ".repeat(70)))).toBeUndefined();
  });
  it("fall back to paragraphs before the first preview", () => {
    expect(segmentByFallback(turn("Hm.\n\nWell. mayorFinder(Bavo)\n\nDone."))).toEqual([
      { type: "other", text: "Hm." },
      { type: "other", text: "\n\nWell." },
      { type: "explicit_call_preview", text: " mayorFinder(Bavo)" },
      { type: "other", text: "\n\nDone." },
    ]);
  });
});

describe("an annotator's answer", () => {
  const hard = turn("Hm, one. Then two.\n\nThree.\n\nFour for Bavo.");
  const answer = (chunks: unknown, previews: unknown = []) => JSON.stringify({ chunks, previews });
  it("cuts paragraphs at exact texts and marks previews", () => {
    const chunks = readAnnotation(
      `Here it is:\n${answer(
        [
          { first: 0, last: 0, until: "one.", type: "task_restate" },
          { first: 0, last: 1, type: "tool_scan", keep: false },
          { first: 2, last: 2, type: "decision_summary" },
        ],
        ["for Bavo"],
      )}`,
      hard,
    );
    expect(chunks).toEqual([
      { type: "task_restate", text: "Hm, one." },
      { type: "tool_scan", text: " Then two.\n\nThree.", keep: false },
      { type: "decision_summary", text: "\n\nFour " },
      { type: "explicit_call_preview", text: "for Bavo." },
    ]);
    expect(activeChunks(chunks, 4)).toEqual([true, false, true, false]);
    expect(activeChunks(chunks, 2)).toEqual([true, false, false, false]);
  });
  it.each([
    ["no JSON", "sorry", "not valid JSON"],
    ["broken JSON", "{", "not valid JSON"],
    ["no list", "{}", '"chunks" must be a list'],
    ["a gap", answer([{ first: 1, last: 2, type: "other" }]), "chunk 0 must begin with paragraph 0"],
    [
      "an overlap",
      answer([
        { first: 0, last: 1, type: "other" },
        { first: 1, last: 2, type: "other" },
      ]),
      "chunk 1 must begin with paragraph 2",
    ],
    ["an end too early", answer([{ first: 0, last: 1, type: "other" }]), "paragraph 2 is not covered"],
    [
      "a range too far",
      answer([{ first: 0, last: 3, type: "other" }]),
      '"last" must be a paragraph from 0 to 2',
    ],
    ["a type", answer([{ first: 0, last: 2, type: "thought" }]), '"type" must be one of'],
    ["keep", answer([{ first: 0, last: 2, type: "other", keep: "no" }]), '"keep" must be true or false'],
    [
      "a text",
      answer([{ first: 0, last: 0, until: "seven", type: "other" }]),
      '"until" is not a text of that paragraph',
    ],
    [
      "a preview",
      answer([{ first: 0, last: 2, type: "other" }], ["seven"]),
      "is not a text of the reasoning",
    ],
    [
      "too many",
      answer(Array.from({ length: annotationLimits.chunks + 1 }, () => ({}))),
      "more than 64 chunks",
    ],
    ["too long", " ".repeat(annotationLimits.characters + 1), "longer than"],
  ])("is refused for %s", (_, text, problem) => {
    expect(() => readAnnotation(text, hard)).toThrow(problem);
  });
  it("never cuts within a character", () => {
    const text = answer([
      { first: 0, last: 0, until: "\ud83d", type: "other" },
      { first: 0, last: 0, type: "other" },
    ]);
    expect(() => readAnnotation(text, turn("\ud83d\ude00!"))).toThrow("ends within a character");
  });
});

describe("segmentTurn", () => {
  it("asks once more with the problem named, then falls back", async () => {
    const asked: string[] = [];
    const annotator = async (messages: readonly { content: string }[]) => {
      asked.push(messages[1].content);
      return asked.length === 1 ? "{}" : '{"chunks": [{"first": 0, "last": 0, "type": "other"}]}';
    };
    expect((await segmentTurn(turn("Hm."), { annotator })).segmentedBy).toBe("annotator");
    expect(asked[1]).toContain('could not be used: "chunks" must be a list');
    let calls = 0;
    const broken = async () => {
      calls++;
      throw new Error("gone");
    };
    expect(await segmentTurn(turn("Hm."), { annotator: broken })).toEqual({
      pattern: "initial_attempt",
      segmentedBy: "fallback",
      chunks: [{ type: "other", text: "Hm." }],
    });
    expect(calls).toBe(2);
    const long = turn("x ".repeat(annotationLimits.reasoning).trim());
    expect((await segmentTurn(long, { annotator: broken })).segmentedBy).toBe("fallback");
    expect(calls).toBe(2);
  });
  it("stops when it is told to", async () => {
    const controller = new AbortController();
    const annotator = async () => {
      controller.abort(new Error("enough"));
      throw new Error("cut off");
    };
    await expect(segmentTurn(turn("Hm."), { annotator, signal: controller.signal })).rejects.toThrow(
      "enough",
    );
  });
  it("relabels a teacher's chunk that spells out the call", async () => {
    const labelled: Chunk[] = [
      { type: "task_restate", text: "Need it." },
      { type: "fallback_plan", text: " mayorFinder for Bavo." },
    ];
    const { chunks, segmentedBy } = await segmentTurn(turn(joined(labelled)), { labelled });
    expect(segmentedBy).toBe("teacher");
    expect(chunks.map(({ type }) => type)).toEqual(["task_restate", "explicit_call_preview"]);
    expect((await segmentTurn(turn("Need it."), { labelled })).segmentedBy).toBe("rules");
  });
  it("gives chunks that reproduce any reasoning, whatever the annotator says", async () => {
    const index = fc.oneof(fc.nat(4), fc.integer(), fc.string());
    const chunk = fc.record(
      {
        first: index,
        last: index,
        until: fc.oneof(fc.constantFrom("I need", "Bavo", ".", "\ud83d"), fc.string(), fc.constant(null)),
        type: fc.constantFrom("task_restate", "explicit_call_preview", "other", "nonsense"),
        keep: fc.oneof(fc.boolean(), fc.constant(1)),
      },
      { requiredKeys: ["first", "last", "type"] },
    );
    // Half of the answers are whole and in order, so that the way of a valid one is taken too.
    const valid = fc
      .array(fc.record({ type: fc.constantFrom("task_restate", "tool_scan", "other"), keep: fc.boolean() }), {
        minLength: 1,
        maxLength: 6,
      })
      .map((list) => (text: string) => {
        const paragraphs = paragraphsOf(text);
        const cut = paragraphs.map((paragraph, p) => ({
          first: p,
          last: p,
          until: paragraph.slice(-3),
          ...list[p % list.length],
        }));
        return JSON.stringify({ chunks: cut, previews: [text.slice(0, 2)] });
      });
    const wild = fc
      .oneof(
        fc
          .record({ chunks: fc.array(chunk, { maxLength: 8 }), previews: fc.array(fc.string()) })
          .map((value) => JSON.stringify(value)),
        fc.string(),
        fc.json(),
      )
      .map((text) => () => text);
    const seen = { annotator: 0, fallback: 0 };
    await fc.assert(
      fc.asyncProperty(reasoning, fc.oneof(valid, wild), fc.boolean(), async (source, answer, final) => {
        const text = normaliseReasoning(source);
        const context = turn(text, final ? { calls: [] } : {});
        const { chunks, segmentedBy } = await segmentTurn(context, { annotator: async () => answer(text) });
        if (segmentedBy === "annotator" || segmentedBy === "fallback") seen[segmentedBy]++;
        expect(joined(chunks)).toBe(text);
        expect(chunks.every((item) => item.text !== "")).toBe(true);
        for (const { type, text: content } of chunks)
          if (type !== "explicit_call_preview" && segmentedBy !== "fallback")
            expect(previewsCall(content, context.calls)).toBe(false);
        // Levels are cumulative, never reach a preview, and skip what is not kept.
        const active = prefixLevels.map((level) => activeChunks(chunks, level));
        const preview = chunks.findIndex(({ type }) => type === "explicit_call_preview");
        const before = chunks.slice(0, preview < 0 ? chunks.length : preview);
        for (const level of prefixLevels) {
          const kept = before.filter(({ keep }) => keep !== false).length;
          expect(active[level].filter(Boolean)).toHaveLength(Math.ceil((level * kept) / 4));
          expect(active[level].slice(before.length).some(Boolean)).toBe(false);
          if (level > 0)
            expect(active[level - 1].every((isActive, i) => !isActive || active[level][i])).toBe(true);
          expect(chunks.some(({ keep }, i) => active[level][i] && keep === false)).toBe(false);
        }
      }),
      { numRuns: 600 },
    );
    expect(seen.annotator).toBeGreaterThan(20);
    expect(seen.fallback).toBeGreaterThan(20);
  });
});

describe("levels", () => {
  it("count chunks before the first preview alone", () => {
    expect(
      prefixLevels.map((level) => activeChunkCount(["a", "b", "c", "explicit_call_preview", "d"], level)),
    ).toEqual([0, 1, 2, 3, 3]);
  });

  it("go by position, also where one chunk object stands twice", () => {
    const chunk = { type: "other" } as const;
    expect(activeChunks([chunk, chunk, chunk, chunk], 2)).toEqual([true, true, false, false]);
  });
});
