/**
 * Segmentation of one turn's reasoning: a teacher's own labels, else rules for simple turns, else an annotator, else the
 * conservative fallback. Chunks are contiguous and ordered, and reproduce the normalised reasoning.
 */
import type { Chunk } from "../types.ts";
import {
  AnnotationError,
  type Annotator,
  annotationLimits,
  annotationMessages,
  readAnnotation,
} from "./annotator.ts";
import { previewsCall } from "./preview.ts";
import { segmentByFallback, segmentByRules, type TurnContext, turnPattern } from "./rules.ts";
import type { SegmentedReasoning } from "./types.ts";

/** Settings of `segmentTurn`. */
export interface SegmentOptions {
  /** Asked for turns that the rules leave; without it they get the fallback. */
  annotator?: Annotator;
  /** Chunks that the teacher gave itself; used if they reproduce the reasoning. */
  labelled?: readonly Chunk[];
  signal?: AbortSignal;
}

/**
 * Cuts and labels the reasoning of one turn.
 *
 * @param turn - its reasoning must be normalised (`normaliseReasoning`)
 * @throws the signal's reason if it is aborted; never for what an annotator says
 * @example
 * ```ts
 * const turn: TurnContext = {
 *   reasoning: "We need the mayor of Bavo. Use f.",
 *   calls: [{ name: "f", arguments: { town: "Bavo" } }],
 *   tools: [],
 *   hasObservations: false,
 *   previousFailed: false,
 * };
 * const { pattern, segmentedBy } = await segmentTurn(turn);
 * [pattern, segmentedBy]; // → ["initial_attempt", "rules"]
 * ```
 */
export async function segmentTurn(
  turn: TurnContext,
  options: SegmentOptions = {},
): Promise<SegmentedReasoning> {
  const { annotator, labelled, signal = new AbortController().signal } = options;
  const pattern = turnPattern(turn);
  if (labelled && labelled.map((chunk) => chunk.text).join("") === turn.reasoning)
    return { pattern, segmentedBy: "teacher", chunks: labelled.map((chunk) => withPreview(chunk, turn)) };
  const simple = segmentByRules(turn);
  if (simple) return { pattern, segmentedBy: "rules", chunks: simple };
  if (annotator && turn.reasoning.length <= annotationLimits.reasoning) {
    let problem: string | undefined;
    for (let attempt = 0; attempt < 2; attempt++) {
      signal.throwIfAborted();
      try {
        const answer = await annotator(annotationMessages(turn, pattern, problem), signal);
        return { pattern, segmentedBy: "annotator", chunks: readAnnotation(String(answer), turn) };
      } catch (error) {
        signal.throwIfAborted();
        problem = error instanceof AnnotationError ? error.message : "it could not be asked";
      }
    }
  }
  return { pattern, segmentedBy: "fallback", chunks: segmentByFallback(turn) };
}

/** A teacher's chunk, relabelled where it spells out a call. */
function withPreview(chunk: Chunk, { calls }: TurnContext): Chunk {
  return previewsCall(chunk.text, calls) ? { ...chunk, type: "explicit_call_preview" } : { ...chunk };
}
