/**
 * JSON text as this package writes and compares it: Python's spacing (", " and ": "), which is what chat
 * templates and FTRL's tools print, and a canonical form with sorted keys for exact comparison.
 */
import type { Json, JsonObject, ToolCall } from "./types.ts";

/** True for a JSON object (not null, not a list). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * JSON with a space after every comma and colon, like Python's `json.dumps(value, ensure_ascii=False)`.
 *
 * @example
 * ```ts
 * spacedJson({ town: "Bavo", n: [1, 2] }); // → '{"town": "Bavo", "n": [1, 2]}'
 * ```
 */
export function spacedJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (isObject(value))
    return `{${Object.entries(value)
      .map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

/** JSON with sorted keys: equal text exactly when the values are equal up to the order of keys. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (isObject(value))
    return `{${Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`)
      .join(",")}}`;
  return JSON.stringify(value);
}

/** The JSON inside a `<tool_call>` block. */
export function toolCallJson(call: ToolCall): string {
  return spacedJson({ name: call.function.name, arguments: call.function.arguments });
}
