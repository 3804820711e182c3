/**
 * BFCL's prompting format: a reply that is a list of calls in Python's syntax, `[f(a=1), g('x')]`, with or without the
 * brackets. Never throws: a valid call beside a broken one survives, and text that holds no call gives none.
 * Linear in the length of the text, which is bounded.
 */
import { type PyCall, PyReader, PySyntaxError } from "./expression.ts";

/** Why a piece of a list is no call, with its position in the text (UTF-16 units). */
export interface PythonCallError {
  message: string;
  at: number;
}

/** One element of the list in textual order: a call, or the reason why it is none. */
export type ParsedPythonBlock =
  | { call: PyCall; at: number; error?: undefined }
  | { call?: undefined; error: PythonCallError };

/** Bounds on untrusted text. */
export const pythonCallLimits = { textLength: 1_000_000, calls: 256 } as const;

/**
 * Parses a reply.
 *
 * @returns the calls in order; no block at all if the text does not start like a call or a list of calls
 * @example
 * ```ts
 * parsePythonCalls("[cd(folder='docs'), ls(a=True)]").calls.map((call) => call.name); // → ["cd", "ls"]
 * ```
 */
export function parsePythonCalls(source: string): { calls: PyCall[]; blocks: ParsedPythonBlock[] } {
  const text = source
    .slice(0, pythonCallLimits.textLength)
    .trim()
    .replace(/^```\w*\n([\s\S]*?)\n?```$/, "$1")
    .trim();
  const blocks: ParsedPythonBlock[] = [];
  // Prose is no broken call: only a name with an opening bracket begins one.
  if (!/^\[?\s*[\p{L}_][\p{L}\p{N}_.]*\s*\(/u.test(text)) return { calls: [], blocks };
  const reader = new PyReader(text);
  const bracketed = reader.take("[");
  while (reader.at < text.length && !(bracketed && reader.take("]"))) {
    if (blocks.length === pythonCallLimits.calls) {
      const message = `more than ${pythonCallLimits.calls} calls; the rest is not read`;
      blocks.push({ error: { message, at: reader.at } });
      break;
    }
    const start = reader.at;
    try {
      const call = reader.call();
      if (reader.at < text.length && !/[,\]]/.test(text[reader.at])) reader.fail('"," or "]"');
      blocks.push({ call, at: start });
    } catch (error) {
      if (!(error instanceof PySyntaxError)) throw error;
      blocks.push({ error: { message: error.message, at: error.at } });
      reader.at = nextElement(text, Math.max(start + 1, error.at));
      reader.skipSpace();
    }
    reader.take(",");
  }
  return { calls: blocks.flatMap(({ call }) => (call === undefined ? [] : [call])), blocks };
}

/** The place after the next comma that a new call follows, or the end. */
function nextElement(text: string, from: number): number {
  const next = /,\s*(?=[\p{L}_][\p{L}\p{N}_.]*\s*\()/gu;
  next.lastIndex = from;
  return next.test(text) ? next.lastIndex : text.length;
}
