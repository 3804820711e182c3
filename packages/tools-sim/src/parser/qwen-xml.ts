/**
 * One call in Qwen3-Coder's syntax, as it stands between `<tool_call>` tags:
 *
 *     <function=name>
 *     <parameter=key>
 *     value
 *     </parameter>
 *     </function>
 *
 * A value is bare text. What it stands for is decided by the tool's JSON Schema where one is given, otherwise it is a
 * string; text that does not fit its type stays a string, so that validation can say what was expected. Source: the
 * chat template of Qwen3-Coder (Apache-2.0), which puts one line break around a value.
 * Left out: calls without the surrounding `<tool_call>`.
 */
import { isObject } from "../json.ts";
import { PyReader, PySyntaxError } from "../python/expression.ts";
import type { Json, JsonObject, ToolCall, ToolDefinition } from "../types.ts";
import { parseJson } from "./json-text.ts";
import { jsonOf } from "./python.ts";
import { type CallDefect, checkedCall, parseLimits } from "./shapes.ts";

/** True if a block's body is in this syntax. */
export function isXmlCall(body: string): boolean {
  return /^\s*<function=/.test(body);
}

/** The call of a block's body; never throws. */
export function readXmlCall(body: string, tools: readonly ToolDefinition[] = []): ToolCall | CallDefect {
  if (body.length > parseLimits.callLength) {
    const message = `call of ${body.length} characters, at most ${parseLimits.callLength}`;
    return { kind: "too_long", message };
  }
  const head = /^\s*<function=([^<>\n]*)>/.exec(body);
  if (!head) return { kind: "invalid_syntax", message: "call does not start with <function=name>" };
  const end = body.lastIndexOf("</function>");
  if (end < 0) return { kind: "invalid_syntax", message: "<function=…> without </function>" };
  const name = head[1].trim();
  const root = tools.find((tool) => tool.function.name === name)?.function.parameters;
  const properties: unknown = root?.properties;

  const args: JsonObject = {};
  const texts = new Map<string, string>();
  let at = head[0].length;
  for (;;) {
    const start = body.indexOf("<parameter=", at);
    const between = body.slice(at, start < 0 ? end : start).trim();
    if (between !== "") return { kind: "invalid_syntax", message: "text between parameters" };
    if (start < 0 || start > end) break;
    const nameEnd = body.indexOf(">", start);
    const close = body.indexOf("</parameter>", start);
    if (nameEnd < 0 || close < nameEnd || close > end)
      return { kind: "invalid_syntax", message: "<parameter=…> without </parameter>" };
    const key = body.slice(start + "<parameter=".length, nameEnd).trim();
    if (key === "__proto__") return { kind: "forbidden_key", message: "key __proto__ is not allowed" };
    const raw = body
      .slice(nameEnd + 1, close)
      .replace(/^\r?\n/, "")
      .replace(/\r?\n$/, "");
    const schema = isObject(properties) && Object.hasOwn(properties, key) ? properties[key] : undefined;
    const { value, text } = typedValue(raw, typesOf(schema, root));
    args[key] = value;
    texts.set(key, text);
    at = close + "</parameter>".length;
  }
  const members = [...texts].map(([key, text]) => `${JSON.stringify(key)}: ${text}`);
  return checkedCall(name, args, `{${members.join(", ")}}`);
}

/** JSON Schema's types, and what else published function documents call them. */
const typeNames: ReadonlyMap<string, string> = new Map([
  ...["string", "number", "integer", "boolean", "object", "array", "null"].map(
    (name) => [name, name] as const,
  ),
  ["str", "string"],
  ["float", "number"],
  ["int", "integer"],
  ["bool", "boolean"],
  ["dict", "object"],
  ["list", "array"],
  ["tuple", "array"],
]);

/** The types that a schema allows, as far as its own words say; empty for any. */
function typesOf(schema: unknown, root: unknown, depth = 0): ReadonlySet<string> {
  const types = new Set<string>();
  if (!isObject(schema) || depth > 8) return types;
  for (const type of [schema.type].flat()) {
    const name = typeof type === "string" ? typeNames.get(type) : undefined;
    if (name !== undefined) types.add(name);
  }
  if (types.size > 0) return types;
  const values = [
    ...(Array.isArray(schema.enum) ? schema.enum : []),
    ...("const" in schema ? [schema.const] : []),
  ];
  for (const value of values) types.add(jsonType(value));
  const parts = [schema.anyOf, schema.oneOf, schema.allOf, [referenced(schema.$ref, root)]];
  for (const part of parts.filter(Array.isArray).flat())
    for (const type of typesOf(part, root, depth + 1)) types.add(type);
  return types;
}

function jsonType(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** What a reference inside the document, `#/$defs/name`, points to. */
function referenced(reference: unknown, root: unknown): unknown {
  if (typeof reference !== "string" || !reference.startsWith("#/")) return undefined;
  let place: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!isObject(place) || !Object.hasOwn(place, key)) return undefined;
    place = place[key];
  }
  return place;
}

/** The first reading of the text that the types allow, with its JSON text. */
function typedValue(raw: string, types: ReadonlySet<string>): { value: Json; text: string } {
  const word = raw.trim();
  if (types.has("null") && /^(?:null|none)$/i.test(word)) return { value: null, text: "null" };
  if (types.has("boolean") && /^(?:true|false)$/i.test(word)) {
    const value = word.toLowerCase() === "true";
    return { value, text: String(value) };
  }
  if (types.has("integer") || types.has("number")) {
    const isNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(word);
    if (isNumber && Number.isFinite(Number(word))) return { value: Number(word), text: word };
  }
  if (types.has("object") || types.has("array")) {
    const read = structure(word);
    if (read !== undefined && types.has(jsonType(read.value))) return read;
  }
  return { value: raw, text: JSON.stringify(raw) };
}

/** A list or an object in JSON, or as a Python literal, which models trained on Python write. */
function structure(text: string): { value: Json; text: string } | undefined {
  const json = parseJson(text);
  // A defect is not lost: the same value is checked again as part of the call.
  if (!json.defect) return { value: json.value, text };
  if (json.defect.kind !== "invalid_json") return undefined;
  try {
    const reader = new PyReader(text);
    const expression = reader.expression();
    if (reader.at < text.length) return undefined;
    return jsonOf(expression);
  } catch (error) {
    if (error instanceof PySyntaxError) return undefined;
    throw error;
  }
}
