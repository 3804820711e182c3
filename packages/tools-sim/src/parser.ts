/**
 * Parses what a policy wrote: `<think>` reasoning, calls in one of several syntaxes, and an `<answer>`. The text is
 * untrusted: it is bounded in length, in calls and in nesting, nothing is evaluated, keys named `__proto__` are refused,
 * and no input makes it throw. Valid calls beside broken ones survive.
 *
 * The syntaxes are in parser/: Hermes and Qwen3 JSON, Qwen3-Coder XML, Python lists; messages.ts reads `tool_calls`.
 * Left out: fenced JSON, calls without tags other than Python's.
 */
import { toolCallJson } from "./json.ts";
import { fromOpenAI } from "./messages.ts";
import { readHermesCall } from "./parser/hermes.ts";
import { readPythonReply } from "./parser/python.ts";
import { isXmlCall, readXmlCall } from "./parser/qwen-xml.ts";
import {
  type CallDefect,
  isDefect,
  type ParsedAssistant,
  type ParsedBlock,
  type ParseError,
  type ParseErrorKind,
  parseLimits,
} from "./parser/shapes.ts";
import type { FinalTurn, Message, ToolCall, ToolDefinition, TraceTurn } from "./types.ts";

export {
  type ParsedAssistant,
  type ParsedBlock,
  type ParseError,
  type ParseErrorKind,
  parseLimits,
} from "./parser/shapes.ts";

/** How calls are written. */
export type ReplyFormat = "hermes" | "qwen-xml" | "openai" | "python" | "auto";

/** Settings of `parseReply`. */
export interface ParseOptions {
  /**
   * Default `auto`: `tool_calls` of a message, else tagged calls of either kind, else a bracketed Python list. Any other
   * format reads its own syntax only; `tool_calls` of a message are read in all.
   */
  format?: ReplyFormat;
  /** The tools on offer: types for Qwen3-Coder's bare values, names for Python's positional arguments. */
  tools?: readonly ToolDefinition[];
}

/**
 * Parses a reply in any of the formats; never throws.
 *
 * @param source - text, or a message as an OpenAI-compatible server sends it; without `tool_calls` its content is parsed
 * @example
 * ```ts
 * parseReply("[cd(folder='docs')]", { format: "python" }).calls[0].function.arguments; // → { folder: "docs" }
 * ```
 */
export function parseReply(source: unknown, options: ParseOptions = {}): ParsedAssistant {
  const { format = "auto", tools = [] } = options;
  if (typeof source !== "string") return readReply(source, (text) => parseReply(text, options));
  if (format === "hermes") return parseTagged(source, readHermesCall);
  if (format === "qwen-xml") return parseTagged(source, (body) => readXmlCall(body, tools));
  if (format === "openai") return parseTagged(source, undefined);
  const parsed = format === "python" ? parseTagged(source, undefined) : parseAssistant(source, tools);
  const isList = format === "python" || /^(?:```\w*\s*)?\[\s*[\p{L}_][\p{L}\p{N}_.]*\s*\(/u.test(parsed.text);
  if (parsed.blocks.length > 0 || !isList) return parsed;
  const blocks = readPythonReply(parsed.text, tools);
  if (blocks.length === 0) return parsed;
  const errors = blocks.flatMap(({ error }) => (error === undefined ? [] : [error]));
  return { ...parsed, text: "", blocks, calls: callsOf(blocks), errors: [...parsed.errors, ...errors] };
}

/**
 * Parses text with tagged calls, Hermes JSON or Qwen3-Coder XML by block; never throws. An unclosed `<think>` reaches to
 * the first call or answer, or the end; without one, reasoning is what stands before a `</think>` that comes first.
 *
 * @param tools - types for the values of XML calls
 * @example
 * ```ts
 * parseAssistant('<tool_call>{"name": "f", "arguments": {}}</tool_call>').calls[0].function.name; // → "f"
 * ```
 */
export function parseAssistant(source: string, tools: readonly ToolDefinition[] = []): ParsedAssistant {
  return parseTagged(source, (body) => (isXmlCall(body) ? readXmlCall(body, tools) : readHermesCall(body)));
}

/**
 * A served model's message as `parseAssistant` would give it: calls come from `tool_calls`; a message without any is
 * parsed as text, since models fall back to writing their calls.
 *
 * @example
 * ```ts
 * parseMessage({ role: "assistant", content: "<answer>7</answer>" }).answer; // → "7"
 * ```
 */
export function parseMessage(message: Message, tools: readonly ToolDefinition[] = []): ParsedAssistant {
  return readReply(message, (text) => parseAssistant(text, tools));
}

function readReply(source: unknown, parseText: (text: string) => ParsedAssistant): ParsedAssistant {
  const { message, blocks, errors } = fromOpenAI(source);
  const parsed = parseText(message.content);
  if (message.reasoning_content !== undefined) parsed.reasoning = message.reasoning_content;
  if (blocks.length === 0) return { ...parsed, errors: [...errors, ...parsed.errors] };
  return { ...parsed, calls: callsOf(blocks), blocks, errors };
}

/** Parses text whose calls are `read` from between tags; without a reader tags are text. */
function parseTagged(
  source: string,
  read: ((body: string) => ToolCall | CallDefect) | undefined,
): ParsedAssistant {
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
  const firstCall = read ? input.indexOf("<tool_call>") : -1;
  if (thinkStart >= 0 && (firstCall < 0 || thinkStart < firstCall)) {
    const bodyStart = thinkStart + "<think>".length;
    const close = input.indexOf("</think>", bodyStart);
    let bodyEnd = close;
    if (close < 0) {
      fail("unclosed_think", "<think> without </think>", thinkStart);
      const ends = [...(read ? ["<tool_call>"] : []), "<answer>"]
        .map((tag) => input.indexOf(tag, bodyStart))
        .filter((i) => i >= 0);
      bodyEnd = Math.min(input.length, ...ends);
    }
    reasoning = input.slice(bodyStart, bodyEnd).trim();
    outside += input.slice(0, thinkStart);
    at = close < 0 ? bodyEnd : close + "</think>".length;
  } else {
    // Templates that write <think> into the prompt leave a reply that begins inside of it.
    const close = input.indexOf("</think>");
    const answer = input.indexOf("<answer>");
    if (close >= 0 && (firstCall < 0 || close < firstCall) && (answer < 0 || close < answer)) {
      reasoning = input.slice(0, close).trim();
      at = close + "</think>".length;
    }
  }

  const blocks: ParsedBlock[] = [];
  while (read) {
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
    const result = read(input.slice(bodyStart, close));
    if (isDefect(result)) blocks.push({ error: fail(result.kind, result.message, start) });
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
  return { reasoning, calls: callsOf(blocks), errors, blocks, text: outside.trim(), answer };
}

function callsOf(blocks: readonly ParsedBlock[]): ToolCall[] {
  return blocks.flatMap(({ call }) => (call === undefined ? [] : [call]));
}

/**
 * Text of an assistant turn, the inverse of `parseAssistant`: reasoning, then calls or the answer.
 *
 * @example
 * ```ts
 * assistantText({ chunks: [{ type: "task_restate", text: "Need 7." }], answer: "7" }); // → "<think>Need 7.</think><answer>7</answer>"
 * ```
 */
export function assistantText(turn: Pick<TraceTurn, "chunks" | "calls"> | FinalTurn): string {
  const reasoning = turn.chunks.map((chunk) => chunk.text).join("");
  const think = reasoning === "" ? "" : `<think>${reasoning}</think>`;
  if ("answer" in turn) return `${think}<answer>${turn.answer}</answer>`;
  return think + turn.calls.map((call) => `<tool_call>${toolCallJson(call)}</tool_call>`).join("");
}
