/**
 * Seconds of the parts of a training step. They go under `time` of metrics.jsonl, apart from the values that two runs of one
 * seed share.
 */

/** A part of a step. */
export type StepPart = "rollouts" | "rewards" | "frozen" | "gradients" | "update";

/** Seconds by part; a part that did not happen is missing. */
export type StepTimes = { readonly [Part in StepPart]?: number };

/** A watch whose laps are added up by part. */
export class StepWatch {
  readonly #now: () => number;
  readonly #onLap: (part: StepPart) => void;
  #times: { [Part in StepPart]?: number } = {};
  #last: number;

  /**
   * @param onLap called when a part ends
   * @param now clock in seconds
   */
  constructor(
    onLap: (part: StepPart) => void = () => {},
    now: () => number = () => performance.now() / 1000,
  ) {
    this.#onLap = onLap;
    this.#now = now;
    this.#last = now();
  }

  /** What went by since the last call belongs to `part`. */
  lap(part: StepPart): void {
    const now = this.#now();
    this.#times[part] = (this.#times[part] ?? 0) + now - this.#last;
    this.#last = now;
    this.#onLap(part);
  }

  /** What went by since the last call belongs to nobody. */
  skip(): void {
    this.#last = this.#now();
  }

  /** The times since the last call of this method. */
  take(): StepTimes {
    const times = this.#times;
    this.#times = {};
    return times;
  }
}
