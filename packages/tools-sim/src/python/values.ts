/**
 * Python values in JavaScript, as far as simulated tools need them: an `int` is a bigint, a `float` is a number, `str`,
 * `bool` and `None` are string, boolean and null, a `list` is an array, a `dict` a Map (insertion order, integer keys
 * stay integers) and a `set` a Set. The split of int and float matters because results are compared as text, where `10`
 * and `10.0` differ.
 *
 * Source: the Python language reference, "Data model" and "Comparisons"; `repr` of floats is the shortest text that
 * reads back (PEP 3101, float_repr_style "short"). Left out: tuples as a type of their own (lists stand for them),
 * bytes, complex numbers, user classes other than `PyObject`.
 */

/** A value that only has a text, such as an arbitrary-precision number; dicts that hold one are no JSON. */
export class PyObject {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Any Python value. */
export type PyValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | PyValue[]
  | PyDict
  | Set<PyValue>
  | PyObject;

/** A dict. Keys are strings or integers; 1 and "1" are different keys, as in Python. */
export type PyDict = Map<PyKey, PyValue>;

/** A dict key. */
export type PyKey = string | bigint;

/** A Python exception: its text is what the caller of a tool sees. */
export class PyError extends Error {
  override readonly name = "PyError";
}

/**
 * A dict from a record.
 *
 * @example
 * ```ts
 * dict({ result: 2n }).get("result"); // → 2n
 * ```
 */
export function dict(entries: Readonly<Record<string, PyValue>>): PyDict {
  return new Map(Object.entries(entries));
}

/** True for int, float and bool, which Python counts as a number. */
export function isNumber(value: PyValue | undefined): value is bigint | number | boolean {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/** The value as a float. */
export function toFloat(value: bigint | number | boolean): number {
  return Number(value);
}

/** Python's truth value. */
export function truthy(value: PyValue): boolean {
  if (value === null) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map || value instanceof Set) return value.size > 0;
  if (value instanceof PyObject) return true;
  if (typeof value === "bigint") return value !== 0n;
  return Boolean(value) || Number.isNaN(value);
}

/** Python's `==`: numbers by value whatever their type, dicts without order. */
export function equal(a: PyValue | undefined, b: PyValue | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a === null || b === null) return false;
  if (isNumber(a) && isNumber(b)) {
    // JavaScript orders a bigint and a number exactly, as Python does; `===` would tell them apart.
    const [x, y] = [numeric(a), numeric(b)];
    return x <= y && x >= y;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, i) => equal(value, b[i]));
  }
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a) if (!b.has(key) || !equal(value, b.get(key))) return false;
    return true;
  }
  if (a instanceof Set && b instanceof Set) {
    if (a.size !== b.size) return false;
    for (const value of a) if (![...b].some((other) => equal(value, other))) return false;
    return true;
  }
  if (a instanceof PyObject && b instanceof PyObject) return a.text === b.text;
  return false;
}

function numeric(value: bigint | number | boolean): bigint | number {
  return typeof value === "boolean" ? BigInt(value) : value;
}

/** A deep copy, like `copy.deepcopy`. */
export function deepCopy<T extends PyValue>(value: T): T {
  if (Array.isArray(value)) return value.map(deepCopy) as T;
  if (value instanceof Map) return new Map(Array.from(value as PyDict, ([k, v]) => [k, deepCopy(v)])) as T;
  if (value instanceof Set) return new Set([...value].map(deepCopy)) as T;
  return value;
}

/** The name of a value's type, as Python prints it in messages. */
export function typeName(value: PyValue): string {
  if (value === null) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (value instanceof Map) return "dict";
  if (value instanceof Set) return "set";
  if (value instanceof PyObject) return "object";
  const names = { boolean: "bool", bigint: "int", number: "float", string: "str" } as const;
  return names[typeof value as keyof typeof names];
}

/**
 * `repr(x)` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
 *
 * @example
 * ```ts
 * floatText(1e16); // → "1e+16"
 * ```
 */
export function floatText(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (Object.is(x, -0)) return "-0.0";
  // JavaScript finds the same shortest digits; only the layout differs.
  const [mantissa, exponentText] = x.toExponential().split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const digits = mantissa.replace("-", "").replace(".", "");
  const sign = x < 0 ? "-" : "";
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** `repr(value)`. */
export function repr(value: PyValue): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return floatText(value);
  if (typeof value === "string") return stringText(value);
  if (value instanceof PyObject) return value.text;
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Set) return value.size === 0 ? "set()" : `{${[...value].map(repr).join(", ")}}`;
  return `{${[...value].map(([k, v]) => `${repr(k)}: ${repr(v)}`).join(", ")}}`;
}

/** `str(value)`: a string as it is, anything else as `repr`. */
export function str(value: PyValue): string {
  return typeof value === "string" ? value : repr(value);
}

/** Single quotes unless the text has some and no double ones; what can not be printed is escaped. */
function stringText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = "";
  for (const c of text) {
    if (c === quote || c === "\\") out += `\\${c}`;
    else if (c === "\n") out += "\\n";
    else if (c === "\r") out += "\\r";
    else if (c === "\t") out += "\\t";
    else out += isPrintable(c) ? c : escaped(c.codePointAt(0)!);
  }
  return quote + out + quote;
}

/** Python's `str.isprintable`: no control, format, surrogate, private or unassigned characters, and no space but " ". */
function isPrintable(c: string): boolean {
  return c === " " || !/[\p{C}\p{Z}]/u.test(c);
}

function escaped(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}
