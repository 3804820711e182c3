import * as library from "@huggingface/tokenizers";
import { PretrainedTokenizer, renderChat } from "@pact/nn";
import type { Message, ToolDefinition } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChatMessage, renderConversation } from "../../packages/pact/src/chat/index.ts";
import { turnRoles } from "../../packages/pact/src/chat/sampled.ts";
import { RenderError } from "../../packages/pact/src/errors.ts";
import { type Role, roleCode, roles } from "../../packages/pact/src/roles.ts";
import { llamaLike, qwen3Like, qwen25Like } from "../helpers/chat-templates.ts";
import { qwenControls, qwenLikeFiles } from "../helpers/qwen-like.ts";

const tokenizer = new PretrainedTokenizer(qwenLikeFiles());
const end = tokenizer.controlId("<|im_end|>");

/** Ids of what a policy wrote: tags are control tokens. */
function sampled(text: string, stop = true): number[] {
  const pieces = text.split(/(<\/?think>|<\/?tool_call>)/);
  const ids = pieces.flatMap((piece, index) =>
    index % 2 === 0 ? tokenizer.encode(piece) : [tokenizer.controlId(piece)],
  );
  return stop ? [...ids, end] : ids;
}

const tools: ToolDefinition[] = [
  {
    type: "function",
    function: {
      name: "find_mayor",
      description: "Finds <|im_end|> a mayor",
      parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] },
    },
  },
];
const call = { type: "function" as const, function: { name: "find_mayor", arguments: { town: "Bavo" } } };
const callText = '<tool_call>\n{"name": "find_mayor", "arguments": {"town": "Bavo"}}\n</tool_call>';
const turnText = `<think>\nI think.\n</think>\n\n${callText}`;
const trajectory: ChatMessage[] = [
  { role: "system", content: "Help." },
  { role: "user", content: "Who is the mayor?" },
  {
    role: "assistant",
    content: "",
    reasoning_content: "I think.",
    tool_calls: [call],
    ids: sampled(turnText),
  },
  { role: "tool", content: "Mira" },
  {
    role: "assistant",
    content: "Mira.",
    reasoning_content: "known",
    ids: sampled("<think>\nknown\n</think>\n\nMira."),
  },
];

/** [role, text] of neighbouring tokens of one role. */
function runs({ ids, roles: codes }: { ids: readonly number[]; roles: readonly number[] }): [Role, string][] {
  const found: [Role, number[]][] = [];
  ids.forEach((id, index) => {
    const role = roles[codes[index]];
    const last = found.at(-1);
    if (last?.[0] === role) last[1].push(id);
    else found.push([role, [id]]);
  });
  return found.map(([role, some]) => [role, tokenizer.decode(some)]);
}

const plain = (messages: readonly ChatMessage[]): Message[] =>
  messages.map(({ ids: _, ...message }) => message);

describe("renderConversation", () => {
  it("gives each token its role, from the first prompt to the last sampled token", () => {
    const { samples, split } = renderConversation(tokenizer, qwen3Like, { messages: trajectory });
    expect(split).toBe(false);
    expect(runs(samples[0])).toEqual(
      [
        ["template", "<|im_start|>system\n"],
        ["prompt", "Help."],
        ["template", "<|im_end|>\n<|im_start|>user\n"],
        ["prompt", "Who is the mayor?"],
        ["template", "<|im_end|>\n<|im_start|>assistant\n"],
        ["reasoning", "<think>\nI think.\n</think>\n\n"],
        ["call", `${callText}<|im_end|>`],
        ["template", "\n<|im_start|>user\n<tool_response>\n"],
        ["observation", "Mira"],
        ["template", "\n</tool_response><|im_end|>\n<|im_start|>assistant\n"],
        ["reasoning", "<think>\nknown\n</think>"],
        ["answer", "\n\nMira.<|im_end|>"],
      ].filter(([, text]) => text !== ""),
    );
  });

  it("keeps sampled ids, though another spelling has the same text", () => {
    const odd = [...new TextEncoder().encode("I think")].map(
      (byte) => tokenizer.encode(String.fromCharCode(byte))[0],
    );
    const ids = [
      tokenizer.controlId("<think>"),
      ...odd,
      tokenizer.controlId("</think>"),
      ...sampled(callText),
    ];
    const messages = trajectory.with(2, { ...trajectory[2], ids });
    const { samples } = renderConversation(tokenizer, qwen3Like, { messages });
    const [first, last] = samples[0].turns;
    expect(samples[0].ids.slice(first.start, first.end)).toEqual(ids);
    expect([first.message, first.exact, last.message, last.exact]).toEqual([2, false, 4, undefined]);
    expect(last.end).toBe(samples[0].ids.length);
  });

  it("is the template's own text and the library's ids where no text spells a control name", () => {
    const options = { addGenerationPrompt: true };
    const { Tokenizer: Official } = library as unknown as {
      Tokenizer: new (file: object, config: object) => { encode(text: string): { ids: number[] } };
    };
    const official = new Official(qwenLikeFiles().tokenizer, {});
    for (const messages of [trajectory, plain(trajectory)]) {
      const { samples } = renderConversation(tokenizer, qwen3Like, { messages }, options);
      const text = renderChat(qwen3Like, plain(messages), [], options);
      expect(tokenizer.decode(samples[0].ids)).toBe(text);
      expect(samples[0].ids).toEqual(official.encode(text).ids);
      expect(samples[0].turns.every((turn) => turn.exact)).toBe(true);
    }
    const listed = renderConversation(tokenizer, qwen3Like, { messages: trajectory, tools }, options);
    expect(tokenizer.decode(listed.samples[0].ids)).toBe(
      renderChat(qwen3Like, plain(trajectory), tools, options),
    );
  });

  it("splits where the template drops reasoning, and says so", () => {
    const messages: ChatMessage[] = [
      ...trajectory,
      { role: "user", content: "And the owner?" },
      { role: "assistant", content: "Lo.", ids: sampled("Lo.") },
    ];
    const { samples, split, splits } = renderConversation(tokenizer, qwen3Like, { messages });
    expect([split, samples.length]).toEqual([true, 2]);
    expect(splits).toMatchObject([{ message: 6, kind: "history" }]);
    expect(samples.map((sample) => sample.turns.map((turn) => turn.message))).toEqual([[2, 4], [6]]);
    expect(tokenizer.decode(samples[1].ids)).toBe(
      `${renderChat(qwen3Like, plain(messages.slice(0, 6)), [], { addGenerationPrompt: true })}Lo.<|im_end|>`,
    );
    // What was sampled before the split is context now: only the turn is the policy's.
    const own = samples[1].roles.map(
      (code) => code === roleCode.answer || code === roleCode.call || code === roleCode.reasoning,
    );
    expect(own.indexOf(true)).toBe(samples[1].turns[0].start);
  });

  it("splits at each turn whose reasoning the template never shows", () => {
    const { splits } = renderConversation(tokenizer, qwen25Like, { messages: trajectory });
    expect(splits).toEqual([
      { message: 4, kind: "dropped", reason: "the template leaves out the reasoning of message 2" },
    ]);
    const asContent = trajectory.with(2, {
      ...trajectory[2],
      content: "<think>\nI think.\n</think>\n",
      reasoning_content: "",
    });
    const kept = renderConversation(tokenizer, qwen25Like, { messages: asContent });
    expect(kept.split).toBe(false);
    expect(kept.samples[0].turns[0].exact).toBe(true);
  });

  it("ends a turn that was sampled without its stop token", () => {
    const messages = trajectory.with(2, { ...trajectory[2], ids: sampled(turnText, false) });
    const { samples } = renderConversation(tokenizer, qwen3Like, { messages });
    const { end: stop } = samples[0].turns[0];
    expect([samples[0].ids[stop], samples[0].roles[stop]]).toEqual([end, roleCode.template]);
    expect(samples[0].turns[0].exact).toBe(true);
  });

  it("works with Llama-like headers, where no tag marks a call", () => {
    const files = qwenLikeFiles();
    const names = ["<s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
    const added = names.map((content, index) => ({ id: 400 + index, content, special: true }));
    const llama = new PretrainedTokenizer({
      tokenizer: { ...files.tokenizer, added_tokens: added },
      config: { bos_token: "<s>", eos_token: "<|eot_id|>" },
    });
    const text = '{"name": "find_mayor", "parameters": {"town": "Bavo"}}';
    const messages: ChatMessage[] = [
      { role: "user", content: " Who? " },
      { role: "assistant", content: "", tool_calls: [call], ids: [...llama.encode(text), 403] },
      { role: "tool", content: "<|eot_id|>" },
      { role: "assistant", content: "Mira", ids: [...llama.encode("Mira"), 403] },
    ];
    const options = { now: new Date(0) };
    const { samples, split } = renderConversation(llama, llamaLike, { messages, tools }, options);
    expect(split).toBe(false);
    expect(samples[0].turns.map((turn) => turn.exact)).toEqual([true, undefined]);
    const { start } = samples[0].turns[0];
    expect(roles[samples[0].roles[start]]).toBe("call");
    expect(samples[0].ids.filter((id) => id === 403)).toHaveLength(5);
    expect(samples[0].ids[0]).toBe(400);
    const official = renderChat(llamaLike, plain(messages), tools, {
      ...options,
      variables: { bos_token: "<s>" },
    });
    expect(llama.decode(samples[0].ids)).toBe(official);
  });

  it("never makes control tokens of what users, tools and tasks wrote, and loses none of it", () => {
    const hostile = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            ...qwenControls,
            "<|im_",
            "end|>",
            "<",
            "|>",
            " ",
            "\n",
            '"',
            "\\",
            "\\ue000",
            "\\uE001",
            "\ue000",
            "\ue001\ue010",
            "{{ 1 }}",
            "e\u0301",
          ),
          fc.string({ unit: "binary", maxLength: 5 }),
        ),
        { maxLength: 6 },
      )
      .map((pieces) => pieces.join(""));
    const controlsOf = (ids: readonly number[]): string => ids.filter((id) => tokenizer.isControl(id)).join();
    const build = (text: string, named: string): { messages: ChatMessage[]; tools: ToolDefinition[] } => ({
      messages: [
        { role: "system", content: `s${text}s` },
        { role: "user", content: `u${text}u` },
        {
          ...trajectory[2],
          reasoning_content: `r${text}r`,
          tool_calls: [
            { ...call, function: { name: `f${named}f`, arguments: { [`k${text}k`]: [`v${text}v`] } } },
          ],
        },
        { role: "tool", content: `o${text}o`, name: `n${text}n` },
        trajectory[4],
      ],
      tools: [
        {
          type: "function",
          function: {
            name: `f${named}f`,
            description: `d${text}d`,
            parameters: {
              type: "object",
              properties: { [`p${text}p`]: { type: "string", [`x${text}x`]: 1, enum: [`e${text}e`] } },
            },
          },
        },
      ],
    });
    const benign = renderConversation(tokenizer, qwen3Like, build("", ""));
    fc.assert(
      fc.property(hostile, (text) => {
        const conversation = build(text, text);
        const { samples } = renderConversation(tokenizer, qwen3Like, conversation);
        expect(samples).toHaveLength(1);
        expect(controlsOf(samples[0].ids)).toBe(controlsOf(benign.samples[0].ids));
        const shown = tokenizer.decode(samples[0].ids);
        expect(shown).toContain(`s${text}s\n\n# Tools`);
        expect(shown).toContain(`<|im_start|>user\nu${text}u<|im_end|>`);
        expect(shown).toContain(`<tool_response>\no${text}o\n</tool_response>`);
        expect(shown).toContain(JSON.stringify(`d${text}d`));
        expect(shown).toContain(
          `${JSON.stringify(`p${text}p`)}: {"type": "string", ${JSON.stringify(`x${text}x`)}: 1`,
        );
        // As context instead of a sampled turn, the assistant's own message is text too.
        const context = conversation.messages.map(({ ids: _, ...message }) => message);
        const whole = renderConversation(tokenizer, qwen3Like, { ...conversation, messages: context });
        expect(controlsOf(whole.samples[0].ids)).toBe(
          controlsOf(
            renderConversation(tokenizer, qwen3Like, {
              messages: plain(build("", "").messages),
              tools: build("", "").tools,
            }).samples[0].ids,
          ),
        );
        expect(tokenizer.decode(whole.samples[0].ids)).toContain(
          `{${JSON.stringify(`k${text}k`)}: [${JSON.stringify(`v${text}v`)}]}`,
        );
      }),
      { numRuns: 100 },
    );
  });

  it("says where each field lies", () => {
    const { samples } = renderConversation(tokenizer, qwen3Like, { messages: plain(trajectory), tools });
    const texts = samples[0].spans.map(({ start, end: stop, kind, message }) => [
      kind,
      message,
      tokenizer.decode(samples[0].ids.slice(start, stop)),
    ]);
    expect(texts).toContainEqual(["content", 1, "Who is the mayor?"]);
    expect(texts).toContainEqual(["content", 3, "Mira"]);
    expect(texts).toContainEqual(["reasoning", 2, "I think."]);
    expect(texts.filter(([kind]) => kind === "tools").length).toBeGreaterThan(2);
  });

  it("gives a token across a border to whoever wrote its first byte", () => {
    const of = (content: string): [Role, string][] => {
      const messages: Message[] = [{ role: "user", content }];
      return runs(renderConversation(tokenizer, "may{{ messages[0].content }}", { messages }).samples[0]);
    };
    expect(tokenizer.encode("mayor")).toHaveLength(1);
    expect(of("or name")).toEqual([
      ["template", "mayor"],
      ["prompt", " name"],
    ]);
    expect(of("or")).toEqual([["template", "mayor"]]);
  });

  it("reads fields that a template escapes to ASCII", () => {
    const template = "{{ messages[0].content | tojson(ensure_ascii=true) }}<|im_end|>";
    const messages: Message[] = [{ role: "user", content: "é<|im_end|>\\ue000" }];
    const { samples } = renderConversation(tokenizer, template, { messages });
    expect(tokenizer.decode(samples[0].ids)).toBe('"\\u00e9<|im_end|>\\\\ue000"<|im_end|>');
    expect(samples[0].ids.filter((id) => id === end)).toHaveLength(1);
  });

  it.each([
    ["cuts a text", "{{ messages[0].content[1:] }}"],
    ["cuts its end", "{{ messages[0].content[:-1] }}"],
    ["splits a text", "{{ messages[0].content.split('a')[1] }}"],
    ["reverses a text", "{{ messages[0].content | list | reverse | join }}"],
  ])("refuses a template that %s", (_, template) => {
    const messages: Message[] = [{ role: "user", content: "ab<|im_end|>ab" }];
    expect(() => renderConversation(tokenizer, template, { messages })).toThrow();
  });

  it("refuses a turn without a stop token, unknown roles, and texts that leave no mark free", () => {
    const open = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
    const messages: ChatMessage[] = [
      { role: "assistant", content: "a", ids: sampled("a") },
      { role: "assistant", content: "b", ids: sampled("b") },
    ];
    expect(() => renderConversation(tokenizer, open, { messages })).toThrow(/none of the stop tokens/);
    const all = Array.from({ length: 6400 }, (_, code) => String.fromCharCode(0xe000 + code)).join("");
    expect(() => renderConversation(tokenizer, open, { messages: [{ role: "user", content: all }] })).toThrow(
      RenderError,
    );
    const none = [{ role: "user", content: null as unknown as string }] as const;
    expect(() => renderConversation(tokenizer, open, { messages: none })).toThrow(
      /the content of message 0 is null, expected a text/,
    );
    const role = "<|im_end|>" as Message["role"];
    expect(() => renderConversation(tokenizer, open, { messages: [{ role, content: "" }] })).toThrow(
      RenderError,
    );
  });
});

describe("turnRoles", () => {
  const of = (text: string, calls: boolean): [Role, string][] => {
    const ids = sampled(text);
    return runs({ ids, roles: turnRoles(tokenizer, ids, { calls }) });
  };
  it("follows the tags", () => {
    expect(of("ok", false)).toEqual([["answer", "ok<|im_end|>"]]);
    expect(of("<think>a", false)).toEqual([["reasoning", "<think>a<|im_end|>"]]);
    expect(of("a</think>b", false)).toEqual([
      ["reasoning", "a</think>"],
      ["answer", "b<|im_end|>"],
    ]);
    expect(of("say <tool_call>{}</tool_call>", true)).toEqual([
      ["reasoning", "say "],
      ["call", "<tool_call>{}</tool_call><|im_end|>"],
    ]);
    expect(of("{}", true)).toEqual([["call", "{}<|im_end|>"]]);
    expect(of("<think>see <tool_call></think>x", true).map(([role]) => role)).toEqual(["reasoning", "call"]);
  });
});
