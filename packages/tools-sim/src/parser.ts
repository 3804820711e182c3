/**
 * Parses what a policy wrote: `<think>` reasoning, Hermes/Qwen `<tool_call>{json}</tool_call>` blocks and an
 * `<answer>`. The text is untrusted: it is bounded in length, in calls and in nesting, nothing is evaluated, keys
 * named `__proto__` are refused, and no input makes it throw. Valid calls beside broken ones survive.
 *
 * Format: the Hermes function-calling convention (NousResearch/Hermes-Function-Calling), as in Qwen's templates.
 * Left out: other call syntaxes (Pythonic calls, fenced JSON).
 */
import { isObject, toolCallJson } from "./json.ts";
import type { FinalTurn, Json, JsonObject, Message, ToolCall, TraceTurn } from "./types.ts";

/** Why a piece of assistant text is not a call. */
export type ParseErrorKind =
  | "invalid_json"
  | "invalid_shape"
  | "unclosed_call"
  | "unclosed_think"
  | "forbidden_key"
  | "too_deep"
  | "too_long"
  | "too_many_calls";

/** One defect, with its position in the text (UTF-16 units). */
export interface ParseError {
  kind: ParseErrorKind;
  message: string;
  at: number;
}

/** A `<tool_call>` block in textual order: a call, or the reason why it is none. */
export type ParsedBlock = { call: ToolCall; error?: undefined } | { call?: undefined; error: ParseError };

/** Everything found in an assistant's text. */
export interface ParsedAssistant {
  /** Inside the first `<think>`, trimmed; undefined without one. Calls in it do not count. */
  reasoning?: string;
  calls: ToolCall[];
  errors: ParseError[];
  /** Calls and broken calls in the order of the text: one observation each. */
  blocks: ParsedBlock[];
  /** What is left outside of reasoning, calls and answer, trimmed. */
  text: string;
  /** Inside the first `<answer>`, trimmed; an unclosed one reaches to the end. */
  answer?: string;
}

/** Bounds on untrusted text. */
export const parseLimits = { textLength: 100_000, callLength: 20_000, calls: 32, depth: 16 } as const;

/**
 * Parses assistant text; never throws. An unclosed `<think>` reaches to the first call or answer, or the end.
 *
 * @example parseAssistant('<tool_call>{"name": "f", "arguments": {}}</tool_call>').calls[0].function.name // "f"
 */
export function parseAssistant(source: string): ParsedAssistant {
  const errors: ParseError[] = [];
  const fail = (kind: ParseErrorKind, message: string, at: number): ParseError => {
    const error = { kind, message, at };
    errors.push(error);
    return error;
  };
  let input = source;
  if (input.length > parseLimits.textLength) {
    fail(
      "too_long",
      `text of ${input.length} characters, ${parseLimits.textLength} are read`,
      parseLimits.textLength,
    );
    input = input.slice(0, parseLimits.textLength);
  }

  let outside = "";
  let reasoning: string | undefined;
  let at = 0;
  const thinkStart = input.indexOf("<think>");
  const firstCall = input.indexOf("<tool_call>");
  if (thinkStart >= 0 && (firstCall < 0 || thinkStart < firstCall)) {
    const bodyStart = thinkStart + "<think>".length;
    const close = input.indexOf("</think>", bodyStart);
    let bodyEnd = close;
    if (close < 0) {
      fail("unclosed_think", "<think> without </think>", thinkStart);
      const ends = ["<tool_call>", "<answer>"]
        .map((tag) => input.indexOf(tag, bodyStart))
        .filter((i) => i >= 0);
      bodyEnd = Math.min(input.length, ...ends);
    }
    reasoning = input.slice(bodyStart, bodyEnd).trim();
    outside += input.slice(0, thinkStart);
    at = close < 0 ? bodyEnd : close + "</think>".length;
  }

  const blocks: ParsedBlock[] = [];
  for (;;) {
    const start = input.indexOf("<tool_call>", at);
    if (start < 0) break;
    outside += input.slice(at, start);
    const bodyStart = start + "<tool_call>".length;
    if (blocks.length === parseLimits.calls) {
      blocks.push({
        error: fail("too_many_calls", `more than ${parseLimits.calls} calls; the rest is not read`, start),
      });
      at = input.length;
      break;
    }
    const close = input.indexOf("</tool_call>", bodyStart);
    const nextOpen = input.indexOf("<tool_call>", bodyStart);
    if (close < 0 || (nextOpen >= 0 && nextOpen < close)) {
      blocks.push({ error: fail("unclosed_call", "<tool_call> without </tool_call>", start) });
      at = nextOpen < 0 ? input.length : nextOpen;
      continue;
    }
    const result = parseCall(input.slice(bodyStart, close));
    if ("kind" in result) blocks.push({ error: fail(result.kind, result.message, start) });
    else blocks.push({ call: result });
    at = close + "</tool_call>".length;
  }
  outside += input.slice(at);

  let answer: string | undefined;
  const answerStart = outside.indexOf("<answer>");
  if (answerStart >= 0) {
    const bodyStart = answerStart + "<answer>".length;
    const close = outside.indexOf("</answer>", bodyStart);
    answer = outside.slice(bodyStart, close < 0 ? outside.length : close).trim();
    outside = outside.slice(0, answerStart) + (close < 0 ? "" : outside.slice(close + "</answer>".length));
  }
  const calls = blocks.flatMap((block) => (block.call === undefined ? [] : [block.call]));
  return { reasoning, calls, errors, blocks, text: outside.trim(), answer };
}

/**
 * A served model's message as `parseAssistant` would give it: calls come from `tool_calls`; a message without any is
 * parsed as text, since models fall back to writing their calls.
 *
 * @example parseMessage({ role: "assistant", content: "<answer>7</answer>" }).answer // "7"
 */
export function parseMessage(message: Message): ParsedAssistant {
  const { tool_calls: calls = [], reasoning_content: reasoning } = message;
  const parsed = parseAssistant(message.content);
  if (reasoning !== undefined) parsed.reasoning = reasoning;
  if (calls.length === 0) return parsed;
  const kept = calls.slice(0, parseLimits.calls);
  return { ...parsed, calls: kept, blocks: kept.map((call) => ({ call })), errors: [] };
}

type CallDefect = Pick<ParseError, "kind" | "message">;

function parseCall(body: string): ToolCall | CallDefect {
  if (body.length > parseLimits.callLength)
    return {
      kind: "too_long",
      message: `call of ${body.length} characters, at most ${parseLimits.callLength}`,
    };
  if (nesting(body) > parseLimits.depth)
    return { kind: "too_deep", message: `call nested deeper than ${parseLimits.depth}` };
  let value: Json;
  try {
    value = JSON.parse(body) as Json;
  } catch {
    return { kind: "invalid_json", message: "call is not valid JSON" };
  }
  if (!isObject(value)) return { kind: "invalid_shape", message: "call is not a JSON object" };
  if (hasForbiddenKey(value)) return { kind: "forbidden_key", message: "key __proto__ is not allowed" };
  const name = Object.hasOwn(value, "name") ? value.name : undefined;
  const args: Json | undefined = Object.hasOwn(value, "arguments") ? value.arguments : undefined;
  if (typeof name !== "string" || name === "")
    return { kind: "invalid_shape", message: '"name" must be a non-empty string' };
  if (!isObject(args)) return { kind: "invalid_shape", message: '"arguments" must be an object' };
  return { type: "function", function: { name, arguments: args } };
}

/** Deepest nesting of brackets outside strings; checked before JSON.parse, which recurses. */
function nesting(body: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < body.length; i++) {
    const c = body[i];
    if (inString) {
      if (c === "\\") i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === "{" || c === "[") deepest = Math.max(deepest, ++depth);
    else if (c === "}" || c === "]") depth--;
  }
  return deepest;
}

function hasForbiddenKey(value: Json): boolean {
  if (Array.isArray(value)) return value.some(hasForbiddenKey);
  if (!isObject(value)) return false;
  return Object.keys(value).some((key) => key === "__proto__" || hasForbiddenKey((value as JsonObject)[key]));
}

/**
 * Text of an assistant turn, the inverse of `parseAssistant`: reasoning, then calls or the answer.
 *
 * @example assistantText(trace.turns[0]) // '<think>Need …</think><tool_call>{"name": …}</tool_call>'
 */
export function assistantText(turn: Pick<TraceTurn, "chunks" | "calls"> | FinalTurn): string {
  const reasoning = turn.chunks.map((chunk) => chunk.text).join("");
  const think = reasoning === "" ? "" : `<think>${reasoning}</think>`;
  if ("answer" in turn) return `${think}<answer>${turn.answer}</answer>`;
  return think + turn.calls.map((call) => `<tool_call>${toolCallJson(call)}</tool_call>`).join("");
}
