/**
 * Who looks at every operation that runs, recorded or not: `debug.checkFinite`. Also tells in which operation's
 * derivative the code is. Nothing here costs more than a look at an empty list while nobody watches.
 */
import type { Tensor } from "./tensor.ts";

/** Told of an operation before it runs; the returned function is told of its outputs after it ran. */
export type Watcher = (
  op: string,
  inputs: readonly Tensor[],
  attrs: unknown,
) => (outputs: readonly Tensor[]) => void;

/** Those who watch now. */
export const watchers = new Set<Watcher>();

/** Tells all watchers of an operation about to run. */
export function watched(op: string, inputs: readonly Tensor[], attrs: unknown): ReturnType<Watcher> {
  const checks = [...watchers].map((w) => w(op, inputs, attrs));
  return (outputs) => {
    for (const check of checks) check(outputs);
  };
}

/** An operation whose derivative is being computed, and the line that called it if somebody watched then. */
export interface Origin {
  name: string;
  line?: string;
}

let origin: Origin | undefined;

/** The operation whose derivative the running code computes; undefined in the forward. */
export function currentOrigin(): Origin | undefined {
  return origin;
}

/** Runs `f` as part of the derivative of `of`. */
export function inDerivativeOf<R>(of: Origin, f: () => R): R {
  const outer = origin;
  origin = of;
  try {
    return f();
  } finally {
    origin = outer;
  }
}
