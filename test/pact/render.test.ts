import type { PrefixLevel } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  renderDelimiter,
  renderEpisode,
  renderObservations,
  renderPrompt,
  renderTrace,
  sftLabel,
  toolList,
} from "../../packages/pact/src/render.ts";
import { isSampled, roleCode } from "../../packages/pact/src/roles.ts";
import { controlTokens, roleSpans, sampledRoles } from "../../packages/pact/src/tokens.ts";
import { isControlId, testCodec } from "./codec.ts";
import { task, trace } from "./tasks.ts";

const id = (name: string) => testCodec.controlId(name);
const labelled = (rendered: { ids: readonly number[]; labels: readonly number[] }, label: number) =>
  testCodec.decode(rendered.ids.filter((_, index) => rendered.labels[index] === label));

describe("prompt", () => {
  it("lists tools compactly, then the question, and opens the assistant's turn", () => {
    expect(testCodec.decode(renderPrompt(testCodec, task).ids)).toBe(
      "<|system|>find_mayor(town: string, year?: number)<|end|>" +
        '<|user|>Who is the mayor of "Bavo"?<|end|><|assistant|>',
    );
  });

  it("refuses two tools of one name and survives strange schemas", () => {
    expect(() => toolList([task.tools[0], task.tools[0]])).toThrowErrorMatchingInlineSnapshot(
      `[RenderError: toolList: two tools are called "find_mayor". Give each its own name.]`,
    );
    const odd = {
      type: "function",
      function: { name: "f", description: "", parameters: { properties: { a: 3 } } },
    };
    expect(toolList([odd as never])).toBe("f(a?: any)");
  });
});

describe("observations", () => {
  it("never become control tokens, whatever they spell", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...controlTokens), fc.string()), { minLength: 1, maxLength: 5 }),
        (parts) => {
          const { ids, roles } = renderObservations(testCodec, [parts.join("")]);
          ids.forEach((token, index) => {
            expect(isControlId(token)).toBe(roles[index] === roleCode.template);
          });
          expect(roles.some(isSampled)).toBe(false);
        },
      ),
    );
  });
});

describe("trace", () => {
  it("renders earlier assistant and tool turns without the final one", () => {
    const rendered = renderTrace(testCodec, trace, { level: 4 });
    expect(testCodec.decode(rendered.ids)).toBe(
      '<think>Who is the mayor? find_mayor fits. I call it. find_mayor(town="Bavo") Done.</think>' +
        '<tool_call>{"name": "find_mayor", "arguments": {"town": "Bavo"}}</tool_call>' +
        '<tool_call>{"name": "find_mayor", "arguments": {"town": "Kelm"}}</tool_call><|end|>' +
        '<|tool|>timeout<|end|><|tool|>{"mayor": "Mira"}<|end|><|assistant|>' +
        "<think>Again.</think>" +
        '<tool_call>{"name": "find_mayor", "arguments": {"town": "Bavo"}}</tool_call><|end|><|tool|>Mira<|end|>',
    );
    expect(testCodec.decode(rendered.ids)).not.toContain("The tool says");
    for (const { start, end } of rendered.turns) {
      expect(rendered.ids[start]).toBe(id("<think>"));
      expect(rendered.ids[end - 1]).toBe(id("<|end|>"));
    }
  });

  it("labels R by whole chunks up to the preview and A with its stop token", () => {
    const reasoning = (level: PrefixLevel) =>
      labelled(renderTrace(testCodec, trace, { level }), sftLabel.reasoning);
    expect(reasoning(0)).toBe("");
    expect(reasoning(1)).toBe("Who is the mayor?Again.");
    expect(reasoning(2)).toBe("Who is the mayor? find_mayor fits.Again.");
    expect(reasoning(4)).toBe("Who is the mayor? find_mayor fits. I call it.Again.");
    const call = (town: string) =>
      `<tool_call>{"name": "find_mayor", "arguments": {"town": "${town}"}}</tool_call>`;
    expect(labelled(renderTrace(testCodec, trace, { level: 0 }), sftLabel.call)).toBe(
      `${call("Bavo")}${call("Kelm")}<|end|>${call("Bavo")}<|end|>`,
    );
    expect(labelled(renderTrace(testCodec, trace, { level: 4, calls: false }), sftLabel.call)).toBe("");
  });

  it("reasoning tags join a non-empty R on request", () => {
    const include = (level: PrefixLevel) =>
      labelled(renderTrace(testCodec, trace, { level, reasoningTags: "include" }), sftLabel.reasoning);
    expect(include(0)).toBe("");
    expect(include(1)).toBe("<think>Who is the mayor?</think><think>Again.</think>");
  });

  it("labels only what the expert wrote, never observations or template; ids do not depend on the level", () => {
    const full = renderTrace(testCodec, trace, { level: 4 });
    for (const level of [0, 1, 2, 3, 4] as const) {
      const rendered = renderTrace(testCodec, trace, { level, reasoningTags: "include" });
      expect(rendered.ids).toEqual(full.ids);
      rendered.labels.forEach((label, index) => {
        if (label !== sftLabel.context) expect(isSampled(rendered.roles[index])).toBe(true);
      });
    }
  });

  it("an empty trace renders to nothing, without a delimiter", () => {
    const rendered = renderTrace(testCodec, { ...trace, turns: [] }, { level: 4 });
    expect(rendered.ids).toEqual([]);
    expect(renderDelimiter(testCodec, task, rendered, "again").ids).toEqual([]);
  });

  it("refuses a turn whose observations do not answer its calls", () => {
    const broken = { ...trace, turns: [{ ...trace.turns[0], observations: [] }] };
    expect(() => renderTrace(testCodec, broken, { level: 4 })).toThrowErrorMatchingInlineSnapshot(
      `[RenderError: renderTrace: turn 0 has 2 calls and 0 observations, expected at least one call and one observation for each. Check the trace that the teacher wrote.]`,
    );
  });

  it("delimiters end in the token that opens the assistant's turn, as prompts do", () => {
    const rendered = renderTrace(testCodec, trace, { level: 4 });
    const prompt = renderPrompt(testCodec, task);
    for (const kind of ["again", "question"] as const) {
      const delimiter = renderDelimiter(testCodec, task, rendered, kind);
      expect(delimiter.ids.at(-1)).toBe(prompt.ids.at(-1));
      expect(delimiter.roles.every((role) => role === roleCode.template)).toBe(true);
    }
    expect(testCodec.decode(renderDelimiter(testCodec, task, rendered, "again").ids)).toBe(
      "<|again|><|assistant|>",
    );
  });
});

describe("episode", () => {
  it("continues the trace with the final turn and labels everything the expert wrote", () => {
    const rendered = renderEpisode(testCodec, trace);
    const turns = renderTrace(testCodec, trace, { level: 4 });
    expect(rendered.ids.slice(0, turns.ids.length)).toEqual(turns.ids);
    expect(testCodec.decode(rendered.ids.slice(turns.ids.length))).toBe(
      "<|assistant|><think>The tool says Mira.</think><answer>Mira</answer><|end|>",
    );
    rendered.roles.forEach((role, index) => {
      expect(rendered.labels[index] !== sftLabel.context).toBe(isSampled(role));
    });
  });
});

describe("roles", () => {
  it("of a sampled turn follow its opening tags", () => {
    const ids = [
      id("<think>"),
      ...testCodec.encode("hm"),
      id("</think>"),
      id("<tool_call>"),
      ...testCodec.encode("{}"),
      id("</tool_call>"),
      id("<answer>"),
      id("<|end|>"),
    ];
    const spans = roleSpans(testCodec, { ids, roles: sampledRoles(testCodec, ids) });
    expect(spans).toEqual([
      { role: "reasoning", text: "<think>hm</think>" },
      { role: "call", text: "<tool_call>{}</tool_call>" },
      { role: "answer", text: "<answer><|end|>" },
    ]);
  });

  it("spans reproduce the text", () => {
    const rendered = renderEpisode(testCodec, trace);
    expect(
      roleSpans(testCodec, rendered)
        .map((span) => span.text)
        .join(""),
    ).toBe(testCodec.decode(rendered.ids));
    expect(roleSpans(testCodec, { ids: [], roles: [] })).toEqual([]);
  });
});
