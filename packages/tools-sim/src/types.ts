/**
 * The shapes every part of the package shares: chat messages, tool calls and tool definitions in the OpenAI
 * chat format, tasks, and expert traces in labelled chunks. All of it is plain JSON: tasks can be stored.
 *
 * Left out: multi-modal content and parallel-call ids, which no task here uses.
 */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  [key: string]: Json;
}

/** One tool call. `arguments` is an object, not the JSON string that OpenAI's wire format uses. */
export interface ToolCall {
  id?: string;
  type: "function";
  function: {
    name: string;
    arguments: JsonObject;
    /** The arguments' JSON text as it was written, where known: it tells 10 from 10.0. */
    argumentsText?: string;
  };
}

/** One chat message. */
export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  /** Reasoning of an assistant turn, without its `<think>` tags. */
  reasoning_content?: string;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
  /** Tool name, for role `tool`. */
  name?: string;
}

/** The part of JSON Schema that tool parameters use. */
export interface JsonSchema {
  type?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  [keyword: string]: unknown;
}

/** A tool as the policy sees it. */
export interface ToolDefinition {
  type: "function";
  function: { name: string; description: string; parameters: JsonSchema };
}

/** FTRL's four task categories (arXiv 2508.08791). */
export type Category = "single_hop" | "parallel_single_hop" | "multi_hop" | "parallel_multi_hop";

/** The four categories, in the order tasks cycle through. */
export const categories: readonly Category[] = [
  "single_hop",
  "parallel_single_hop",
  "multi_hop",
  "parallel_multi_hop",
];

/** Semantic types of reasoning chunks (arXiv 2606.16215, trace segmentation). */
export const chunkTypes = [
  "task_restate",
  "tool_scan",
  "tool_selection",
  "required_arg_grounding",
  "optional_arg_analysis",
  "irrelevant_tool_rejection",
  "failure_reflection",
  "fallback_plan",
  "decision_summary",
  "explicit_call_preview",
  "final_answer_grounding",
  "other",
] as const;

/** One of `chunkTypes`. */
export type ChunkType = (typeof chunkTypes)[number];

/** A contiguous piece of reasoning. The texts of a turn's chunks, joined with nothing, are its reasoning. */
export interface Chunk {
  type: ChunkType;
  text: string;
  /** False for text that no level supervises (default true). */
  keep?: boolean;
}

/** One assistant turn that calls tools, with one observation per call, in order. */
export interface TraceTurn {
  chunks: Chunk[];
  calls: ToolCall[];
  observations: string[];
}

/** The turn that ends an episode. It is never part of a context trace: it holds the answer. */
export interface FinalTurn {
  chunks: Chunk[];
  answer: string;
}

/** A whole episode: of the expert, or of the sloppy policy that pre-training imitates. */
export interface Episode {
  turns: TraceTurn[];
  final: FinalTurn;
}

/** An episode of an expert. What may enter a context is `contextTurns(trace)`: every turn but the last. */
export type ExpertTrace = Episode;

/** A path of relations from a named entity: `{entity: "Bavo", relations: ["mayor", "age"]}` is its mayor's age. */
export interface Chain {
  entity: string;
  relations: string[];
}

/** What the simulator of a generated task needs to answer calls. */
export interface SyntheticSetup {
  kind: "ftrl-like";
  world: WorldSpec;
  /** Tool name → relation name. */
  lookups: Record<string, string>;
  /** Whether `math_add` is listed. */
  calculator: boolean;
  chains: Chain[];
  /** The answer is the sum of the chains' values. */
  sum: boolean;
  /** Chance that the first call with given arguments times out; any later one succeeds. */
  failureRate: number;
  /** Seed of the failures, shared by all environments of this task. */
  failureSeed: number;
  /** Irrelevant fields in each observation; none if left out. */
  noise?: number;
}

/** What the simulator of a `toolhop-like` task needs: a chain of lookups and exact functions from one entity. */
export interface ChainSetup {
  kind: "toolhop-like";
  world: WorldSpec;
  /** Tool name → name of the relation or transform that it computes. */
  functions: Record<string, string>;
  entity: string;
  /** Relations, then transforms, each applied to the value of the one before. */
  steps: string[];
  failureRate: number;
  failureSeed: number;
  noise: number;
}

/** What a tool of a `bfcl-like` task does; `none` is a tool for things that the store has none of. */
export type StoreAction = "find" | "link" | "read" | "open" | "close" | "move" | "assign" | "none";

/** One record of a `bfcl-like` store. All of it is public state, which scoring compares. */
export interface StoreRecord {
  id: number;
  name: string;
  keeper: string;
  amount: number;
  isOpen: boolean;
  /** Id of the record that this one links to. */
  link: number;
}

/** One thing that a `bfcl-like` request asks for; records by id. */
export type StoreGoal =
  | { kind: "report"; record: number }
  | { kind: "close"; record: number }
  | { kind: "assign"; record: number; keeper: string }
  | { kind: "move"; from: number; to: number; amount: number };

/** What the simulator and the score of a `bfcl-like` task need. */
export interface StoreSetup {
  kind: "bfcl-like";
  split: Split;
  /** Name of the theme, which gives the words. */
  theme: string;
  /** Tool name → what it does. */
  actions: Record<string, StoreAction>;
  /** The state at the start. */
  records: StoreRecord[];
  goals: StoreGoal[];
  /** The state that meets every goal. */
  goalState: StoreRecord[];
  /** Lookups from a name in the question to a record: 1, or more where records are named by their links. */
  hops: number;
  failureRate: number;
  failureSeed: number;
  noise: number;
}

/** Names a world; the same spec always builds the same world. */
export interface WorldSpec {
  seed: number;
  split: Split;
  index: number;
  entitiesPerType: number;
}

/** Train and held-out worlds have disjoint entities; those of `toolhop-like` and `bfcl-like` disjoint relations too. */
export type Split = "train" | "heldout";

/** A call whose output was recorded when the real tool ran. */
export interface RecordedCall {
  name: string;
  arguments: JsonObject;
  /** The arguments' JSON text, where known: it tells 10 from 10.0. */
  argumentsText?: string;
  output: string;
}

/** What answers the calls of a published task: its tools' Python source or, without it, recorded calls. */
export interface RecordedSetup {
  kind: "ftrl";
  calls: RecordedCall[];
  /** Tool name → Python source; calls are then executed and `calls` is not looked at. */
  codes?: Record<string, string>;
}

/** One task: what the policy sees, what scoring needs, and what the simulator needs. */
export interface Task {
  id: string;
  /** One of FTRL's four categories, or a family's own. */
  category: string;
  question: string;
  messages: Message[];
  tools: ToolDefinition[];
  /** Goldens per tool: outputs that its calls should produce, in FTRL's `unsolved_set` format. */
  unsolved: Record<string, string[]>;
  /** Tools that do the same as another listed one, by whose goldens they are scored. */
  equivalents?: Record<string, string>;
  answer: string;
  setup: SyntheticSetup | ChainSetup | StoreSetup | RecordedSetup;
  trace?: ExpertTrace;
}
