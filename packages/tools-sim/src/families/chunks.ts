/**
 * Labelled reasoning of the generated families' teachers, in the manner of `reasoning.ts`: terse, names quoted. What a turn
 * says depends on what it is about to do and on how the turn before it ended.
 */
import { toolCallJson } from "../json.ts";
import type { Random } from "../rng.ts";
import type { Chunk, ChunkType, ToolCall } from "../types.ts";

/** A turn that a teacher is about to take. */
export interface Step {
  /** What the turn is for: `the mayor of "Bavo"`. */
  need: string;
  calls: readonly ToolCall[];
  /** What the last turn found: `"Bavo"`; left out where there is nothing to say. */
  seen?: string;
  /** Listed tools that the task does not need. */
  unused: readonly string[];
  /** The turn repeats, replaces or prepares calls that failed: what was wrong. */
  failure?: string;
  isFirst: boolean;
}

/**
 * The chunks of a turn: 2 to 7, one sentence each.
 *
 * @example
 * ```ts
 * const call: ToolCall = { type: "function", function: { name: "mayor", arguments: { town: "Bavo" } } };
 * const chunks = stepChunks(new Random("a", 1), { need: 'the mayor of "Bavo"', calls: [call], unused: [], isFirst: true });
 * chunks[0]; // → { type: "task_restate", text: 'First the mayor of "Bavo".' }
 * ```
 */
export function stepChunks(random: Random, step: Step): Chunk[] {
  const tools = quoteAll([...new Set(step.calls.map((call) => call.function.name))]);
  const sentences: [ChunkType, string][] = [];
  if (step.failure !== undefined) {
    sentences.push(
      ["failure_reflection", `That failed: ${step.failure}.`],
      ["fallback_plan", `Try ${tools} for ${step.need}.`],
    );
    return joined(sentences);
  }
  if (step.seen !== undefined && random.chance(0.4))
    sentences.push(["decision_summary", `Got ${step.seen}.`]);
  sentences.push(["task_restate", `${step.isFirst ? "First" : "Next"} ${step.need}.`]);
  if (step.isFirst && random.chance(0.2))
    sentences.push(["tool_scan", `One of the tools fits ${step.need}.`]);
  if (step.unused.length > 0 && random.chance(0.15))
    sentences.push(["irrelevant_tool_rejection", `Not "${random.pick(step.unused)}".`]);
  sentences.push(["tool_selection", `Use ${tools}.`]);
  if (random.chance(0.15)) {
    const keys = Object.keys(step.calls[0].function.arguments);
    sentences.push(["required_arg_grounding", `It takes ${quoteAll(keys)}.`]);
  }
  if (step.calls.length === 1 && random.chance(0.05))
    sentences.push(["explicit_call_preview", toolCallJson(step.calls[0])]);
  return joined(sentences);
}

/** `"a" and "b"`. */
export function quoteAll(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join(" and ");
}

/** Chunks whose texts, joined with nothing, are the sentences with a space between them. */
function joined(sentences: readonly [ChunkType, string][]): Chunk[] {
  return sentences.map(([type, text], i) => ({ type, text: i === 0 ? text : ` ${text}` }));
}
