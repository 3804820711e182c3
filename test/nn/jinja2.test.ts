/**
 * Templates against Jinja2 in Python: jinja2-cases.json holds what `render_jinja_template` of transformers 5.18.0 (Jinja2
 * 3.1.6, `trim_blocks` and `lstrip_blocks` as it sets them) gave for expressions that chat templates use, and for the
 * templates of test/helpers/chat-templates.ts on 26 Jul 2024, with bos_token "<s>" and enable_thinking false.
 */
import { readFileSync } from "node:fs";
import { ChatTemplateError, renderChat } from "@pact/nn";
import { describe, expect, it } from "vitest";
import { llamaLike, qwen3Like, qwen25Like } from "../helpers/chat-templates.ts";

const templates = { llamaLike, qwen3Like, qwen25Like };

interface Cases {
  readonly values: { readonly m: object[] };
  readonly cases: readonly { readonly source: string; readonly text: string }[];
  readonly tool: object;
  readonly conversations: readonly object[][];
  /** `text` is null where the template refused. */
  readonly chats: readonly {
    readonly template: keyof typeof templates;
    readonly messages: number;
    readonly tools: number;
    readonly prompt: boolean;
    readonly text: string | null;
  }[];
}
const file = new URL("jinja2-cases.json", import.meta.url);
const { values, cases, tool, conversations, chats }: Cases = JSON.parse(readFileSync(file, "utf8"));

describe("what Jinja2 makes of it, renderChat makes of it", () => {
  it.each(cases)("$source", ({ source, text }) => {
    expect(renderChat(source, values.m, [], { variables: { ...values } })).toBe(text);
  });

  it.each(chats)("$template, conversation $messages, $tools tools", (chat) => {
    const render = () =>
      renderChat(templates[chat.template], conversations[chat.messages], chat.tools === 0 ? [] : [tool], {
        addGenerationPrompt: chat.prompt,
        variables: { bos_token: "<s>", enable_thinking: false },
        now: new Date("2024-07-26T12:00:00Z"),
      });
    if (chat.text === null) expect(render).toThrow(ChatTemplateError);
    else expect(render()).toBe(chat.text);
  });
});

describe("values that are no text are printed as Python prints them", () => {
  it.each<[unknown, string]>([
    ["it's", '["it\'s"]'],
    ['it\'s "so"', "['it\\'s \"so\"']"],
    [
      "a\n\t\\\u0000\u007f\u00a0\u200b\u{e0001} é日👩",
      "['a\\n\\t\\\\\\x00\\x7f\\xa0\\u200b\\U000e0001 é日👩']",
    ],
    [0.00001, "[1e-05]"],
    [0.0001, "[0.0001]"],
    [-1.5e-12, "[-1.5e-12]"],
    [123456.75, "[123456.75]"],
    [{ a: [], b: {} }, "[{'a': [], 'b': {}}]"],
  ])("%j", (value, text) => {
    expect(renderChat("{{ x }}", [], [], { variables: { x: [value] } })).toBe(text);
  });
});
