/**
 * Ctrl-C: the first SIGINT or SIGTERM asks for a clean end, the second ends the process at once.
 *
 * NOTE: a signal reaches its handler only when the event loop turns; work that never leaves the microtask queue (the
 * cpu device does not) must let it turn between steps: `turnEventLoop`.
 */

/** Exit code of a run that was asked to stop (128 + SIGINT), after either signal. */
export const interruptedExitCode = 130;

/** Where signals come from and how a process ends; `process` has it all. */
export interface SignalSource {
  on(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  exit(code: number): unknown;
}

/**
 * Listens for Ctrl-C until disposed.
 *
 * @example
 * using interrupt = new Interrupt(() => console.error("Stopping after this step."));
 * while (!interrupt.signal.aborted) await step();
 */
export class Interrupt {
  readonly #controller = new AbortController();
  readonly #source: SignalSource;
  readonly #listener: () => void;

  /** @param onFirst called at the first signal */
  constructor(onFirst: () => void, source: SignalSource = process) {
    this.#source = source;
    this.#listener = () => {
      if (this.#controller.signal.aborted) {
        source.exit(interruptedExitCode);
        return;
      }
      this.#controller.abort();
      onFirst();
    };
    source.on("SIGINT", this.#listener);
    source.on("SIGTERM", this.#listener);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#source.off("SIGINT", this.#listener);
    this.#source.off("SIGTERM", this.#listener);
  }
}

/** Lets timers, input and signals in. */
export function turnEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
