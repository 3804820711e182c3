/**
 * A `RunSink` that is a run folder (layout: `run-folder.ts`). Timings are added here, under `time`, so that without
 * that field the metrics of two runs of one seed on one device are equal line by line.
 */
import { join } from "node:path";
import type {
  Checkpoint,
  EvaluationResult,
  RolloutRecord,
  RunConfig,
  RunSink,
  StepMetrics,
} from "../run-sink.ts";
import { saveCheckpoint } from "./checkpoints.ts";
import { appendLine, writeWhole } from "./disk.ts";
import { turnEventLoop } from "./interrupt.ts";

/** Files that make a checkpoint loadable by itself, beside its `model.safetensors`. */
export interface ModelFiles {
  /** `config.json` of the model. */
  readonly config: string;
  /** `tokenizer.json`. */
  readonly tokenizer: string;
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

  /** Appends to `metrics.jsonl`, with the seconds since the previous record and since the start. */
  async metrics(line: StepMetrics): Promise<void> {
    const now = this.#now();
    const time = { seconds: round(now - this.#last), elapsed: round(now - this.#began) };
    this.#last = now;
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
    this.#last = this.#now();
  }

  /** Writes `checkpoints/step-<n>/`; see checkpoints.ts. */
  async checkpoint(checkpoint: Checkpoint): Promise<void> {
    saveCheckpoint(this.#folder, checkpoint, this.#files);
    this.#last = this.#now();
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
