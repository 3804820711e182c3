/**
 * A `RunSink` that is a run folder (layout: `run-folder.ts`). Timings are added here, under `time`, so that without
 * that field the metrics of two runs of one seed on one device are equal line by line.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type {
  Checkpoint,
  EvaluationResult,
  RolloutRecord,
  RunConfig,
  RunSink,
  StepMetrics,
} from "../run-sink.ts";
import type { StepTimes } from "../timings.ts";
import { saveCheckpoint } from "./checkpoints.ts";
import { appendLine, writeWhole } from "./disk.ts";
import { turnEventLoop } from "./interrupt.ts";
import type { NotedKernels } from "./kernel-table.ts";
import { RunFolderError } from "./run-folder.ts";

/** Files that make a checkpoint loadable by itself, beside its `model.safetensors`. */
export interface ModelFiles {
  /** `config.json` of the model. */
  readonly config: string;
  /** `tokenizer.json`. */
  readonly tokenizer: string;
  /** Further files by name (`companionNames`): template, special tokens, stop tokens. */
  readonly companions?: Readonly<Record<string, string>>;
  /** The kernels that the weights were computed with, noted in the manifest. */
  readonly kernels?: () => NotedKernels | undefined;
  /** SHA-256 of the model's weights, noted in the manifest of adapters. */
  readonly base?: string;
}

/**
 * The sink of one run.
 *
 * @param folder an existing, empty run folder
 * @param now clock in seconds, for tests
 */
export class FolderSink implements RunSink {
  readonly #folder: string;
  readonly #files: ModelFiles;
  readonly #now: () => number;
  readonly #began: number;
  #last: number;
  /** Seconds of what happened between two steps. */
  #between: { readonly [name: string]: number } = {};

  constructor(folder: string, files: ModelFiles, now: () => number = () => performance.now() / 1000) {
    this.#folder = folder;
    this.#files = files;
    this.#now = now;
    this.#began = now();
    this.#last = this.#began;
  }

  /** Writes `config.json`. */
  async config(config: RunConfig): Promise<void> {
    writeWhole(join(this.#folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  }

  /** Appends to `metrics.jsonl`, with times: of the step and its parts, since the start, of what was saved before it. */
  async metrics(line: StepMetrics, parts: StepTimes = {}): Promise<void> {
    const now = this.#now();
    const seconds = { seconds: now - this.#last, elapsed: now - this.#began, ...parts, ...this.#between };
    const time = Object.fromEntries(Object.entries(seconds).map(([name, value]) => [name, round(value)]));
    this.#last = now;
    this.#between = {};
    appendLine(join(this.#folder, "metrics.jsonl"), { ...line, time });
  }

  /** Appends to `rollouts.jsonl`, and lets signals and the display in: rollouts come often enough for that. */
  async rollout(record: RolloutRecord): Promise<void> {
    await turnEventLoop();
    appendLine(join(this.#folder, "rollouts.jsonl"), record);
  }

  /** Appends to `evaluations.jsonl`. */
  async evaluation(result: EvaluationResult): Promise<void> {
    appendLine(join(this.#folder, "evaluations.jsonl"), result);
    this.#between = { ...this.#between, evaluation: result.time.seconds };
    this.#last = this.#now();
  }

  /** Writes `checkpoints/step-<n>/`; see checkpoints.ts. */
  async checkpoint(checkpoint: Checkpoint): Promise<void> {
    const began = this.#now();
    if (!existsSync(this.#folder)) {
      // NOTE: saving would make the folder anew, with a checkpoint that no configuration belongs to.
      throw new RunFolderError(`the run folder ${this.#folder} is gone. Start the run again.`);
    }
    saveCheckpoint(this.#folder, checkpoint, this.#files);
    this.#last = this.#now();
    this.#between = { ...this.#between, checkpoint: this.#last - began };
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
