/** What a training run takes, what it yields and what it leaves; the run itself is in trainer.ts. */
import type { Params, TransformerConfig } from "@pact/nn";
import type { Task, ToolRunner } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import type { MetricValues } from "./counts.ts";
import type { Dialect } from "./dialect.ts";
import type { Rollout, RolloutPolicy } from "./rollout.ts";
import type { RunSink, StepMetrics } from "./run-sink.ts";
import type { StepPart } from "./timings.ts";
import type { TrainerState } from "./trainer-state.ts";
import type { PromptTree } from "./trees.ts";

/** What a training run needs. */
export interface TrainOptions {
  readonly config: TrainConfig;
  readonly model: TransformerConfig;
  /**
   * Initial parameters. They are copied, and read again only for a KL term (`klCoefficient`); with LoRA they are the frozen
   * base, which is not copied. They must live as long as they are read; the caller disposes them.
   */
  readonly params: Params;
  /** Folder or name of the base, for the `adapter_config.json` of adapters; default "". */
  readonly baseModel?: string;
  /** How its episodes become tokens. */
  readonly dialect: Dialect;
  readonly tasks: readonly Task[];
  readonly sink: RunSink;
  /** What samples the rollouts from the live parameters. Default `modelPolicy`. */
  readonly policy?: (model: TransformerConfig, params: Params) => RolloutPolicy;
  /** Called after every sampled token column with the number of rows, for live token counts. */
  readonly onTokens?: (tokens: number) => void;
  /** Called when a part of a step ends. */
  readonly onPart?: (part: StepPart) => void;
  /** What executes the calls of rollouts; default: the simulator, the sandbox or the recorded calls of the task's setup. */
  readonly createRunner?: (task: Task) => ToolRunner;
  /**
   * Where to go on: the state, the weights that belong to it (with LoRA the adapters'; copied, the caller disposes them),
   * and the lines of metrics so far, for the health checks (default none).
   */
  readonly resume?: {
    readonly state: TrainerState;
    readonly params: Params;
    readonly lines?: readonly StepMetrics[];
  };
  /** Aborting it rejects at the next model call; to stop after the current step, end the iteration instead. */
  readonly signal?: AbortSignal;
}

/** What `train` yields: rollouts are done (before the update), or a step is done and logged. */
export type TrainEvent =
  | { readonly kind: "rollouts"; readonly step: number; readonly rollouts: readonly Rollout[] }
  | { readonly kind: "step"; readonly step: number; readonly metrics: StepMetrics };

/** What is left of a run when it ends. */
export interface TrainResult {
  readonly stepsDone: number;
  readonly sampledTokens: number;
  readonly trainedTokens: number;
  readonly forwardTokens: number;
}

/** What a step trains on, and where it came from. */
export interface Material {
  readonly trees: readonly PromptTree[];
  /** The traced prompts' rollouts behind their prompts alone, where the denominator asks for them. */
  readonly plain: readonly PromptTree[];
  readonly rollouts: readonly Rollout[];
  readonly metrics: MetricValues;
}
