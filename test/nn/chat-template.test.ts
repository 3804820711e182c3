import { ChatTemplate, ChatTemplateError, renderChat } from "@pact/nn";
import { describe, expect, it } from "vitest";
import { llamaLike, qwen3Like, qwen25Like } from "../helpers/chat-templates.ts";

const tool = {
  type: "function",
  function: { name: "find", description: "d", parameters: { type: "object" } },
};
const messages = [
  { role: "user", content: "Who?" },
  {
    role: "assistant",
    content: "",
    reasoning_content: "hm\n",
    tool_calls: [{ type: "function", function: { name: "find", arguments: { town: "Bavo é", n: 2 } } }],
  },
  { role: "tool", content: "Mira" },
  { role: "tool", content: "Lo" },
];

function kindOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ChatTemplateError) return error.kind;
    throw error;
  }
  return "none";
}

describe("renderChat", () => {
  it("renders reasoning, calls and observations as Qwen3 does", () => {
    expect(renderChat(qwen3Like, messages, [tool], { addGenerationPrompt: true })).toBe(
      "<|im_start|>system\n# Tools\n" +
        '{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}<|im_end|>\n' +
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\n" +
        '<tool_call>\n{"name": "find", "arguments": {"town": "Bavo é", "n": 2}}\n</tool_call><|im_end|>\n' +
        "<|im_start|>user\n<tool_response>\nMira\n</tool_response>\n<tool_response>\nLo\n</tool_response><|im_end|>\n" +
        "<|im_start|>assistant\n",
    );
  });

  it("leaves reasoning out where Qwen2.5's template has none", () => {
    expect(renderChat(qwen25Like, messages.slice(0, 2))).toBe(
      "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n" +
        '<tool_call>\n{"name": "find", "arguments": {"town": "Bavo é", "n": 2}}\n</tool_call><|im_end|>\n',
    );
  });

  it("gives the variables and the date", () => {
    const options = { variables: { bos_token: "<s>" }, now: new Date("2026-11-21T23:59:00Z") };
    expect(renderChat(llamaLike, [{ role: "user", content: " hi " }], [], options)).toBe(
      "<s><|start_header_id|>system<|end_header_id|>\n\nToday: 21 Nov 2026<|eot_id|>" +
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    );
    const formats = "{{ strftime_now('%Y-%m-%d %B %a %A %H:%M:%S %% %q') }}";
    expect(renderChat(formats, [], [], options)).toBe("2026-11-21 November Sat Saturday 23:59:00 % %q");
  });

  it.each([
    ["syntax", "{% for m in messages %}"],
    ["syntax", "{{ 'open }}"],
    ["missing", "{{ bos_token }}"],
    ["missing", "{% if true %}{% for m in messages %}{{ nothing }}{% endfor %}{% endif %}"],
    ["missing", "{{ 'a' + messages[0].nothing }}"],
    ["raised", "{{ raise_exception('no') }}"],
    ["limit", "{% for i in range(20000) %}{% endfor %}"],
    ["limit", "{% set r = range(9999) %}{% for i in r %}{% for j in r if j %}{% endfor %}{% endfor %}"],
    [
      "limit",
      "{% set n = namespace(s='aaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    ],
    ["runtime", "{{ messages | nothing }}"],
    ["runtime", "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}"],
    [
      "none",
      "{{ messages[0].nothing }}{% if nothing %}{% endif %}{{ range(3) | join(',') }}{{ range(5, 1, -2) | join }}",
    ],
  ])("says what is wrong: %s in %s", (kind, source) => {
    expect(kindOf(() => renderChat(source, messages, [], { maxSteps: 20_000 }))).toBe(kind);
  });

  it("has the template's own words in its refusal", () => {
    const calls = [messages[1].tool_calls?.[0], messages[1].tool_calls?.[0]];
    const two = [{ role: "assistant", content: "", tool_calls: calls }];
    expect(() => renderChat(llamaLike, two, [], { variables: { bos_token: "" } })).toThrow(
      /one call per turn/,
    );
  });

  it("keeps its text below the limit given", () => {
    expect(kindOf(() => renderChat("{{ messages[0].content }}", messages, [], { maxLength: 3 }))).toBe(
      "limit",
    );
    expect(renderChat("{{ messages[0].content }}", messages, [], { maxLength: 4 })).toBe("Who?");
  });

  it("shows templates nothing but JSON", () => {
    const hostile = [
      "{{ messages.constructor }}",
      "{{ ''.constructor.constructor }}",
      "{{ messages[0].__proto__ }}",
      "{{ messages[0]['constructor'] }}",
      "{{ range.constructor }}",
      "{{ raise_exception.prototype }}",
      "{{ namespace().constructor }}",
    ];
    for (const source of hostile) expect(renderChat(source, messages)).toBe("");
    let called = false;
    const withGetter = {
      role: "user",
      run: () => {
        called = true;
        return "x";
      },
    };
    expect(kindOf(() => renderChat("{{ messages[0].run() }}", [withGetter]))).toBe("runtime");
    expect(called).toBe(false);
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(kindOf(() => renderChat("", [circular]))).toBe("runtime");
  });

  it("strips the characters named, and loops over nothing where a list is undefined, as Jinja2", () => {
    const text = [{ role: "user", content: "\n  a\n \n" }];
    expect(renderChat("[{{ messages[0].content.strip('\\n') }}]", text)).toBe("[  a\n ]");
    expect(renderChat("[{{ messages[0].content.lstrip('\\n') }}]", text)).toBe("[  a\n \n]");
    expect(renderChat("[{{ messages[0].content.rstrip('\\n ') }}]", text)).toBe("[\n  a]");
    expect(renderChat("[{{ messages[0].content.strip() }}]", text)).toBe("[a]");
    expect(renderChat("{% for c in messages[0].calls %}x{% else %}none{% endfor %}", text)).toBe("none");
  });

  it("takes a parsed template again and again", () => {
    const template = new ChatTemplate("{{ messages | length }}");
    expect([renderChat(template, []), renderChat(template, messages)]).toEqual(["0", "4"]);
  });
});
