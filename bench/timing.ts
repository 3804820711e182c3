/**
 * Times of several ways to do the same work, taken in turn (A B A B …) so that a disturbance of the machine meets all of
 * them. tinybench takes each sample; what is reported is the median with the range.
 */
import { Bench } from "tinybench";

/** Milliseconds of one unit of work. */
export interface Timing {
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly samples: number;
}

/** Does one unit of work and waits until the device has done it. */
export type Work = () => Promise<void>;

/**
 * Runs every piece of work `rounds` times, in turn.
 *
 * @param signal stops between two rounds, with its reason
 */
export async function interleaved<Name extends string>(
  works: Record<Name, Work>,
  rounds: number,
  signal?: AbortSignal,
): Promise<Record<Name, Timing>> {
  const names = Object.keys(works) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ time: 0, iterations: 1, warmup: false, throws: true });
    for (const name of names) {
      signal?.throwIfAborted();
      // An async function is known to be one; others tinybench would call once more to find out.
      bench.add(name, async () => await works[name]());
    }
    await bench.run();
    for (const task of bench.tasks) {
      if (!("latency" in task.result)) throw new Error(`${task.name} did not finish.`);
      samples[task.name as Name].push(task.result.latency.p50);
    }
  }
  return Object.fromEntries(names.map((name) => [name, timingOf(samples[name])])) as Record<Name, Timing>;
}

/** Median and range of samples in milliseconds. */
export function timingOf(samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const medianMs = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { medianMs, minMs: sorted[0], maxMs: sorted[sorted.length - 1], samples: sorted.length };
}

/** Seconds that one call takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
