/**
 * Segmentation by rules: names what a turn does, and labels the paragraphs of turns that are simple enough to be labelled by
 * words alone. Chunk types and turn patterns are those of arXiv 2606.16215, the rules are ours. Left out: languages other
 * than English, whose paragraphs no rule fits, so that they count as hard.
 */
import type { Chunk, ChunkType, ToolDefinition } from "../types.ts";
import { cutAtPreview } from "./preview.ts";
import { paragraphsOf } from "./text.ts";
import type { StoredCall, TurnPattern } from "./types.ts";

/** What segmentation knows of a turn. */
export interface TurnContext {
  /** Normalised. */
  reasoning: string;
  /** None in the final turn. */
  calls: readonly StoredCall[];
  tools: readonly ToolDefinition[];
  /** Tool turns came before. */
  hasObservations: boolean;
  /** A call of the turn before failed. */
  previousFailed: boolean;
}

/**
 * What a turn does within its episode.
 *
 * @example
 * ```ts
 * const again = { reasoning: "Again.", calls: [{ name: "f", arguments: {} }], tools: [] };
 * turnPattern({ ...again, hasObservations: true, previousFailed: true }); // → "retry_after_failed_call"
 * ```
 */
export function turnPattern(turn: TurnContext): TurnPattern {
  if (turn.calls.length === 0) return "final_answer_turn";
  if (turn.reasoning === "") return "other";
  if (turn.previousFailed) return "retry_after_failed_call";
  const named = namedTools(turn.reasoning, turn.tools);
  const called = new Set(turn.calls.map(({ name }) => name));
  if (named.length > 1 && named.some((name) => !called.has(name))) return "compare_then_call";
  return turn.hasObservations ? "post_observation_followup" : "initial_attempt";
}

function namedTools(text: string, tools: readonly ToolDefinition[]): string[] {
  return tools.map((tool) => tool.function.name).filter((name) => text.includes(name));
}

/** A turn with more or longer paragraphs is not simple. */
const simple = { paragraphs: 4, characters: 600 };

/** Words that give a type away, tried in this order. */
const words: readonly (readonly [ChunkType, RegExp])[] = [
  [
    "failure_reflection",
    /\b(?:fail(?:ed|s|ure)?|errors?|timed out|did ?n[o']t work|was wrong|mistake|invalid)\b/i,
  ],
  ["fallback_plan", /\b(?:try|retry|again|instead|alternative|fall back)\b/i],
  [
    "irrelevant_tool_rejection",
    /\b(?:irrelevant|not (?:relevant|needed|useful|suitable|the right)|does ?n[o']t help)\b/i,
  ],
  ["optional_arg_analysis", /\b(?:optional|by default|default value|leave out)\b/i],
  [
    "tool_scan",
    /\b(?:available tools|tools (?:available|given|offered|listed)|tools? (?:I|we) have|among the tools)\b/i,
  ],
  ["required_arg_grounding", /\b(?:required|requires|argument|parameter|it takes|takes an?)\b/i],
  [
    "decision_summary",
    /^\s*(?:so|therefore|thus|now (?:I|we) (?:have|know)|got|in short|in summary|to sum up)\b/i,
  ],
  [
    "task_restate",
    /\b(?:question|asks?|asked|asking|user|need(?:s|ed)?|looking for|find out|task|want(?:s|ed)?)\b/i,
  ],
];

function typeOf(paragraph: string, turn: TurnContext): ChunkType | undefined {
  if (turn.calls.length === 0) return "final_answer_grounding";
  const byWords = words.find(([, pattern]) => pattern.test(paragraph))?.[0];
  const named = namedTools(paragraph, turn.tools);
  // Naming the tool that is called says more than the weakest of the words.
  if (named.length === 1 && turn.calls.some(({ name }) => name === named[0]))
    return byWords === undefined || byWords === "task_restate" ? "tool_selection" : byWords;
  if (byWords !== undefined) return byWords;
  return named.length > 1 ? "tool_scan" : undefined;
}

/**
 * The chunks of a structurally simple turn: few short paragraphs, each of which a rule names.
 *
 * @returns undefined for a harder turn
 * @example
 * ```ts
 * const turn: TurnContext = {
 *   reasoning: "We need the mayor of Bavo. Use f.",
 *   calls: [{ name: "f", arguments: { town: "Bavo" } }],
 *   tools: [],
 *   hasObservations: false,
 *   previousFailed: false,
 * };
 * segmentByRules(turn)?.map((chunk) => chunk.type); // → ["task_restate", "explicit_call_preview"]
 * ```
 */
export function segmentByRules(turn: TurnContext): Chunk[] | undefined {
  const paragraphs = paragraphsOf(turn.reasoning);
  if (paragraphs.length > simple.paragraphs || paragraphs.some((text) => text.length > simple.characters))
    return undefined;
  const chunks: Chunk[] = [];
  for (const paragraph of paragraphs) {
    const [before, preview] = cutAtPreview(paragraph, turn.calls);
    if (before !== "") {
      const type = typeOf(before, turn);
      if (type === undefined) return undefined;
      chunks.push({ type, text: before });
    }
    if (preview !== "") chunks.push({ type: "explicit_call_preview", text: preview });
  }
  return chunks;
}

/**
 * The conservative reading of any turn: its paragraphs, typed `other` up to the first preview, which ends all levels.
 * What follows that is typed `other` as well.
 *
 * @example
 * ```ts
 * const turn: TurnContext = {
 *   reasoning: "We need the mayor of Bavo. Use f.",
 *   calls: [{ name: "f", arguments: { town: "Bavo" } }],
 *   tools: [],
 *   hasObservations: false,
 *   previousFailed: false,
 * };
 * segmentByFallback(turn).map((chunk) => chunk.text).join("") === turn.reasoning; // → true
 * ```
 */
export function segmentByFallback({ reasoning, calls }: TurnContext): Chunk[] {
  return paragraphsOf(reasoning).flatMap((paragraph) => {
    const [before, preview] = cutAtPreview(paragraph, calls);
    const chunks: Chunk[] = before === "" ? [] : [{ type: "other", text: before }];
    return preview === "" ? chunks : [...chunks, { type: "explicit_call_preview", text: preview }];
  });
}
