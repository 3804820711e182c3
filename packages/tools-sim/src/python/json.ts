/**
 * JSON as Python reads and writes it: `10` is an int and `10.0` a float, dicts keep their order, and the text has
 * Python's spacing and escapes. Source: the documentation of Python's `json` module (`loads`, `dumps` with defaults).
 * The reader takes files from strangers: nesting is bounded, `__proto__` is a key like any other (dicts are Maps).
 */
import { floatText, type PyDict, PyObject, type PyValue } from "./values.ts";

/** Deepest nesting that is read. */
const maxDepth = 200;

/** Text that is no JSON; `at` is the position of the first character that does not fit. */
export class JsonTextError extends Error {
  override readonly name = "JsonTextError";
  readonly at: number;
  constructor(message: string, at: number) {
    super(`${message} at character ${at}`);
    this.at = at;
  }
}

/**
 * `json.loads(text)`. A key given twice keeps its last value, as in Python.
 *
 * @throws JsonTextError for text that is no JSON or nested deeper than 200
 * @example
 * ```ts
 * const dictionary = loads('{"a": 10.0, "b": 10}'); // a float and an int
 * dictionary instanceof Map && dictionary.get("b"); // → 10n
 * ```
 */
export function loads(text: string): PyValue {
  let at = 0;
  const space = /[ \t\n\r]*/y;
  const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
  const string = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
  const words: readonly [string, PyValue][] = [
    ["true", true],
    ["false", false],
    ["null", null],
    ["NaN", Number.NaN],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["-Infinity", Number.NEGATIVE_INFINITY],
  ];
  const fail = (expected: string): never => {
    throw new JsonTextError(`expected ${expected}`, at);
  };
  const skip = () => {
    space.lastIndex = at;
    space.test(text);
    at = space.lastIndex;
  };
  const matchAt = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const readString = (): string => {
    const found = matchAt(string);
    return found ? (JSON.parse(found[0]) as string) : fail("a string");
  };
  const readValue = (depth: number): PyValue => {
    if (depth > maxDepth) fail(`nesting of at most ${maxDepth}`);
    skip();
    const c = text[at];
    if (c === '"') return readString();
    if (c === "{") return readDict(depth);
    if (c === "[") return readList(depth);
    for (const [word, value] of words) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return value;
      }
    }
    const found = matchAt(number);
    if (!found) return fail("a value");
    return found[1] === undefined && found[2] === undefined ? BigInt(found[0]) : Number(found[0]);
  };
  const readList = (depth: number): PyValue[] => {
    const list: PyValue[] = [];
    at++;
    skip();
    if (text[at] === "]") {
      at++;
      return list;
    }
    for (;;) {
      list.push(readValue(depth + 1));
      skip();
      const c = text[at++];
      if (c === "]") return list;
      if (c !== ",") {
        at--;
        fail('"," or "]"');
      }
    }
  };
  const readDict = (depth: number): PyDict => {
    const entries: PyDict = new Map();
    at++;
    skip();
    if (text[at] === "}") {
      at++;
      return entries;
    }
    for (;;) {
      skip();
      const key = readString();
      skip();
      if (text[at] !== ":") fail('":"');
      at++;
      entries.set(key, readValue(depth + 1));
      skip();
      const c = text[at++];
      if (c === "}") return entries;
      if (c !== ",") {
        at--;
        fail('"," or "}"');
      }
    }
  };
  const value = readValue(0);
  skip();
  if (at < text.length) fail("the end");
  return value;
}

/**
 * `json.dumps(value)`: ", " and ": ", other than ASCII escaped.
 *
 * @returns undefined for values that Python's JSON can not hold (sets, objects)
 * @example
 * ```ts
 * dumps(new Map([["a", [1n, 2.5]]])); // → '{"a": [1, 2.5]}'
 * ```
 */
export function dumps(value: PyValue): string | undefined {
  if (value === null) return "null";
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    if (Number.isFinite(value)) return floatText(value);
    return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  }
  if (typeof value === "string") return asciiString(value);
  if (value instanceof Set || value instanceof PyObject) return undefined;
  if (Array.isArray(value)) {
    const items = value.map(dumps);
    return items.includes(undefined) ? undefined : `[${items.join(", ")}]`;
  }
  const items: string[] = [];
  for (const [key, entry] of value) {
    const text = dumps(entry);
    if (text === undefined) return undefined;
    items.push(`${asciiString(String(key))}: ${text}`);
  }
  return `{${items.join(", ")}}`;
}

/** JavaScript escapes the same characters below 128 but DEL, which Python leaves too; beyond, Python escapes all. */
function asciiString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
