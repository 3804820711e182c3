/** Prompts, traces and turns of a checkpoint by its chat template, for three families of templates. */
import { ChatTemplateError, renderChat } from "@pact/nn";
import { activeChunks, type Message, type PrefixLevel, parseAssistant } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PastTurn } from "../../packages/pact/src/dialect.ts";
import { chatDialect } from "../../packages/pact/src/dialect-chat.ts";
import { RenderError } from "../../packages/pact/src/errors.ts";
import { sftLabel } from "../../packages/pact/src/render.ts";
import { isSampled, roleCode, roles } from "../../packages/pact/src/roles.ts";
import { chatFamilies, tokenizerOf } from "./chat-folders.ts";
import { task, toolCall, trace } from "./tasks.ts";

const spoken = chatFamilies.map((own) => {
  const tokenizer = tokenizerOf(own);
  return { ...own, tokenizer, dialect: chatDialect(tokenizer, own.template) };
});
const date = new Date(Date.UTC(2024, 6, 26));
const levels: readonly PrefixLevel[] = [0, 1, 2, 3, 4];

/** Ids of what a policy wrote: names of control tokens are those. */
function sampled({ tokenizer }: (typeof spoken)[number], text: string): number[] {
  const names = tokenizer.controlTokens.map((name) => name.replace(/[|]/g, "\\|"));
  return text
    .split(new RegExp(`(${names.join("|")})`))
    .flatMap((piece, index) => (index % 2 === 0 ? tokenizer.encode(piece) : [tokenizer.controlId(piece)]));
}

/** A turn that was acted upon, each call answered by `observation`. */
function past(own: (typeof spoken)[number], text: string, observation = "Mira"): PastTurn {
  const ids = sampled(own, text + own.stop);
  const parsed = parseAssistant(own.dialect.turn(ids).text);
  const observations = parsed.blocks.map(({ call }) => ({
    name: call?.function.name ?? "",
    content: observation,
  }));
  return { ids, parsed, observations };
}

const tagged = '<tool_call>\n{"name": "find_mayor", "arguments": {"town": "Bavo"}}\n</tool_call>';
const bare = '{"name": "find_mayor", "parameters": {"town": "Bavo"}}';
const callIn = ({ dialect }: (typeof spoken)[number]): string =>
  dialect.traits.calls === "bare" ? bare : tagged;

describe.each(spoken)("the dialect of a folder in the manner of $name", (own) => {
  const { dialect, tokenizer, template, stop } = own;
  const official = (messages: readonly Message[], addGenerationPrompt: boolean): string =>
    renderChat(template, messages, task.tools, {
      addGenerationPrompt,
      variables: Object.fromEntries(tokenizer.special),
      now: date,
    });
  const x = dialect.prompt(task).ids;

  it("writes the prompt that the template writes", () => {
    expect(dialect.decode(x)).toBe(official(task.messages, true));
    expect(dialect.prompt(task).roles.filter(isSampled)).toEqual([]);
    expect(dialect.stopTokens).toEqual([stop]);
  });

  it("goes on behind a turn as the template does, whatever the spelling of its tokens", () => {
    const said = past(own, callIn(own));
    const one = toolCall("find_mayor", "Bavo");
    const text = official(
      [
        ...task.messages,
        { role: "assistant", content: "", tool_calls: [one] },
        { role: "tool", name: "find_mayor", content: "Mira" },
      ],
      true,
    );
    const next = dialect.afterTurn(task, [said]);
    expect(next.split).toBeUndefined();
    expect(dialect.decode([...x, ...said.ids, ...next.ids])).toBe(text);
    expect(next.roles.filter(isSampled)).toEqual([]);
    const odd = [...new TextEncoder().encode(callIn(own))].map((byte) => byteToken(tokenizer, byte));
    expect(dialect.afterTurn(task, [{ ...said, ids: [...odd, said.ids.at(-1)!] }])).toEqual(next);
    // And behind a second turn.
    const twice = dialect.afterTurn(task, [said, past(own, callIn(own), "Lo")]);
    expect(dialect.decode(twice.ids)).toBe(dialect.decode(next.ids).replace("Mira", "Lo"));
  });

  it("takes whatever a policy writes", () => {
    const word = fc.constantFrom(
      ...[
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        '{"name": "find_mayor"',
        ', "arguments": {}}',
      ],
      ...[bare, tagged, "Mira", "\n", "{", '"', "<answer>7", "</answer>", "\ue000"],
    );
    fc.assert(
      fc.property(
        fc.array(fc.array(word, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize + 20 }), { maxLength: 5 }),
        (turns, noise) => {
          const history = turns.map((words): PastTurn => {
            const { ids, ...turn } = past(own, words.join(""));
            const own_ = [...noise.filter((id) => !dialect.isStop(id)), ...ids];
            const { text, roles: codes } = dialect.turn(own_);
            expect(codes).toHaveLength(own_.length);
            expect(codes.every(isSampled)).toBe(true);
            return { ...turn, parsed: parseAssistant(text), ids: own_ };
          });
          const { ids, roles: codes, split } = dialect.afterTurn(task, history);
          expect(codes).toHaveLength(ids.length);
          expect(codes.filter(isSampled)).toEqual([]);
          if (split) expect(ids.slice(0, x.length)).toEqual(x);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("writes an expert's trace as the template does, behind the prompt and in contexts", () => {
    const { ids, roles: codes, turns } = dialect.trace(task, trace, { level: 4 });
    const context = dialect.context(task, trace.turns, "again");
    expect(context.slice(0, x.length + ids.length)).toEqual([...x, ...ids]);
    expect(dialect.decode(context.slice(x.length + ids.length))).toContain("Solve this again");
    const asked = dialect.decode(dialect.context(task, trace.turns, "question"));
    expect(asked.split(task.question)).toHaveLength(3);
    // A rollout follows the same tokens with and without the trace.
    const opening = x.slice(x.findLastIndex((id) => tokenizer.isControl(id)));
    expect(context.slice(-opening.length)).toEqual(opening);
    expect(dialect.context(task, [], "again")).toEqual(x);
    expect(turns.every(({ end }) => dialect.isStop(ids[end - 1]))).toBe(true);
    const between = turns.slice(1).map(({ start }, index) => codes.slice(turns[index].end, start));
    expect(between.flat().filter(isSampled)).toEqual([]);
    expect(between.every((own_) => own_.includes(roleCode.observation))).toBe(true);
  });

  it("labels complete calls and stop tokens, and no reasoning token of an inactive chunk", () => {
    for (const level of levels) {
      const { ids, labels, turns } = dialect.trace(task, trace, { level });
      const textOf = (label: number, from: number, to: number): string =>
        dialect.decode(ids.slice(from, to).filter((_, index) => labels[from + index] === label));
      expect(textOf(sftLabel.context, 0, ids.length)).not.toContain('find_mayor",');
      for (const [index, { start, end }] of turns.entries()) {
        const called = textOf(sftLabel.call, start, end);
        expect(called.startsWith(dialect.traits.calls === "bare" ? "{" : "<tool_call>")).toBe(true);
        expect(called.endsWith(stop)).toBe(true);
        if (!dialect.traits.keepsReasoning) continue;
        const { chunks } = trace.turns[index];
        const active = chunks.filter((_, at) => activeChunks(chunks, level)[at]).map(({ text }) => text);
        // A token across the end of the last active chunk is not trained.
        const said = textOf(sftLabel.reasoning, start, end);
        expect(active.join("").startsWith(said)).toBe(true);
        expect(active.join("").length - said.length).toBeLessThan(4);
        expect(said === "").toBe(level === 0);
      }
    }
    const without = dialect.trace(task, trace, { level: 4, calls: false }).labels;
    expect(without).not.toContain(sftLabel.call);
    const half = dialect.trace(task, trace, { level: 4, callShare: 0.5 }).labels;
    const whole = dialect.trace(task, trace, { level: 4 }).labels;
    const calls = (of: readonly number[]) => of.filter((label) => label === sftLabel.call).length;
    expect(calls(half)).toBeGreaterThan(0.4 * calls(whole));
    expect(calls(half)).toBeLessThan(0.6 * calls(whole));
  });

  it("takes tags that the expert's reasoning spells for words", () => {
    const preview = 'So.</think><tool_call>{"name": "find_mayor"} secret';
    const chunks = [
      { type: "task_restate" as const, text: "Who? " },
      { type: "explicit_call_preview" as const, text: preview },
    ];
    const turns = [{ ...trace.turns[1], chunks }];
    const { ids, roles: codes, labels } = dialect.trace(task, { ...trace, turns }, { level: 4 });
    const called = dialect.decode(ids.filter((_, index) => labels[index] === sftLabel.call));
    expect(called).not.toContain("secret");
    expect(called).toContain('{"town": "Bavo"}');
    expect(dialect.decode(ids.filter((_, index) => codes[index] === roleCode.call))).toBe(called);
  });

  it("trains the tags of reasoning only where asked to", () => {
    if (!dialect.traits.keepsReasoning)
      return expect(dialect.traits.keepsReasoning).toBe(own.name !== "llama");
    const textOf = (reasoningTags: "include" | "exclude", level: PrefixLevel): string => {
      const { ids, labels } = dialect.trace(task, trace, { level, reasoningTags });
      return dialect.decode(ids.filter((_, index) => labels[index] === sftLabel.reasoning));
    };
    expect(textOf("exclude", 4)).not.toContain("think>");
    expect(textOf("include", 4).match(/<\/?think>/g) ?? []).toHaveLength(
      dialect.traits.keepsReasoning ? 4 : 0,
    );
    expect(textOf("include", 0)).toBe("");
  });

  it("shows a trace with parts left out, and inside the question", () => {
    const shown = trace.turns.map(({ calls, observations }) => ({ chunks: [], calls, observations }));
    const without = dialect.decode(dialect.context(task, shown, "again"));
    expect(without).not.toContain("Again.");
    expect(without).toContain("Mira");
    const reference = dialect.reference(task, trace.turns);
    const inside = dialect.decode(reference);
    expect(inside).toContain("Reference:\nWho is the mayor?");
    expect(inside).toContain('{"name": "find_mayor", "arguments": {"town": "Bavo"}}');
    const controls = (ids: readonly number[]) => ids.filter((id) => tokenizer.isControl(id));
    expect(controls(reference)).toEqual(controls(x));
  });

  it("writes whole documents, everything of the expert's labelled and nothing else", () => {
    const { ids, roles: codes, labels, turns } = dialect.document(task, trace);
    expect(ids.slice(0, x.length)).toEqual(x);
    expect(dialect.decode(ids).endsWith(`<answer>Mira</answer>${stop}`)).toBe(true);
    const marked = labels.flatMap((label, index) => (label === sftLabel.context ? [] : [index]));
    expect(marked).toEqual(
      turns.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, at) => start + at)),
    );
    expect(marked.every((index) => isSampled(codes[index]))).toBe(true);
    const answered = dialect.decode(ids.filter((_, index) => codes[index] === roleCode.answer));
    expect(answered).toBe(`\n\n<answer>Mira</answer>${stop}`);
    expect(ids.some((_, index) => labels[index] === sftLabel.context && isSampled(codes[index]))).toBe(false);
  });

  it("never makes control tokens of what tasks and traces hold", () => {
    const spelled = tokenizer.controlTokens.join("");
    const hostile = {
      ...task,
      messages: [{ role: "user" as const, content: spelled }],
      question: spelled,
      tools: [{ ...task.tools[0], function: { ...task.tools[0].function, description: spelled } }],
    };
    const held = {
      turns: trace.turns.map((turn) => ({
        chunks: turn.chunks.map((chunk) => ({ ...chunk, text: `a${spelled}z` })),
        calls: turn.calls.map(() => toolCall("find_mayor", spelled)),
        observations: turn.observations.map(() => spelled),
      })),
      final: { chunks: [], answer: spelled },
    };
    const controls = (ids: readonly number[]) => ids.filter((id) => tokenizer.isControl(id));
    expect(controls(dialect.prompt(hostile).ids)).toEqual(controls(x));
    for (const delimiter of ["again", "question"] as const)
      expect(controls(dialect.context(hostile, held.turns, delimiter))).toEqual(
        controls(dialect.context(task, trace.turns, delimiter)),
      );
    expect(controls(dialect.reference(hostile, held.turns))).toEqual(controls(x));
    const answer = { ...trace, final: { chunks: [], answer: "7" } };
    expect(controls(dialect.document(hostile, held).ids)).toEqual(
      controls(dialect.document(task, answer).ids),
    );
    const said = past(own, callIn(own));
    const calm = dialect.afterTurn(task, [said]);
    const forged = dialect.afterTurn(task, [past(own, callIn(own), spelled)]);
    expect(controls(forged.ids)).toEqual(controls(calm.ids));
  });

  it("reads ids that the tokenizer does not have as U+FFFD", () => {
    const beyond = tokenizer.vocabSize + 3;
    expect(dialect.decode([...tokenizer.encode("a"), beyond, ...tokenizer.encode("b")])).toBe("a\ufffdb");
    expect(dialect.turn([beyond, tokenizer.controlId(stop)]).text).toBe("\ufffd");
  });
});

function byteToken(tokenizer: ReturnType<typeof tokenizerOf>, byte: number): number {
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    try {
      const bytes = tokenizer.tokenBytes(id);
      if (bytes.length === 1 && bytes[0] === byte) return id;
    } catch {
      // A hole in the vocabulary.
    }
  }
  throw new Error(`no token of byte ${byte}`);
}

describe("chat dialects", () => {
  const [qwen3, qwen2, llama] = spoken;

  it("know what their templates do", () => {
    expect(qwen3.dialect.traits).toEqual({
      reasoning: "field",
      keepsReasoning: true,
      parallelCalls: true,
      calls: "tagged",
      opensReasoning: false,
    });
    expect(qwen2.dialect.traits).toMatchObject({
      reasoning: "content",
      keepsReasoning: true,
      calls: "tagged",
    });
    expect(llama.dialect.traits).toMatchObject({
      keepsReasoning: false,
      parallelCalls: false,
      calls: "bare",
    });
    const opened = qwen3.template.replace(
      "'<|im_start|>assistant\\n' }}{%- if enable",
      "'<|im_start|>assistant\\n<think>\\n' }}{%- if enable",
    );
    expect(opened).not.toBe(qwen3.template);
    const dialect = chatDialect(qwen3.tokenizer, opened);
    expect(dialect.traits.opensReasoning).toBe(true);
    expect(dialect.opensReasoning([])).toBe(true);
    expect(qwen3.dialect.opensReasoning(sampled(qwen3, "<think>a"))).toBe(true);
    expect(qwen3.dialect.opensReasoning(sampled(qwen3, "a<think>"))).toBe(false);
    // The trace goes on inside the reasoning that the template has opened.
    const { ids } = dialect.trace(task, trace, { level: 4 });
    expect(dialect.decode(ids).startsWith("Who is the mayor?")).toBe(true);
  });

  it("gives roles to the tokens of a turn", () => {
    const show = (own: (typeof spoken)[number], text: string): string[] => {
      const { roles: codes } = own.dialect.turn(sampled(own, text + own.stop));
      return [...new Set(codes.map((code) => roles[code]))];
    };
    expect(show(qwen3, `<think>\na\n</think>\n\n${tagged}`)).toEqual(["reasoning", "call"]);
    expect(show(qwen3, "<think>\na\n</think>\n\nMira")).toEqual(["reasoning", "answer"]);
    expect(show(qwen3, `<think>${tagged}</think>Mira`)).toEqual(["reasoning", "answer"]);
    expect(show(llama, bare)).toEqual(["call"]);
    expect(show(llama, "Mira")).toEqual(["answer"]);
  });

  it("gives environments a bare call between tags", () => {
    const text = (said: string) => llama.dialect.turn(sampled(llama, said)).text;
    expect(parseAssistant(text(bare)).calls[0].function).toMatchObject({
      name: "find_mayor",
      arguments: { town: "Bavo" },
    });
    expect(parseAssistant(text(`<think>a</think>${bare}`)).calls).toHaveLength(1);
    expect(parseAssistant(text('{"name": "f", "parameters": {'))).toMatchObject({
      blocks: [{ error: { kind: "invalid_json" } }],
    });
    for (const said of ["Mira", '{"mayor": 1}', tagged, `so ${bare}`]) expect(text(said)).toBe(said);
    expect(qwen3.dialect.turn(sampled(qwen3, bare)).text).toBe(bare);
  });

  it("split a rollout where the template drops the reasoning of a turn, with the new prompt behind x", () => {
    const said = past(llama, `<think>\nI think.\n</think>\n\n${tagged}`);
    const { split, ids, roles: codes } = llama.dialect.afterTurn(task, [said]);
    expect(split).toEqual({ kind: "dropped", reason: "the template leaves out the reasoning of message 1" });
    const x = llama.dialect.prompt(task).ids;
    expect(ids.slice(0, x.length)).toEqual(x);
    expect(llama.dialect.decode(ids)).not.toContain("I think");
    expect(llama.dialect.decode(ids)).toContain("Mira");
    expect(codes.filter(isSampled)).toEqual([]);
    // The next turn goes on behind the new prompt.
    const next = llama.dialect.afterTurn(task, [said, past(llama, bare)]);
    expect(next.split).toBeUndefined();
  });

  it("answer several calls where the template takes one", () => {
    const said = past(llama, `${tagged}${tagged}`);
    expect(said.observations).toHaveLength(2);
    const { ids, split } = llama.dialect.afterTurn(task, [said]);
    expect(split).toBeUndefined();
    expect(llama.dialect.decode(ids).split("Mira")).toHaveLength(3);
    const { turns } = llama.dialect.trace(task, trace, { level: 4 });
    expect(turns).toHaveLength(3);
  });

  it("write the same date on every day", () => {
    expect(llama.dialect.decode(llama.dialect.prompt(task).ids)).toContain("Today: 26 Jul 2024");
    const now = new Date(Date.UTC(2030, 0, 2));
    const later = chatDialect(llama.tokenizer, llama.template, { now });
    expect(later.decode(later.prompt(task).ids)).toContain("Today: 02 Jan 2030");
  });

  it.each([
    [
      "refuses tools",
      "{{ raise_exception('no tools') }}",
      /refuses a conversation in which a tool is called/,
    ],
    [
      "lists no tools",
      "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}",
      /leaves out tool definitions/,
    ],
    [
      "writes no calls",
      "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}",
      /leaves out calls of tools/,
    ],
    [
      "writes calls that nobody reads",
      "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.content }}{% for c in m.tool_calls or [] %}" +
        "CALL {{ c.function.name }} {{ c.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}",
      /writes a call as .*CALL probe_tool/,
    ],
  ])("refuse a template that %s", (_, template, message) => {
    expect(() => chatDialect(qwen3.tokenizer, template)).toThrow(RenderError);
    expect(() => chatDialect(qwen3.tokenizer, template)).toThrow(message);
  });

  it("refuse what is no template, and turns that nothing ends", () => {
    expect(() => chatDialect(qwen3.tokenizer, "{% for %}")).toThrow(ChatTemplateError);
    expect(() => chatDialect(qwen3.tokenizer, qwen3.template, { stopTokens: [] })).toThrow(
      /no control token/,
    );
    expect(() => chatDialect(qwen3.tokenizer, qwen3.template, { stopTokens: ["<think>"] })).toThrow(
      RenderError,
    );
  });

  it("refuse a trace that the template rewrites", () => {
    const template = qwen3.template.replace("loop.index0 > ns.last", "loop.last");
    expect(template).not.toBe(qwen3.template);
    const dialect = chatDialect(qwen3.tokenizer, template);
    expect(dialect.traits.keepsReasoning).toBe(false);
    // Reasoning of the last turn alone: nothing of a trace with observations.
    expect(dialect.trace(task, trace, { level: 4 }).labels).not.toContain(sftLabel.reasoning);
    const numbered = qwen3.template.replace(
      "'<|im_start|>system\\n' }}",
      "'<|im_start|>system\\n' ~ (messages | length) }}",
    );
    expect(numbered).not.toBe(qwen3.template);
    expect(() => chatDialect(qwen3.tokenizer, numbered).trace(task, trace, { level: 4 })).toThrow(
      /rewrites what stands before the expert's turn/,
    );
  });

  it("refuse a delimiter where a further question moves what stands before it", () => {
    const moving = qwen3.template.replace(
      "+ message.content + '\\n</tool_response>' }}",
      "+ message.content + '\\n</tool_response>' ~ (messages | length) }}",
    );
    expect(moving).not.toBe(qwen3.template);
    expect(() => chatDialect(qwen3.tokenizer, moving).context(task, trace.turns, "again")).toThrow(
      RenderError,
    );
  });
});
