// What Python prints for values that are no text: `{{ true }}` is True, `{{ none }}` None, a list ['a', 1.5].
// Leaves out: the operator `~` and the filters join and string, which write such values as the library does; numbers that
// were whole floats, which JSON does not tell from integers.

/** A value of the interpreter. */
export interface JinjaValue {
  readonly type: string;
  readonly value: unknown;
}

/** The text that Jinja2 prints for a value, or undefined where the library prints the same. */
export function printedText(value: JinjaValue): string | undefined {
  return builtIn(value.type) ? repr(value) : undefined;
}

function builtIn(type: string): boolean {
  return /^(Null|Boolean|Float|Array|Tuple|Object)Value$/.test(type);
}

/** Python's `repr`. */
function repr({ type, value }: JinjaValue): string {
  if (type === "NullValue") return "None";
  if (type === "BooleanValue") return value === true ? "True" : "False";
  if (type === "FloatValue") return float(value as number);
  if (type === "StringValue") return quoted(value as string);
  if (type === "UndefinedValue") return "Undefined";
  if (value instanceof Map) {
    const entries = [...(value as Map<string, JinjaValue>)];
    return `{${entries.map(([name, inner]) => `${quoted(name)}: ${repr(inner)}`).join(", ")}}`;
  }
  if (!Array.isArray(value)) return String(value);
  const inner = value.map(repr).join(", ");
  if (type === "ArrayValue") return `[${inner}]`;
  return value.length === 1 ? `(${inner},)` : `(${inner})`;
}

/** As Python, with an exponent below 1e-4 and from 1e16 on. */
function float(value: number): string {
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-4 && size < 1e16);
  if (plain) return Number.isInteger(value) ? value.toFixed(1) : String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** In single quotes, unless only those are in the text; what does not print is escaped. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\p{C}\p{Z}']/gu, (character) => {
    if (character === " ") return character;
    if (character === "'") return quote === "'" ? "\\'" : character;
    const code = character.codePointAt(0) as number;
    const hex = (digits: number): string => code.toString(16).padStart(digits, "0");
    return (
      escapes[character] ?? (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`)
    );
  });
  return quote + escaped + quote;
}
