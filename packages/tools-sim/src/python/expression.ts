/**
 * Calls in Python syntax, `f(1, x='a', y=[g(2), {'k': None}])`, parsed without evaluating anything: names, literals,
 * lists, tuples, sets, dicts and nested calls. This is the grammar that BFCL's models answer in and its ground truth is
 * written in (Python language reference, "Literals", "Calls"). The text is untrusted: nesting and length are bounded,
 * time is linear. Left out: operators other than a sign, f-strings, bytes, comprehensions, attributes of results,
 * `*args`; tuples become lists.
 */
import type { PyKey, PyValue } from "./values.ts";

/** A parsed call; nothing has run. */
export interface PyCall {
  /** Possibly dotted, such as `GorillaFileSystem.cd`. */
  name: string;
  positional: PyExpression[];
  named: { name: string; value: PyExpression }[];
}

/** An argument: a value that is known, or one that needs the result of a call. */
export type PyExpression =
  | { kind: "value"; value: PyValue }
  | { kind: "list" | "set"; items: PyExpression[] }
  | { kind: "dict"; entries: [PyKey, PyExpression][] }
  | { kind: "call"; call: PyCall };

/** Text that is not the grammar above. */
export class PySyntaxError extends Error {
  override readonly name = "PySyntaxError";
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const maxDepth = 64;
const patterns = {
  space: /(?:\s|\\\r?\n|#[^\n]*)*/y,
  name: /[\p{L}_][\p{L}\p{N}_]*/uy,
  number:
    /0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][+-]?\d+)?|\d[\d_]*(\.)?(?:[eE][+-]?\d+)?/y,
  open: /([rRuU]?)("""|'''|"|')/y,
};
const words: ReadonlyMap<string, PyValue> = new Map<string, PyValue>([
  ["True", true],
  ["False", false],
  ["None", null],
  // JSON's words, which models mix in; Python itself would refuse them.
  ["true", true],
  ["false", false],
  ["null", null],
]);
const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["v", "\v"],
  ["0", "\0"],
  ["\n", ""],
]);

/** Reads one text from left to right. */
export class PyReader {
  readonly text: string;
  at: number;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
    this.skipSpace();
  }

  fail(expected: string): never {
    const found =
      this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 12)) : "the end";
    throw new PySyntaxError(`expected ${expected}, found ${found}`, this.at);
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  skipSpace(): void {
    this.match(patterns.space);
  }

  /** Takes `symbol` and the space after it, if it comes next. */
  take(symbol: string): boolean {
    if (!this.text.startsWith(symbol, this.at)) return false;
    this.at += symbol.length;
    this.skipSpace();
    return true;
  }

  expect(symbol: string): void {
    if (!this.take(symbol)) this.fail(JSON.stringify(symbol));
  }

  private word(): string | undefined {
    const found = this.match(patterns.name)?.[0];
    return found;
  }

  /** A call: a dotted name and its arguments. */
  call(depth = 0): PyCall {
    let name = this.word() ?? this.fail("a function name");
    while (this.text[this.at] === ".") {
      this.at++;
      name += `.${this.word() ?? this.fail("a name after the dot")}`;
    }
    this.skipSpace();
    return this.callOf(name, depth);
  }

  private callOf(name: string, depth: number): PyCall {
    this.expect("(");
    const call: PyCall = { name, positional: [], named: [] };
    const names = new Set<string>();
    while (!this.take(")")) {
      this.argument(call, names, depth);
      if (!this.take(",")) {
        this.expect(")");
        break;
      }
    }
    return call;
  }

  private argument(call: PyCall, names: Set<string>, depth: number): void {
    const start = this.at;
    const name = this.word();
    this.skipSpace();
    if (name !== undefined && this.text[this.at] === "=" && this.text[this.at + 1] !== "=") {
      this.take("=");
      if (names.has(name)) this.fail(`${name} only once`);
      names.add(name);
      call.named.push({ name, value: this.expression(depth + 1) });
      return;
    }
    this.at = start;
    if (call.named.length > 0) this.fail("a named argument after a named one");
    call.positional.push(this.expression(depth + 1));
  }

  expression(depth = 0): PyExpression {
    if (depth > maxDepth) this.fail(`nesting of at most ${maxDepth}`);
    const c = this.text[this.at];
    if (this.take("[")) return { kind: "list", items: this.items("]", depth) };
    if (this.take("{")) return this.braces(depth);
    if (this.take("(")) return this.parentheses(depth);
    if (c === "-" || c === "+") {
      this.take(c);
      return { kind: "value", value: negated(this.number(), c === "-") };
    }
    if (c !== undefined && /[\d.]/.test(c)) return { kind: "value", value: this.number() };
    const text = this.strings();
    if (text !== undefined) return { kind: "value", value: text };
    const start = this.at;
    const name = this.word() ?? this.fail("a value");
    const after = this.at;
    this.skipSpace();
    if (words.has(name) && this.text[this.at] !== "(") return { kind: "value", value: words.get(name)! };
    if (this.text[this.at] !== "(" && this.text[after] !== ".") {
      this.at = start;
      this.fail("a value");
    }
    this.at = start;
    return { kind: "call", call: this.call(depth) };
  }

  private items(close: string, depth: number): PyExpression[] {
    const items: PyExpression[] = [];
    while (!this.take(close)) {
      items.push(this.expression(depth + 1));
      if (!this.take(",")) {
        this.expect(close);
        break;
      }
    }
    return items;
  }

  private parentheses(depth: number): PyExpression {
    if (this.take(")")) return { kind: "list", items: [] };
    const first = this.expression(depth + 1);
    if (this.take(")")) return first;
    this.expect(",");
    return { kind: "list", items: [first, ...this.items(")", depth)] };
  }

  private braces(depth: number): PyExpression {
    if (this.take("}")) return { kind: "dict", entries: [] };
    const first = this.expression(depth + 1);
    if (!this.take(":")) {
      if (this.take("}")) return { kind: "set", items: [first] };
      this.expect(",");
      return { kind: "set", items: [first, ...this.items("}", depth)] };
    }
    const entries: [PyKey, PyExpression][] = [[this.key(first), this.expression(depth + 1)]];
    while (!this.take("}")) {
      if (!this.take(",")) this.fail('"," or "}"');
      if (this.take("}")) break;
      const key = this.key(this.expression(depth + 1));
      this.expect(":");
      entries.push([key, this.expression(depth + 1)]);
    }
    return { kind: "dict", entries };
  }

  private key(expression: PyExpression): PyKey {
    if (expression.kind === "value") {
      const { value } = expression;
      if (typeof value === "string" || typeof value === "bigint") return value;
    }
    return this.fail("a string or a whole number as key");
  }

  private number(): bigint | number {
    const found = this.match(patterns.number);
    if (!found) return this.fail("a number");
    this.skipSpace();
    const digits = found[0].replaceAll("_", "");
    if (digits.length > 400) this.fail("a number of at most 400 digits");
    return /^0[xXbBoO]|^\d+$/.test(digits) ? BigInt(digits) : Number(digits);
  }

  /** Adjacent string literals are one string. */
  private strings(): string | undefined {
    let all: string | undefined;
    for (;;) {
      const open = this.match(patterns.open);
      if (!open) return all;
      all = (all ?? "") + this.string(open[1].toLowerCase() === "r", open[2]);
      this.skipSpace();
    }
  }

  private string(raw: boolean, quote: string): string {
    const start = this.at;
    let out = "";
    for (;;) {
      const c = this.text[this.at];
      if (c === undefined || (c === "\n" && quote.length === 1)) {
        this.at = start;
        this.fail(`a string that ends with ${quote}`);
      }
      if (this.text.startsWith(quote, this.at)) {
        this.at += quote.length;
        return out;
      }
      this.at++;
      if (c !== "\\") out += c;
      else out += raw ? c + (this.text[this.at++] ?? "") : this.escape();
    }
  }

  private escape(): string {
    const c = this.text[this.at++] ?? "";
    const digits = { x: 2, u: 4, U: 8 }[c];
    if (digits !== undefined) {
      const hex = this.text.slice(this.at, this.at + digits);
      if (hex.length < digits || !/^[0-9a-fA-F]+$/.test(hex) || Number.parseInt(hex, 16) > 0x10ffff) {
        this.fail(`${digits} hexadecimal digits`);
      }
      this.at += digits;
      return String.fromCodePoint(Number.parseInt(hex, 16));
    }
    // An escape that Python does not know stays as it is written.
    return escapes.get(c) ?? `\\${c}`;
  }
}

function negated(value: bigint | number, minus: boolean): bigint | number {
  return minus ? -value : value;
}

/** The value of an expression; `run` supplies the results of calls inside it. */
export function evaluate(expression: PyExpression, run: (call: PyCall) => PyValue): PyValue {
  switch (expression.kind) {
    case "value":
      return expression.value;
    case "call":
      return run(expression.call);
    case "dict":
      return new Map(expression.entries.map(([key, value]) => [key, evaluate(value, run)]));
    default: {
      const items = expression.items.map((item) => evaluate(item, run));
      return expression.kind === "set" ? new Set(items) : items;
    }
  }
}
