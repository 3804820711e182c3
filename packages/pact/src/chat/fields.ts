/**
 * Messages and tools as a template gets them, with every text that somebody else wrote marked (marks.ts), and the table of
 * those texts. Roles and the fixed words of JSON Schema stay as they are: templates compare them.
 */
import type { Message, ToolDefinition } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import type { FieldMarks } from "./marks.ts";
import type { TurnTags } from "./sampled.ts";

/** What a marked text is. `label`: names and ids beside the text proper. */
export type FieldKind = "content" | "reasoning" | "call" | "label" | "tools";

/** One marked text, or the texts of one call. `message` is undefined for tool definitions. */
export interface Field {
  readonly kind: FieldKind;
  readonly message: number | undefined;
  /** Whether it holds more than spaces. */
  readonly shown: boolean;
}

/** A conversation for a template. */
export interface MarkedConversation {
  readonly messages: readonly object[];
  readonly tools: readonly object[];
  /** By the number in the marks. */
  readonly fields: readonly Field[];
}

const SCHEMA_WORDS = new Set(
  (
    "type function name description parameters properties required items enum const default title format examples " +
    "additionalProperties anyOf oneOf allOf not if then else minimum maximum exclusiveMinimum exclusiveMaximum " +
    "multipleOf minLength maxLength pattern minItems maxItems uniqueItems minProperties maxProperties prefixItems " +
    "contains patternProperties propertyNames dependentRequired dependentSchemas $ref $defs definitions $schema $id " +
    "nullable strict return returns optional"
  ).split(" "),
);
const TYPE_NAMES = new Set("string number integer boolean array object null function".split(" "));
/** Below these keys, keys are names that the tool's author chose. */
const NAMING = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]);

/**
 * Marks a conversation.
 *
 * @param marks made for these messages and tools
 * @param reasoningTags what to write around reasoning in front of the content; without them it is a field of its own
 * @throws RenderError if a message has another role than system, user, assistant or tool, or what is no text as one
 */
export function markConversation(
  marks: FieldMarks,
  messages: readonly Message[],
  tools: readonly ToolDefinition[],
  reasoningTags?: TurnTags,
): MarkedConversation {
  const fields: Field[] = [];
  const add = (kind: FieldKind, message: number | undefined, shown: boolean): number =>
    fields.push({ kind, message, shown }) - 1;
  const text = (kind: FieldKind, message: number, value: string | undefined): string | undefined => {
    if (value === undefined) return undefined;
    if (typeof value !== "string")
      throw new RenderError(
        `renderConversation: the ${kind} of message ${message} is ${JSON.stringify(value)}, expected a text. For none write "".`,
      );
    return marks.mark(value, add(kind, message, value.trim() !== ""));
  };

  const texts = (index: number, message: Message): object => {
    const content = text("content", index, message.content);
    const reasoning = text("reasoning", index, message.reasoning_content);
    if (reasoningTags === undefined) return { content, reasoning_content: reasoning };
    const { reasoningStart, reasoningEnd } = reasoningTags;
    if (reasoning === undefined || reasoning.trim() === "") return { content };
    const tagged = `${reasoningStart}\n${reasoning}\n${reasoningEnd}`;
    return { content: content ? `${tagged}\n\n${content}` : tagged };
  };

  const markedTools = add("tools", undefined, tools.length > 0);
  return {
    tools: tools.map((tool) => markSchema(tool, (value) => marks.mark(value, markedTools))),
    messages: messages.map((message, index) => ({
      role: checkedRole(message.role, index),
      ...texts(index, message),
      tool_calls: message.tool_calls?.map(({ id, function: call }) => {
        const field = add("call", index, true);
        const mark = (value: string): string => marks.mark(value, field);
        return {
          id: text("label", index, id),
          type: "function",
          function: { name: mark(call.name), arguments: markJson(call.arguments, mark) },
        };
      }),
      tool_call_id: text("label", index, message.tool_call_id),
      name: text("label", index, message.name),
    })),
    fields,
  };
}

/** Roles stay without marks, so they must be one of the four words. */
function checkedRole(role: Message["role"], index: number): Message["role"] {
  if (["system", "user", "assistant", "tool"].includes(role)) return role;
  throw new RenderError(
    `renderConversation: message ${index} has role ${JSON.stringify(role)}; use system, user, assistant or tool.`,
  );
}

/** Every string of a JSON value marked, keys too. */
function markJson(value: unknown, mark: (text: string) => string): unknown {
  if (typeof value === "string") return mark(value);
  if (Array.isArray(value)) return value.map((item) => markJson(item, mark));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [mark(key), markJson(inner, mark)]));
}

/** Every string of a tool definition marked, but for words and type names of JSON Schema. */
function markSchema<T extends object>(value: T, mark: (text: string) => string, names = false): object {
  const inner = (item: unknown, key: string): unknown => {
    if (typeof item === "string") return key === "type" && !names && TYPE_NAMES.has(item) ? item : mark(item);
    if (Array.isArray(item)) return item.map((one) => inner(one, key));
    if (typeof item !== "object" || item === null) return item;
    return markSchema(item, mark, !names && NAMING.has(key));
  };
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
    const isWord = !names && SCHEMA_WORDS.has(key);
    return [isWord ? key : mark(key), inner(item, key)];
  });
  return Object.fromEntries(entries);
}
