/**
 * The format of expert traces on disk, one JSON object a line; `schema/trace.schema.json` says the same for other
 * programs. After arXiv 2606.16215 (PACT), whose traces are not published; the fields are this project's.
 */
import type { Category, Chunk, JsonObject, ToolDefinition } from "../types.ts";

/** What a turn does within its episode (arXiv 2606.16215, trace segmentation). */
export const turnPatterns = [
  "initial_attempt",
  "compare_then_call",
  "retry_after_failed_call",
  "post_observation_followup",
  "final_answer_turn",
  "other",
] as const;

/** One of `turnPatterns`. */
export type TurnPattern = (typeof turnPatterns)[number];

/** Who cut a turn's reasoning: a teacher that labels its own, the rules, an annotator model, or the fallback. */
export const segmenters = ["teacher", "rules", "annotator", "fallback"] as const;

/** One of `segmenters`. */
export type Segmenter = (typeof segmenters)[number];

/** What made a trace count: the final answer or the last observation holds the reference, or the task's own outcome. */
export const evidences = ["answer", "last_observation", "outcome"] as const;

/** One of `evidences`. */
export type Evidence = (typeof evidences)[number];

/** Reasoning in labelled chunks, whose texts joined with nothing are the reasoning. */
export interface SegmentedReasoning {
  pattern: TurnPattern;
  segmentedBy: Segmenter;
  chunks: Chunk[];
}

/** A call as traces store it. */
export interface StoredCall {
  name: string;
  arguments: JsonObject;
}

/** One assistant turn that calls tools, with one observation per call, in order. */
export interface StoredTurn extends SegmentedReasoning {
  reasoning: string;
  calls: StoredCall[];
  observations: string[];
}

/** The turn that ended the episode. It is kept for plain fine-tuning; no context ever holds it. */
export interface StoredFinal extends SegmentedReasoning {
  reasoning: string;
  answer: string;
}

/** One expert trace: a line of a trace file. */
export interface TraceRecord {
  /** Version of this format. */
  version: 1;
  /** Id of the task; occurs once in a file. */
  id: string;
  /** Environment id, as `openSuite` takes it. */
  environment: string;
  category: Category | string;
  /** `scripted`, or the name of the model. */
  teacher: string;
  question: string;
  /** The tools that were offered. */
  tools: ToolDefinition[];
  /** The reference answer; empty if the task has none. */
  reference: string;
  verifiedBy: Evidence;
  /** Whether the observations, all of which are context, hold the reference answer. */
  answerInObservations: boolean;
  turns: StoredTurn[];
  final: StoredFinal;
}

/** Why an episode is no trace. */
export const dropReasons = [
  "teacher_failed",
  "turn_limit",
  "no_answer",
  "no_calls",
  "malformed_turn",
  "unknown_tool",
  "role_text_in_observation",
  "call_tags_in_observation",
  "not_verified",
] as const;

/** One of `dropReasons`. */
export type DropReason = (typeof dropReasons)[number];

/** An episode that is no trace, with what was found. */
export interface DroppedTrace {
  id: string;
  reason: DropReason;
  detail: string;
}
