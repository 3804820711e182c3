/**
 * Times of several ways to do the same work, taken in turn (A B A B …) so that a disturbance of the machine meets all of
 * them. tinybench takes each sample; what is reported is the median with the range.
 */
import { Bench } from "tinybench";

/** What one unit of work took once. */
export interface Sample {
  readonly milliseconds: number;
  /** Of all threads of the process; a software adapter's are among them. */
  readonly processorMs: number;
}

/** Milliseconds of one unit of work. */
export interface Timing {
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly samples: number;
  /** Median of the time of all threads: on a software adapter the one to compare where the machine does other things. */
  readonly processorMs: number;
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
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<Name, Sample[]>;
  for (let round = 0; round < rounds; round++) {
    const processor: Partial<Record<Name, number>> = {};
    const bench = new Bench({ time: 0, iterations: 1, warmup: false, throws: true });
    for (const name of names) {
      signal?.throwIfAborted();
      // An async function is known to be one; others tinybench would call once more to find out.
      bench.add(name, async () => {
        const before = process.cpuUsage();
        await works[name]();
        processor[name] = processorTime(before);
      });
    }
    await bench.run();
    for (const task of bench.tasks) {
      if (!("latency" in task.result)) throw new Error(`${task.name} did not finish.`);
      const name = task.name as Name;
      samples[name].push({ milliseconds: task.result.latency.p50, processorMs: processor[name] ?? 0 });
    }
  }
  return Object.fromEntries(names.map((name) => [name, timingOf(samples[name])])) as Record<Name, Timing>;
}

/** Milliseconds of all threads since `before`. */
function processorTime(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Medians and range of samples. */
export function timingOf(samples: readonly Sample[]): Timing {
  const times = samples.map(({ milliseconds }) => milliseconds);
  return {
    medianMs: median(times),
    minMs: Math.min(...times),
    maxMs: Math.max(...times),
    samples: samples.length,
    processorMs: median(samples.map(({ processorMs }) => processorMs)),
  };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** Medians and range of the time until `run` returns; `after` waits for the device, so that each begins when it is idle. */
export async function untilReturn<R>(
  run: () => R,
  after: (result: R) => Promise<void>,
  rounds: number,
  signal?: AbortSignal,
): Promise<Timing> {
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    signal?.throwIfAborted();
    const [began, before] = [performance.now(), process.cpuUsage()];
    const result = run();
    samples.push({ milliseconds: performance.now() - began, processorMs: processorTime(before) });
    await after(result);
  }
  return timingOf(samples);
}

/** What one call takes. */
export async function sampled(work: () => Promise<unknown>): Promise<Sample> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  await work();
  return { milliseconds: performance.now() - began, processorMs: processorTime(before) };
}

/** Seconds that one call takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  return (await sampled(work)).milliseconds / 1000;
}
