/**
 * Terse labelled reasoning for scripted policies: what is needed, which tool, which argument. Chunk types are
 * those of PACT's trace segmentation (arXiv 2606.16215); the sentences are ours. Tool names and entities are
 * quoted, so that a tokenizer meets the same pieces in reasoning and in JSON.
 */
import { toolCallJson } from "./json.ts";
import type { Random } from "./rng.ts";
import { calculatorName } from "./tools.ts";
import type { Chunk, ChunkType, SyntheticSetup, ToolCall } from "./types.ts";

/** How much a policy says: every chunk, one chunk, or no `<think>` at all. */
export type ReasoningMode = "full" | "short" | "absent";

/** What a turn is about to do, and what it has just seen. */
export interface TurnIntent {
  calls: ToolCall[];
  /** Values read from the last observations; empty in the first turn. */
  seen: (string | number)[];
  /** The turn repeats calls that failed. */
  retry: boolean;
  /** More turns with other calls should follow. */
  hasNext: boolean;
}

/** Builds a lookup call. */
export function makeCall(name: string, args: ToolCall["function"]["arguments"]): ToolCall {
  return { type: "function", function: { name, arguments: args } };
}

/** Reasoning of a turn that calls tools. `full` has 2 to 5 chunks. */
export function callChunks(
  random: Random,
  setup: SyntheticSetup,
  intent: TurnIntent,
  mode: ReasoningMode,
): Chunk[] {
  if (mode === "absent") return [];
  const sentences: [ChunkType, string][] = [];
  const names = [...new Set(intent.calls.map((call) => call.function.name))];
  const toolList = names.map((name) => `"${name}"`).join(" and ");
  if (intent.retry) {
    sentences.push(["failure_reflection", "That failed."], ["fallback_plan", `Try ${toolList} again.`]);
  } else if (names[0] === calculatorName) {
    sentences.push(
      ["decision_summary", `Got ${intent.seen.join(" and ")}.`],
      ["tool_selection", `Use ${toolList}.`],
    );
  } else {
    const needs = intent.calls.map(
      (call) => `the ${setup.lookups[call.function.name]} of "${argumentOf(call)}"`,
    );
    const opening = intent.seen.length > 0 ? "Next" : intent.hasNext ? "First" : "Need";
    if (intent.seen.length > 0 && random.chance(0.3))
      sentences.push(["decision_summary", `Got ${quoteAll(intent.seen)}.`]);
    sentences.push(["task_restate", `${opening} ${needs.join(" and ")}.`]);
    if (random.chance(0.1)) {
      const unused = Object.keys(setup.lookups).filter((name) => !names.includes(name));
      if (unused.length > 0) sentences.push(["irrelevant_tool_rejection", `Not "${random.pick(unused)}".`]);
    }
    sentences.push(["tool_selection", `Use ${toolList}.`]);
    if (random.chance(0.15)) {
      const [key] = Object.keys(intent.calls[0].function.arguments);
      sentences.push(["required_arg_grounding", `It takes a ${key}.`]);
    }
    if (intent.calls.length === 1 && random.chance(0.05))
      sentences.push(["explicit_call_preview", toolCallJson(intent.calls[0])]);
  }
  if (mode === "short")
    return joinable([random.pick(sentences.filter(([type]) => type !== "explicit_call_preview"))]);
  return joinable(sentences);
}

/** Reasoning of the final turn. */
export function finalChunks(values: readonly (string | number)[], mode: ReasoningMode): Chunk[] {
  if (mode === "absent") return [];
  return [
    {
      type: "final_answer_grounding",
      text: values.length === 0 ? "No value found." : `Got ${quoteAll(values)}.`,
    },
  ];
}

function argumentOf(call: ToolCall): string {
  return Object.values(call.function.arguments).join(", ");
}

function quoteAll(values: readonly (string | number)[]): string {
  return values.map((value) => (typeof value === "number" ? value : `"${value}"`)).join(" and ");
}

function joinable(sentences: [ChunkType, string][]): Chunk[] {
  return sentences.map(([type, text], i) => ({ type, text: i === 0 ? text : ` ${text}` }));
}
