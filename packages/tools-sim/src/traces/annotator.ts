/**
 * The annotator: a model that cuts the reasoning of hard turns. It is shown numbered paragraphs and answers in JSON with
 * ranges of paragraphs, chunk types, keep flags and the spans that preview the call. Its answer is untrusted: bounded,
 * checked against the text, asked for once more with the problem named, and otherwise not used.
 *
 * The kind of answer is that of arXiv 2606.16215 (trace segmentation); prompt and format are ours.
 */
import { isObject } from "../json.ts";
import { type Chunk, type ChunkType, chunkTypes, type Json, type Message } from "../types.ts";
import { cutAtPreview } from "./preview.ts";
import type { TurnContext } from "./rules.ts";
import { paragraphsOf } from "./text.ts";
import type { TurnPattern } from "./types.ts";

/** Answers a short conversation with text; a served model, or a script in tests. */
export type Annotator = (messages: readonly Message[], signal: AbortSignal) => Promise<string>;

/** Bounds on the reasoning that an annotator is shown and on its answer; longer reasoning gets the fallback. */
export const annotationLimits = { reasoning: 50_000, characters: 50_000, chunks: 64, previews: 16 } as const;

const instructions = `You label the reasoning of an agent that calls tools. The reasoning of one turn is given as numbered paragraphs, with the calls that followed it. Divide it into contiguous chunks, in order, without gaps or overlaps, from the first paragraph to the last.

Answer with one JSON object and nothing else:
{"chunks": [{"first": 0, "last": 1, "type": "task_restate", "keep": true}], "previews": []}

- "first" and "last": numbers of the chunk's first and last paragraph, both included.
- "until": only where a paragraph must be cut: the exact text with which the chunk ends inside paragraph "last". The next chunk then begins in that same paragraph.
- "type": one of ${chunkTypes.join(", ")}.
- "keep": false for text that helps nobody (repetition, wandering), else true.
- "previews": exact pieces of the reasoning that already write out a call: its JSON, or its name with all its arguments.`;

/**
 * The conversation that asks for an annotation.
 *
 * @param problem - what was wrong with the first answer
 * @example
 * ```ts
 * const turn: TurnContext = {
 *   reasoning: "We need the mayor of Bavo. Use f.",
 *   calls: [{ name: "f", arguments: { town: "Bavo" } }],
 *   tools: [],
 *   hasObservations: false,
 *   previousFailed: false,
 * };
 * annotationMessages(turn, "initial_attempt")[0].role; // → "system"
 * ```
 */
export function annotationMessages(turn: TurnContext, pattern: TurnPattern, problem?: string): Message[] {
  const paragraphs = paragraphsOf(turn.reasoning).map((text, index) => `[${index}] ${text.trim()}`);
  const request = [
    `Turn: ${pattern}`,
    "Reasoning:",
    ...paragraphs,
    "Calls:",
    ...turn.calls.map((call) => JSON.stringify(call)),
    ...(problem === undefined
      ? []
      : [`Your last answer could not be used: ${problem}. Answer again, with the JSON object alone.`]),
  ];
  return [
    { role: "system", content: instructions },
    { role: "user", content: request.join("\n") },
  ];
}

/** An annotator's answer that can not be used; the message says why. Never leaves this folder. */
export class AnnotationError extends Error {}

/**
 * Chunks from an annotator's answer, checked against the text: contiguous, ordered, and together the whole reasoning.
 * Whatever it says, text that spells out a call becomes an `explicit_call_preview`.
 *
 * @throws AnnotationError for an answer that does not fit
 * @example
 * ```ts
 * const turn: TurnContext = { reasoning: "Need it.", calls: [], tools: [], hasObservations: false, previousFailed: false };
 * readAnnotation('{"chunks": [{"first": 0, "last": 0, "type": "task_restate"}]}', turn); // → [{ type: "task_restate", text: "Need it." }]
 * ```
 */
export function readAnnotation(answer: string, turn: TurnContext): Chunk[] {
  const value = parseObject(answer);
  const { chunks: listed, previews = [] } = value;
  if (!Array.isArray(listed)) throw new AnnotationError('"chunks" must be a list');
  if (listed.length > annotationLimits.chunks)
    throw new AnnotationError(`more than ${annotationLimits.chunks} chunks`);
  const chunks = cutChunks(listed, paragraphsOf(turn.reasoning));
  const marks = readPreviews(previews, turn.reasoning);
  return separatePreviews(chunks, marks, turn);
}

function parseObject(answer: string): Record<string, Json> {
  if (answer.length > annotationLimits.characters)
    throw new AnnotationError(`the answer is longer than ${annotationLimits.characters} characters`);
  const start = answer.indexOf("{");
  const end = answer.lastIndexOf("}");
  let value: Json = null;
  try {
    value = JSON.parse(answer.slice(Math.max(0, start), end + 1)) as Json;
  } catch {
    throw new AnnotationError("it is not valid JSON");
  }
  if (!isObject(value)) throw new AnnotationError("it is not a JSON object");
  return value;
}

/** Walks the paragraphs along the listed ranges; a paragraph that was cut is continued by the next chunk. */
function cutChunks(listed: readonly Json[], paragraphs: readonly string[]): Chunk[] {
  const chunks: Chunk[] = [];
  let paragraph = 0;
  let at = 0;
  for (const [index, item] of listed.entries()) {
    const where = `chunk ${index}`;
    if (!isObject(item)) throw new AnnotationError(`${where} is not an object`);
    const { first, last, until } = item;
    const { type, keep } = readLabels(item, where);
    if (first !== paragraph) throw new AnnotationError(`${where} must begin with paragraph ${paragraph}`);
    if (typeof last !== "number" || !Number.isInteger(last) || last < paragraph || last >= paragraphs.length)
      throw new AnnotationError(
        `${where}: "last" must be a paragraph from ${paragraph} to ${paragraphs.length - 1}`,
      );
    const pieces = paragraphs.slice(paragraph, last);
    const startInLast = last === paragraph ? at : 0;
    const end =
      until === undefined || until === null
        ? paragraphs[last].length
        : endOf(until, paragraphs[last], startInLast, where);
    const text = [...pieces, paragraphs[last].slice(0, end)].join("").slice(at);
    chunks.push({ type, text, ...(keep ? {} : { keep }) });
    const isWhole = end === paragraphs[last].length;
    paragraph = isWhole ? last + 1 : last;
    at = isWhole ? 0 : end;
  }
  if (paragraph < paragraphs.length)
    throw new AnnotationError(`paragraph ${paragraph} is not covered to its end`);
  return chunks;
}

function readLabels(item: Record<string, Json>, where: string): { type: ChunkType; keep: boolean } {
  const type = chunkTypes.find((name) => name === item.type);
  if (type === undefined)
    throw new AnnotationError(`${where}: "type" must be one of ${chunkTypes.join(", ")}`);
  const { keep = true } = item;
  if (typeof keep !== "boolean") throw new AnnotationError(`${where}: "keep" must be true or false`);
  return { type, keep };
}

function endOf(until: Json, paragraph: string, from: number, where: string): number {
  const found = typeof until === "string" && until !== "" ? paragraph.indexOf(until, from) : -1;
  if (found < 0) throw new AnnotationError(`${where}: "until" is not a text of that paragraph`);
  const end = found + (until as string).length;
  if (splitsCharacter(paragraph, end)) throw new AnnotationError(`${where}: "until" ends within a character`);
  return end;
}

function splitsCharacter(text: string, at: number): boolean {
  return at > 0 && /[\ud800-\udbff]/.test(text[at - 1]) && /[\udc00-\udfff]/.test(text[at] ?? "");
}

/** Where the previews begin in the reasoning. */
function readPreviews(previews: Json, reasoning: string): number[] {
  if (!Array.isArray(previews) || previews.length > annotationLimits.previews)
    throw new AnnotationError(`"previews" must be a list of at most ${annotationLimits.previews} texts`);
  return previews.map((preview) => {
    const at = typeof preview === "string" && preview !== "" ? reasoning.indexOf(preview) : -1;
    if (at < 0) throw new AnnotationError('"previews" holds something that is not a text of the reasoning');
    if (splitsCharacter(reasoning, at))
      throw new AnnotationError('a text of "previews" begins within a character');
    return at;
  });
}

/** Cuts each chunk where its first preview begins. */
function separatePreviews(chunks: readonly Chunk[], marks: readonly number[], turn: TurnContext): Chunk[] {
  let start = 0;
  return chunks.flatMap((chunk): Chunk[] => {
    const from = start;
    start += chunk.text.length;
    if (chunk.type === "explicit_call_preview") return [chunk];
    const own = marks.filter((mark) => mark >= from && mark < start).map((mark) => mark - from);
    const cut = Math.min(cutAtPreview(chunk.text, turn.calls)[0].length, ...own);
    if (cut === chunk.text.length) return [chunk];
    const preview: Chunk = { type: "explicit_call_preview", text: chunk.text.slice(cut) };
    return cut === 0 ? [preview] : [{ ...chunk, text: chunk.text.slice(0, cut) }, preview];
  });
}
