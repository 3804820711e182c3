/**
 * Parts of a rendered template to token ids, with the role of each token and where each field lies.
 *
 * Control names count in template text only. Between two control tokens, text of template and fields is encoded
 * together, as the official libraries do, and a token belongs to whoever wrote its first byte.
 */
import { splitControls, type TokenizerLike } from "@pact/nn";
import { type Role, roleCode } from "../roles.ts";
import type { Field } from "./fields.ts";
import type { RenderedPart } from "./marks.ts";

/** Tokens of one field: `[start, end)`. */
export interface FieldSpan {
  readonly start: number;
  readonly end: number;
  readonly kind: Field["kind"];
  /** Index of the message; undefined for tool definitions. */
  readonly message: number | undefined;
}

/** Tokens under way. */
export interface TokenBuffer {
  readonly ids: number[];
  /** Codes of `roleCode`. */
  readonly roles: number[];
  readonly spans: FieldSpan[];
}

const utf8 = new TextEncoder();

/** Appends parts to a buffer; `roleOf` gives the role of a field. */
export function appendParts(
  buffer: TokenBuffer,
  tokenizer: TokenizerLike,
  parts: readonly RenderedPart[],
  fields: readonly Field[],
  roleOf: (field: Field) => Role,
): void {
  let run: RenderedPart[] = [];
  const flush = (): void => {
    appendRun(buffer, tokenizer, run, fields, roleOf);
    run = [];
  };
  for (const part of parts) {
    if (part.field !== undefined) {
      run.push(part);
      continue;
    }
    for (const piece of splitControls(tokenizer, part.text)) {
      if (typeof piece === "string") run.push({ text: piece });
      else {
        flush();
        buffer.ids.push(piece);
        buffer.roles.push(roleCode.template);
      }
    }
  }
  flush();
}

/** Text without control tokens. */
function appendRun(
  buffer: TokenBuffer,
  tokenizer: TokenizerLike,
  run: readonly RenderedPart[],
  fields: readonly Field[],
  roleOf: (field: Field) => Role,
): void {
  const ids = tokenizer.encode(run.map((part) => part.text).join(""));
  const ends: number[] = [];
  for (const { text } of run) ends.push((ends.at(-1) ?? 0) + utf8.encode(text).length);
  let byte = 0;
  let index = 0;
  let open: FieldSpan | undefined;
  for (const id of ids) {
    const before = index;
    while (index + 1 < run.length && byte >= ends[index]) index++;
    const number = run[index].field;
    const field = number === undefined ? undefined : fields[number];
    if (index !== before) open = undefined;
    if (field !== undefined) {
      const at = buffer.ids.length;
      if (open !== undefined) buffer.spans.pop();
      open = { start: open?.start ?? at, end: at + 1, kind: field.kind, message: field.message };
      buffer.spans.push(open);
    }
    buffer.ids.push(id);
    buffer.roles.push(roleCode[field === undefined ? "template" : roleOf(field)]);
    byte += tokenizer.tokenBytes(id).length;
  }
}
