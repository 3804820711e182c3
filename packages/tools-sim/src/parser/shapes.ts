/**
 * What parsing gives, whatever the syntax: calls, typed errors and text; and the bounds that all parsers keep.
 * Errors are values: nothing that a model wrote is thrown.
 */
import type { Json, JsonObject, ToolCall } from "../types.ts";

/** Why a piece of a reply is not a call. */
export type ParseErrorKind =
  | "invalid_json"
  | "invalid_syntax"
  | "invalid_shape"
  | "unclosed_call"
  | "unclosed_think"
  | "forbidden_key"
  | "too_deep"
  | "too_long"
  | "too_many_calls"
  | "unsupported_content";

/** One defect. */
export interface ParseError {
  kind: ParseErrorKind;
  message: string;
  /** Position in the text (UTF-16 units); for the `tool_calls` of a message, the index of the call. */
  at: number;
  /** The id of the broken call, where the message gave one. */
  callId?: string;
}

/** A piece of the reply in its order: a call, or the reason why it is none. */
export type ParsedBlock = { call: ToolCall; error?: undefined } | { call?: undefined; error: ParseError };

/** Everything found in an assistant's reply. */
export interface ParsedAssistant {
  /** Inside the first `<think>`, or before a `</think>` alone, trimmed; otherwise undefined. Calls in it do not count. */
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

/**
 * Bounds on untrusted text: characters of a reply and of one call, calls in a reply, nesting of one call's JSON.
 * The published ground truths need 6,910 characters and 34 calls in a reply (BFCL v4 multi-turn, long context).
 */
export const parseLimits = { textLength: 1_000_000, callLength: 100_000, calls: 128, depth: 64 } as const;

/** A defect whose place the caller knows. */
export type CallDefect = Pick<ParseError, "kind" | "message">;

/** True for a defect, false for a call. */
export function isDefect(result: ToolCall | CallDefect): result is CallDefect {
  return "kind" in result;
}

/**
 * The call, if its name and arguments can be one: a name, no `__proto__` key, finite numbers only.
 * `constructor` and `prototype` are keys like any other.
 */
export function checkedCall(name: unknown, args: unknown, argumentsText?: string): ToolCall | CallDefect {
  if (typeof name !== "string" || name === "")
    return { kind: "invalid_shape", message: '"name" must be a non-empty string' };
  if (typeof args !== "object" || args === null || Array.isArray(args))
    return { kind: "invalid_shape", message: '"arguments" must be an object' };
  const defect = defectIn(args as JsonObject);
  if (defect !== undefined) return defect;
  return {
    type: "function",
    function: {
      name,
      arguments: args as JsonObject,
      ...(argumentsText === undefined ? {} : { argumentsText }),
    },
  };
}

/** What no argument may contain, if it does. The value's nesting is bounded by its text. */
export function defectIn(value: Json): CallDefect | undefined {
  if (typeof value === "number" && !Number.isFinite(value))
    return { kind: "invalid_json", message: "a number is too large for a double" };
  if (typeof value !== "object" || value === null) return undefined;
  if (Object.hasOwn(value, "__proto__"))
    return { kind: "forbidden_key", message: "key __proto__ is not allowed" };
  for (const item of Object.values(value)) {
    const defect = defectIn(item);
    if (defect !== undefined) return defect;
  }
  return undefined;
}
