/**
 * JSON that a model wrote, read within bounds, and the text of one member as it stands there: `10` and `10.0` are the
 * same value to JSON.parse, but not to a tool that runs in Python. Every function is linear in the length of the text.
 */
import type { Json } from "../types.ts";
import { type CallDefect, parseLimits } from "./shapes.ts";

/** The value of a text, or the reason why there is none. */
export function parseJson(text: string): { value: Json; defect?: undefined } | { defect: CallDefect } {
  if (text.length > parseLimits.callLength) {
    const message = `call of ${text.length} characters, at most ${parseLimits.callLength}`;
    return { defect: { kind: "too_long", message } };
  }
  // JSON.parse recurses, so the nesting is checked before.
  if (nesting(text) > parseLimits.depth) {
    return { defect: { kind: "too_deep", message: `call nested deeper than ${parseLimits.depth}` } };
  }
  try {
    return { value: JSON.parse(text) as Json };
  } catch {
    return { defect: { kind: "invalid_json", message: "call is not valid JSON" } };
  }
}

/** Deepest nesting of brackets outside strings. */
function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') i = stringEnd(text, i) - 1;
    else if (c === "{" || c === "[") deepest = Math.max(deepest, ++depth);
    else if (c === "}" || c === "]") depth--;
  }
  return deepest;
}

/** The place after the string that starts at `at`, or the end of the text. */
function stringEnd(text: string, at: number): number {
  let i = at + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/**
 * The text of a member of an object. A name given twice has its last value, as with JSON.parse.
 *
 * @param text - valid JSON of an object
 * @example
 * ```ts
 * memberText('{"a": [1, 2.0], "b": 1}', "a"); // → "[1, 2.0]"
 * ```
 */
export function memberText(text: string, name: string): string | undefined {
  let found: string | undefined;
  let at = text.indexOf("{") + 1;
  for (;;) {
    const keyStart = text.indexOf('"', at);
    if (keyStart < 0) return found;
    const keyEnd = stringEnd(text, keyStart);
    const valueStart = text.indexOf(":", keyEnd) + 1;
    let depth = 0;
    let i = valueStart;
    for (; i < text.length; i++) {
      const c = text[i];
      if (c === '"') i = stringEnd(text, i) - 1;
      else if (c === "{" || c === "[") depth++;
      else if ((c === "}" || c === "]") && depth-- === 0) break;
      else if (c === "," && depth === 0) break;
    }
    if (JSON.parse(text.slice(keyStart, keyEnd)) === name) found = text.slice(valueStart, i).trim();
    at = i + 1;
  }
}
