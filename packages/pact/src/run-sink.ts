/**
 * What a run writes, and where it goes: the records of `config.json`, `metrics.jsonl`, `rollouts.jsonl`, the checkpoint
 * and the evaluations, and the interface the trainer writes them through.
 *
 * The folder behind it is the command line's; tests use an array. Left out: reading runs back.
 */
import type { KernelVariants } from "@pact/tensor";
import type { TrainConfig } from "./config.ts";
import type { Role } from "./roles.ts";
import type { SuccessScores } from "./success.ts";
import type { StepTimes } from "./timings.ts";

/** First record of a run: everything needed to know what was run. */
export interface RunConfig {
  readonly train: TrainConfig;
  /** The model's configuration as in its `config.json`. */
  readonly model: { readonly [key: string]: unknown };
  readonly parameters: number;
  readonly device: {
    readonly kind: string;
    readonly description: string;
    /** Variants of kernels and their version (`kernelVariants`); not there on the cpu device. */
    readonly kernels?: KernelVariants & { readonly version: number };
  };
  /** Environment id and its options, e.g. `{ id: "ftrl-like", options: { … } }`. */
  readonly environment: { readonly id: string; readonly options: { readonly [key: string]: unknown } };
  readonly trainingTasks: number;
  readonly heldOutTasks: number;
  /** When held-out tasks are evaluated beside before and after (0: never), and sampled rollouts per task. */
  readonly evaluation: { readonly every: number; readonly rollouts: number };
  /** SHA-256 of the weights the run started from. */
  readonly base?: string;
  /** The options the run was started with, paths from the root; resuming takes them from here. */
  readonly command?: { readonly [option: string]: string | number | boolean };
}

/** Why a rollout ended; every rollout has exactly one reason. */
export type RolloutStop =
  /** The policy gave an answer. */
  | "answer"
  /** A turn without a call and without an answer. */
  | "no_action"
  /** The turn limit of the rollout or of the environment. */
  | "max_turns"
  /** A turn reached its token limit before its stop token; it is not acted upon. */
  | "turn_tokens"
  /** The rollout reached its token limit. */
  | "rollout_tokens"
  /** The environment ended the episode for a reason of its own. */
  | "environment";

/**
 * All reasons, in the order reports list them.
 *
 * @example
 * ```ts
 * rolloutStops.includes("answer"); // → true
 * ```
 */
export const rolloutStops: readonly RolloutStop[] = [
  "answer",
  "no_action",
  "max_turns",
  "turn_tokens",
  "rollout_tokens",
  "environment",
];

/** One line of `metrics.jsonl`; `metrics.ts` says what each name means. Values are finite or null. */
export interface StepMetrics {
  /** 0-based. */
  readonly step: number;
  readonly values: { readonly [name: string]: number | null };
  /** Health checks that warn for the first time at this step; missing if there is none. */
  readonly health?: readonly string[];
}

/** A run of neighbouring tokens of one role, as text, for coloured display. */
export interface RoleSpan {
  readonly role: Role;
  readonly text: string;
}

/**
 * A place where a chat template rewrote the past: the tokens [start, end) of the rollout are a whole new prompt, and what
 * follows is trained behind it.
 */
export interface RolloutSplit {
  readonly start: number;
  readonly end: number;
  /** `history`: what stood before an earlier turn is written otherwise now; `dropped`: a part of that turn is left out. */
  readonly kind: "history" | "dropped";
  readonly reason: string;
}

/** One line of `rollouts.jsonl`. */
export interface RolloutRecord {
  /** 0-based training step it was sampled in; in evaluations, the number of steps done before. */
  readonly step: number;
  readonly phase: "train" | "evaluate";
  /** `sampled` at temperature 1 or `greedy`. */
  readonly decoding: "sampled" | "greedy";
  readonly taskId: string;
  readonly category: string;
  /** Index among the prompt's K rollouts. */
  readonly rollout: number;
  readonly stop: RolloutStop;
  readonly turns: number;
  readonly sampledTokens: number;
  /** Sum of the turn rewards, and each of them. */
  readonly reward: number;
  readonly turnRewards: readonly number[];
  readonly solveF1: number;
  /** Mean advantage of each turn's tokens; empty in evaluations. */
  readonly advantages: readonly number[];
  /** Prompt and rollout in order. */
  readonly spans: readonly RoleSpan[];
  /** Where the rollout went on behind a new prompt; only if it did. */
  readonly splits?: readonly RolloutSplit[];
  /** Of a training rollout: what its losses are computed from; `pact explain` computes them again. */
  readonly trained?: TrainedTokens;
}

/** The tokens of a training rollout after its prompt, compactly, and how the gate routed it. */
export interface TrainedTokens {
  readonly ids: readonly number[];
  /** One digit per token, a code of `roleCode`. */
  readonly roles: string;
  /** z: true trains L^x, false L^h and the SFT term. */
  readonly anchored: boolean;
}

/** Mean solve scores of a set of episodes, each in [0, 1]. */
export interface SolveScores {
  readonly solveP: number;
  readonly solveR: number;
  readonly solveF1: number;
  readonly tasks: number;
}

/** Scores of one decoding: over all tasks, and by category. Success is the environment's outcome. */
export interface DecodingResult extends SolveScores, SuccessScores {
  /** Standard error of the mean Solve-F1 over tasks. */
  readonly solveF1Error: number;
  /** Rollouts per task. */
  readonly attempts: number;
  readonly categories: { readonly [category: string]: SolveScores };
  readonly stops: { readonly [Stop in RolloutStop]: number };
  readonly meanReward: number;
  readonly meanCalls: number;
  readonly meanTokens: number;
  /** Tasks left out because their prompt exceeds the context limit. */
  readonly skipped: number;
}

/** Result of an evaluation at a step. */
export interface EvaluationResult {
  /** Optimiser steps done before it. */
  readonly step: number;
  readonly sampled: DecodingResult;
  readonly greedy: DecodingResult;
  /** Tokens sampled. */
  readonly tokens: number;
  /** Wall clock: all that may differ between two runs of one seed on one device. */
  readonly time: { readonly seconds: number };
}

/** What was trained, the state to go on from, and the step they belong to. */
export interface Checkpoint {
  readonly step: number;
  /** The model as a safetensors file; with LoRA the adapters as PEFT's `adapter_model.safetensors`. */
  readonly model: Uint8Array;
  /** With LoRA the object of PEFT's `adapter_config.json`. */
  readonly adapterConfig?: { readonly [key: string]: unknown };
  /** `TrainerState` as a safetensors file. */
  readonly state: Uint8Array;
}

/**
 * Where a run's records go. Calls are awaited in order; a sink that rejects ends the run with that error.
 *
 * @example
 * const lines: StepMetrics[] = [];
 * const sink: RunSink = { ...nullSink, metrics: async (line) => void lines.push(line) };
 */
export interface RunSink {
  config(config: RunConfig): Promise<void>;
  /** @param times seconds of the parts of the step, which differ from run to run */
  metrics(line: StepMetrics, times?: StepTimes): Promise<void>;
  rollout(record: RolloutRecord): Promise<void>;
  evaluation(result: EvaluationResult): Promise<void>;
  checkpoint(checkpoint: Checkpoint): Promise<void>;
}

/**
 * A sink that keeps nothing.
 *
 * @example
 * ```ts
 * await nullSink.metrics({ step: 0, values: {} }); // → undefined
 * ```
 */
export const nullSink: RunSink = {
  config: async () => {},
  metrics: async () => {},
  rollout: async () => {},
  evaluation: async () => {},
  checkpoint: async () => {},
};
