/**
 * From bytes to a JSON object, for files that may be hostile: headers of safetensors, and the JSON files beside them. What
 * the object must hold is said in safetensors-header.ts, folder/shards.ts and config-json.ts.
 */
import { SafetensorsError } from "./errors.ts";

/**
 * Parses a JSON object.
 *
 * @param what names the text in messages: "The header"
 * @param depth levels it may nest
 * @throws SafetensorsError if it is no JSON object in UTF-8, nests too deep, or has a key twice
 */
export function parseObject(bytes: Uint8Array, what: string, depth: number): object {
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    checkNesting(text, what, depth);
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SafetensorsError) throw error;
    throw new SafetensorsError(`${what} is not JSON in UTF-8: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw new SafetensorsError(`${what} must be a JSON object.`);
  return value;
}

/**
 * Refuses what `JSON.parse` would take: a key twice in one object, of which it silently keeps the last, and deep nesting,
 * which costs it many times the header's size. One pass over text that need not be JSON.
 */
function checkNesting(json: string, what: string, depth: number): void {
  const open: (Set<string> | undefined)[] = []; // one set of keys per open object, undefined for arrays
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === "}" || c === "]") open.pop();
    if (c === "{" || c === "[") {
      if (open.length === depth)
        throw new SafetensorsError(`${what} nests deeper than ${depth} levels, at character ${i}.`);
      open.push(c === "{" ? new Set() : undefined);
    }
    if (c !== '"') continue;
    const start = i;
    for (i++; i < json.length && json[i] !== '"'; i++) if (json[i] === "\\") i++;
    let next = i + 1;
    while (json[next] === " " || json[next] === "\n" || json[next] === "\r" || json[next] === "\t") next++;
    if (json[next] !== ":") continue;
    const key: string = JSON.parse(json.slice(start, i + 1));
    const keys = open.at(-1);
    if (keys?.has(key)) throw new SafetensorsError(`${what} has the key ${quote(key)} twice in one object.`);
    keys?.add(key);
  }
}

/** Text of a stranger's file for a message: quoted, control characters escaped, cut. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/** Whether a parsed value is an object, not null and no array. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
