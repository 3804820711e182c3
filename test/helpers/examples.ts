/**
 * Documentation examples as programs. `examplesIn` takes the ```ts fences of JSDoc `@example`s (or of a Markdown page)
 * out of a file, `moduleOf` turns those that check something into a module with one async function each.
 *
 * A line whose trailing comment begins with `→` is checked: `await add(x, 1).data(); // → [2, 3]`. The rest of the
 * comment is a literal, `f32[2, 3]` for a tensor of that dtype and shape, or `throws SomeError`. The line must end a
 * statement at the top level of the example: an expression or `const name = …`. All public names of the example's package
 * (and of those below it) are in scope without import.
 */
import { readFileSync } from "node:fs";

/** The text of one example. */
export interface Example {
  file: string;
  /** Line of the fence, from 1. */
  line: number;
  /** Lines between the fences. */
  lines: string[];
  /** True if at least one line is checked. */
  checks: boolean;
}

const mark = /\s\/\/ → (.+)$/;

/** The examples of a TypeScript or Markdown file. `@example`s without a fence come as examples without lines. */
export function examplesIn(file: string, text = readFileSync(file, "utf8")): Example[] {
  const isPage = file.endsWith(".md");
  const found: Example[] = [];
  let inside: Example | undefined;
  let tag = isPage;
  text.split("\n").forEach((raw, index) => {
    const line = isPage ? raw : raw.replace(/^\s*\* ?/, "");
    if (inside) {
      if (line.startsWith("```")) inside = undefined;
      else {
        inside.lines.push(line);
        inside.checks ||= mark.test(line);
      }
    } else if (!isPage && /^\s*\*\s*@example/.test(raw)) {
      tag = true;
      // The fence stands on the next line; anything after the tag is a text that nothing runs.
      if (line.trim() !== "@example") found.push({ file, line: index + 1, lines: [], checks: false });
    } else if (tag && line.startsWith("```ts")) {
      inside = { file, line: index + 1, lines: [], checks: false };
      found.push(inside);
    } else if (!isPage && raw.includes("*/")) tag = false;
  });
  return found;
}

/** A generated module, with the example's line that each of its own lines comes from. */
export interface ExampleModule {
  text: string;
  /** Source place by generated line (from 1). */
  origin: Map<number, string>;
}

/** The module of a file's checked examples; `imports` is its head. Function `at12` is the example at line 12. */
export function moduleOf(examples: readonly Example[], imports: string, shown: string): ExampleModule {
  const lines = ["// Written by test/docs.test.ts.", ...imports.split("\n")];
  const origin = new Map<number, string>();
  for (const example of examples) {
    lines.push(`export async function at${example.line}() {`);
    for (const { code, line } of statementsOf(example, shown)) {
      for (const part of code.split("\n")) {
        lines.push(part);
        origin.set(lines.length, `${shown}:${line}`);
      }
    }
    lines.push("}");
  }
  return { text: `${lines.join("\n")}\n`, origin };
}

/** The statements of an example, checked ones turned into calls of `check`; imports are left out. */
function statementsOf({ lines, line: first }: Example, shown: string): { code: string; line: number }[] {
  const statements: { code: string; line: number }[] = [];
  let open: string[] = [];
  lines.forEach((text, index) => {
    const line = first + 1 + index;
    const where = `${shown}:${line}`;
    const expected = mark.exec(text)?.[1];
    const code = expected === undefined ? text : text.replace(mark, "");
    if (expected === undefined && open.length === 0 && /^\s*(\/\/.*)?$/.test(code)) return;
    open.push(code);
    const whole = open.join("\n");
    if (!isComplete(whole)) {
      if (expected !== undefined)
        throw new Error(`${where}: a check must end a statement, "${text.trim()}" does not`);
      return;
    }
    open = [];
    if (/^\s*import\b/.test(whole)) return;
    statements.push({ code: expected === undefined ? whole : checked(whole, expected, where), line });
  });
  if (open.length > 0) throw new Error(`${shown}:${first}: the example ends inside a statement`);
  return statements;
}

/** True if brackets are closed and the last code character ends a statement. */
function isComplete(code: string): boolean {
  const bare = code
    .replace(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g, '""')
    .replace(/\/\/.*$/gm, "")
    .trim();
  const depth = [...bare].reduce((d, c) => d + ("([{".includes(c) ? 1 : ")]}".includes(c) ? -1 : 0), 0);
  return depth === 0 && /[;}]$/.test(bare);
}

function checked(statement: string, expected: string, where: string): string {
  const place = JSON.stringify(where);
  const name = /^\s*(?:const|let|using|var) ([\w$]+)\b/.exec(statement)?.[1];
  if (!name && /^\s*(?:const|let|using|var)\b/.test(statement)) {
    throw new Error(`${where}: check one name at a time, this line declares several`);
  }
  const error = /^throws ([\w$]+)$/.exec(expected)?.[1];
  if (error) {
    if (name) throw new Error(`${where}: a line that throws must not declare ${name}`);
    return `await $checkThrows(${place}, async () => (${bare(statement)}), "${error}");`;
  }
  // `f32[2, 3]` outside quotes stands for a tensor; everything else is a literal.
  const literal = expected.replace(/"(?:\\.|[^"\\])*"|\b(?:f16|f32|f64|i32|u32|bool)\[[\d, ]*\]/g, (text) =>
    text.startsWith('"') ? text : JSON.stringify(text),
  );
  if (name) return `${statement}\nawait $check(${place}, () => ${name}, ${literal});`;
  return `await $check(${place}, async () => (${bare(statement)}), ${literal});`;
}

/** A statement's expression. */
function bare(statement: string): string {
  return statement.trim().replace(/;$/, "");
}
