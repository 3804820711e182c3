/**
 * OpenAI chat messages in and out. On the wire `arguments` is a JSON string, `content` may be null or a list of parts,
 * and each tool message answers one call by its id; here arguments are an object, content is text, and a call's JSON text
 * stays beside it (`argumentsText`). What a server sent is untrusted: it is bounded and nothing in it throws.
 *
 * Source: the OpenAI API reference, "Chat completions: messages"; `reasoning_content` and `reasoning` as vLLM and others
 * send them. Left out: images, audio and files (typed errors), tools other than functions.
 */
import { isObject, spacedJson } from "./json.ts";
import { parseJson } from "./parser/json-text.ts";
import {
  type CallDefect,
  checkedCall,
  isDefect,
  type ParsedBlock,
  type ParseError,
  parseLimits,
} from "./parser/shapes.ts";
import type { Message, ToolCall } from "./types.ts";

/** A message as it was read. */
export interface ReadMessage {
  /** The message, with those of its calls that are valid. */
  message: Message;
  /** Its calls and broken calls in order. */
  blocks: ParsedBlock[];
  /** Every defect, those of broken calls included. */
  errors: ParseError[];
}

/** A message in OpenAI's wire format. */
export interface OpenAIMessage {
  role: Message["role"];
  content: string | null;
  reasoning_content?: string;
  name?: string;
  tool_call_id?: string;
  tool_calls?: { id?: string; type: "function"; function: { name: string; arguments: string } }[];
}

const roles: ReadonlyMap<unknown, Message["role"]> = new Map<unknown, Message["role"]>([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
  ["tool", "tool"],
]);

/**
 * Reads a message from an OpenAI-compatible server, or one of ours. Never throws: what does not fit is in `errors`.
 * Calls have distinct ids afterwards: one that is missing or was given before is replaced by `call_<index>`. Empty
 * `arguments` stand for none. A refusal becomes the content if there is no other.
 *
 * @param message - anything; `choices[0].message` of a completion
 * @example
 * ```ts
 * const call = { id: "1", type: "function", function: { name: "f", arguments: '{"x": 1.0}' } };
 * const { message } = fromOpenAI({ role: "assistant", content: null, tool_calls: [call] });
 * message.tool_calls?.[0].function; // → { name: "f", arguments: { x: 1 }, argumentsText: '{"x": 1.0}' }
 * ```
 */
export function fromOpenAI(message: unknown): ReadMessage {
  const empty: Message = { role: "assistant", content: "" };
  try {
    if (isObject(message)) return readMessage(message);
    const error: ParseError = { kind: "invalid_shape", message: "message is not an object", at: 0 };
    return { message: empty, blocks: [], errors: [error] };
  } catch {
    // Only an object that is no JSON comes here: a getter or proxy that throws.
    const error: ParseError = { kind: "invalid_shape", message: "message can not be read", at: 0 };
    return { message: empty, blocks: [], errors: [error] };
  }
}

function readMessage(source: Record<string, unknown>): ReadMessage {
  const errors: ParseError[] = [];
  const fail = (kind: ParseError["kind"], message: string, at = 0, callId?: string): ParseError => {
    const error = { kind, message, at, ...(callId === undefined ? {} : { callId }) };
    errors.push(error);
    return error;
  };
  const role = roles.get(source.role);
  if (role === undefined) fail("invalid_shape", '"role" must be system, developer, user, assistant or tool');
  const text = (key: string): string | undefined => {
    const value = source[key];
    return typeof value === "string" && value !== "" ? bounded(value, fail) : undefined;
  };
  const message: Message = { role: role ?? "assistant", content: contentOf(source, fail) };
  const reasoning = text("reasoning_content") ?? text("reasoning");
  if (reasoning !== undefined) message.reasoning_content = reasoning;
  for (const key of ["name", "tool_call_id"] as const) {
    const value = text(key);
    if (value !== undefined) message[key] = value;
  }

  const blocks: ParsedBlock[] = [];
  const given = source.tool_calls ?? [];
  if (!Array.isArray(given)) fail("invalid_shape", '"tool_calls" must be a list');
  else {
    const ids = new Set<string>();
    for (let i = 0; i < given.length; i++) {
      if (i === parseLimits.calls) {
        const message = `more than ${parseLimits.calls} calls; the rest is not read`;
        blocks.push({ error: fail("too_many_calls", message, i) });
        break;
      }
      const id = freshId(given[i], i, ids);
      const result = readCall(given[i]);
      if (isDefect(result)) blocks.push({ error: fail(result.kind, result.message, i, id) });
      else blocks.push({ call: { id, ...result } });
    }
  }
  const calls = blocks.flatMap(({ call }) => (call === undefined ? [] : [call]));
  if (calls.length > 0) message.tool_calls = calls;
  return { message, blocks, errors };
}

type Fail = (kind: ParseError["kind"], message: string, at?: number) => ParseError;

function bounded(text: string, fail: Fail): string {
  if (text.length <= parseLimits.textLength) return text;
  const { textLength } = parseLimits;
  fail("too_long", `text of ${text.length} characters, ${textLength} are read`, textLength);
  return text.slice(0, textLength);
}

function contentOf({ content, refusal }: Record<string, unknown>, fail: Fail): string {
  let text = "";
  if (typeof content === "string") text = content;
  else if (Array.isArray(content)) {
    const texts: string[] = [];
    let length = 0;
    for (const part of content) {
      const piece: unknown = isObject(part) ? (part.type === "refusal" ? part.refusal : part.text) : part;
      if (typeof piece !== "string") {
        fail("unsupported_content", "content part without text");
        break;
      }
      texts.push(piece);
      length += piece.length;
      if (length > parseLimits.textLength) break;
    }
    text = texts.join("");
  } else if (content !== null && content !== undefined) {
    fail("invalid_shape", '"content" must be a string, null or a list of parts');
  }
  return bounded(text === "" && typeof refusal === "string" ? refusal : text, fail);
}

/** The call's own id if no call before has it. */
function freshId(call: unknown, index: number, ids: Set<string>): string {
  let id = isObject(call) && typeof call.id === "string" ? call.id.slice(0, 256) : "";
  for (let i = index; id === "" || ids.has(id); i++) id = `call_${i}`;
  ids.add(id);
  return id;
}

function readCall(call: unknown): ToolCall | CallDefect {
  const fn: unknown = isObject(call) ? call.function : undefined;
  if (!isObject(fn)) return { kind: "invalid_shape", message: "call has no function" };
  const given: unknown = fn.arguments;
  if (typeof given !== "string") return readObject(fn.name, given ?? {}, fn.argumentsText);
  const text = given.trim() === "" ? "{}" : given;
  const read = parseJson(text);
  return read.defect ?? checkedCall(fn.name, read.value, text);
}

/** Arguments that are an object already. Their text is kept if it is theirs. */
function readObject(name: unknown, given: unknown, text: unknown): ToolCall | CallDefect {
  let plain: string | undefined;
  try {
    plain = JSON.stringify(given);
  } catch {
    return { kind: "invalid_shape", message: '"arguments" can not be read as JSON' };
  }
  const read = parseJson(plain ?? "");
  if (read.defect) return read.defect;
  const written = typeof text === "string" ? parseJson(text) : undefined;
  const isTheirs = written?.defect === undefined && JSON.stringify(written?.value) === plain;
  return checkedCall(name, read.value, isTheirs ? (text as string) : undefined);
}

/**
 * The message in OpenAI's wire format: arguments are JSON strings, as the model wrote them where that is known.
 *
 * @example
 * ```ts
 * toOpenAI({ role: "user", content: "Hello" }); // → { role: "user", content: "Hello" }
 * ```
 */
export function toOpenAI(message: Message): OpenAIMessage {
  const { role, content, reasoning_content, name, tool_call_id, tool_calls = [] } = message;
  return {
    role,
    content: content === "" && tool_calls.length > 0 ? null : content,
    ...(reasoning_content === undefined ? {} : { reasoning_content }),
    ...(name === undefined ? {} : { name }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
    ...(tool_calls.length === 0 ? {} : { tool_calls: tool_calls.map(wireCall) }),
  };
}

function wireCall({ id, function: fn }: ToolCall) {
  const text = fn.argumentsText ?? spacedJson(fn.arguments);
  return {
    ...(id === undefined ? {} : { id }),
    type: "function" as const,
    function: { name: fn.name, arguments: text },
  };
}

/**
 * A whole conversation in OpenAI's wire format, calls and tool messages paired one-to-one by id, as servers demand it.
 * Calls and results without ids are paired in their order. A result that no call asks for (a broken call's error) gets a
 * call with empty arguments in the message it answers; a call without a result stays.
 *
 * @example
 * ```ts
 * const call: ToolCall = { type: "function", function: { name: "f", arguments: {} } };
 * const conversation: Message[] = [
 *   { role: "assistant", content: "", tool_calls: [call] },
 *   { role: "tool", content: "7" },
 * ];
 * conversationToOpenAI(conversation).map((message) => message.tool_call_id ?? message.tool_calls?.[0].id); // → ["call_0", "call_0"]
 * ```
 */
export function conversationToOpenAI(messages: readonly Message[]): OpenAIMessage[] {
  const out: OpenAIMessage[] = [];
  let calls: NonNullable<OpenAIMessage["tool_calls"]> = [];
  let open: string[] = [];
  let count = 0;
  for (const message of messages) {
    const wire = toOpenAI(message);
    if (message.role !== "tool") {
      calls = (wire.tool_calls ?? []).map((call) => ({ ...call, id: call.id ?? `call_${count++}` }));
      open = calls.map((call) => call.id ?? "");
      if (calls.length > 0) wire.tool_calls = calls;
      out.push(wire);
      continue;
    }
    const id = message.tool_call_id ?? open[0] ?? `call_${count++}`;
    const isAsked = open.includes(id);
    open = open.filter((other) => other !== id);
    const asker = out.findLast((other) => other.role !== "tool");
    if (!isAsked && asker?.role === "assistant") {
      calls.push({
        id,
        type: "function",
        function: { name: message.name || "unreadable_call", arguments: "{}" },
      });
      asker.tool_calls = calls;
      if (asker.content === "") asker.content = null;
    }
    out.push({ ...wire, tool_call_id: id });
  }
  return out;
}
