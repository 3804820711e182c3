/**
 * What a chat template can do, found by rendering a small conversation with tools: where it takes reasoning, how it writes
 * calls, how many of them one turn may have. A template that can not hold a tool episode is refused here, before anything
 * else happens.
 */
import { type ChatTemplate, ChatTemplateError, type TokenizerLike } from "@pact/nn";
import type { Message, ToolDefinition } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import type { FieldKind } from "./fields.ts";
import { type ConversationOptions, ConversationRenderer } from "./renderer.ts";
import { hermesTags } from "./sampled.ts";

/** What a template can do. */
export interface TemplateTraits {
  /** Where it takes reasoning; see `ConversationOptions`. */
  readonly reasoning: "field" | "content";
  /** Whether a turn that calls tools keeps its reasoning when it is written. */
  readonly keepsReasoning: boolean;
  /** Whether one turn may call several tools. */
  readonly parallelCalls: boolean;
  /** `tagged`: between `<tool_call>` tags; `bare`: a JSON object that is the whole reply. */
  readonly calls: "tagged" | "bare";
  /** Whether what opens a turn opens its reasoning, too. */
  readonly opensReasoning: boolean;
}

const tool: ToolDefinition = {
  type: "function",
  function: {
    name: "probe_tool",
    description: "A probe.",
    parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] },
  },
};
const call = { type: "function" as const, function: { name: "probe_tool", arguments: { town: "Bavo" } } };

function episode(calls: number): Message[] {
  const results = Array.from({ length: calls }, (_, index) => `seen ${index}`);
  return [
    { role: "user", content: "Which?" },
    { role: "assistant", content: "", reasoning_content: "because", tool_calls: results.map(() => call) },
    ...results.map((content): Message => ({ role: "tool", name: "probe_tool", content })),
  ];
}

/**
 * Finds out what a template can do.
 *
 * @param options stop tokens, variables and time, as for every rendering
 * @throws RenderError if the template can not hold an episode: it refuses tools, leaves out tool definitions, calls or their
 * results, ends turns with none of the stop tokens, or writes calls in a way that environments do not read
 */
export function templateTraits(
  tokenizer: TokenizerLike,
  template: ChatTemplate,
  options: ConversationOptions,
): TemplateTraits {
  const render = (calls: number, reasoning: "field" | "content") => {
    const messages = episode(calls);
    const renderer = new ConversationRenderer(
      tokenizer,
      template,
      { messages, tools: [tool] },
      { ...options, reasoning },
    );
    const { marks, marked } = renderer;
    const prompt = renderer.prompt(1);
    const next = renderer.prompt(messages.length);
    const shown = new Set(marks.parts(next).flatMap(({ field }) => (field === undefined ? [] : [field])));
    const missing = marked.fields.filter((field, index) => field.kind !== "label" && !shown.has(index));
    const kinds = new Set(
      missing.filter((field) => field.shown).map(({ kind, message }) => (message === 2 ? "result" : kind)),
    );
    const missingKinds: ReadonlySet<FieldKind | "result"> = kinds;
    return { renderer, prompt, next, missing: missingKinds, whole: missing.every((field) => !field.shown) };
  };
  const attempt = <T>(run: () => T): T | ChatTemplateError => {
    try {
      return run();
    } catch (error) {
      if (error instanceof ChatTemplateError) return error;
      throw error;
    }
  };
  const first = attempt(() => render(1, "field"));
  if (first instanceof ChatTemplateError)
    throw unfit(`refuses a conversation in which a tool is called (${first.message})`);
  for (const [kind, what] of [
    ["tools", "tool definitions"],
    ["call", "calls of tools"],
    ["result", "results of tools"],
  ] as const)
    if (first.missing.has(kind)) throw unfit(`leaves out ${what}`);
  // A template that writes the reasoning of a last turn knows what it is, and leaves out that of earlier turns on purpose.
  const isField = !first.missing.has("reasoning") || writesReasoning(tokenizer, template, options);
  const second = isField ? first : render(1, "content");
  const { renderer, prompt, next } = second;
  const both = attempt(() => render(2, isField ? "field" : "content"));
  const { body } = renderer.cutTurn(1, renderer.marks.parts(next.slice(prompt.length)));
  const said = body.map(({ text }) => text).join("");
  const isTagged = said.includes(hermesTags.callStart);
  if (!isTagged && !isBareCall(said)) throw unfit(`writes a call as ${JSON.stringify(said.slice(0, 120))}`);
  return {
    reasoning: isField ? "field" : "content",
    keepsReasoning: !second.missing.has("reasoning"),
    parallelCalls: !(both instanceof ChatTemplateError) && !both.missing.has("call"),
    calls: isTagged ? "tagged" : "bare",
    opensReasoning: renderer.marks.plain(prompt).trimEnd().endsWith(hermesTags.reasoningStart),
  };
}

/** Whether a template writes the reasoning of an answer that ends the conversation. */
function writesReasoning(
  tokenizer: TokenizerLike,
  template: ChatTemplate,
  options: ConversationOptions,
): boolean {
  const messages: Message[] = [
    { role: "user", content: "Which?" },
    { role: "assistant", content: "This.", reasoning_content: "because" },
  ];
  const renderer = new ConversationRenderer(tokenizer, template, { messages }, options);
  const { fields } = renderer.marked;
  try {
    const parts = renderer.marks.parts(renderer.render(2, false));
    return parts.some(({ field }) => field !== undefined && fields[field].kind === "reasoning");
  } catch {
    return false;
  }
}

function unfit(what: string): RenderError {
  return new RenderError(
    `the chat template ${what}. Training on tools needs a template that lists tools and writes calls as JSON with a name, ` +
      "between <tool_call> tags or alone, and their results as messages of role tool: take a model that was trained to " +
      "use tools, or put such a template into chat_template.jinja of its folder.",
  );
}

/** Whether a reply, its reasoning left out, is one JSON object with the name of a tool. */
function isBareCall(reply: string): boolean {
  return /^\s*\{\s*"name"\s*:/.test(afterReasoning(reply));
}

/** A reply without its reasoning, an unfinished one included. */
export function afterReasoning(reply: string): string {
  const { reasoningStart, reasoningEnd } = hermesTags;
  const closed = reply.indexOf(reasoningEnd);
  if (closed >= 0) return reply.slice(closed + reasoningEnd.length);
  return reply.trimStart().startsWith(reasoningStart) ? "" : reply;
}

/**
 * What an environment reads of a reply: a bare call between tags, with `arguments` for `parameters`; every other reply as
 * it is. What begins as a call and is no JSON becomes a broken call, which an environment answers with an error.
 */
export function taggedReply(reply: string): string {
  const own = afterReasoning(reply);
  if (own.includes(hermesTags.callStart) || !isBareCall(own)) return reply;
  return `${reply.slice(0, reply.length - own.length)}<tool_call>${withArguments(own)}</tool_call>`;
}

function withArguments(text: string): string {
  try {
    const { parameters, ...rest } = JSON.parse(text) as Record<string, unknown>;
    const isRenamed = parameters !== undefined && !Object.hasOwn(rest, "arguments");
    return isRenamed ? JSON.stringify({ ...rest, arguments: parameters }) : text;
  } catch {
    return text;
  }
}
