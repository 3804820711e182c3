/**
 * Engines in turn on one case: the first run of each, then rounds of one run each, then what a run asks of WebGPU, and
 * whether all computed the same. An engine that fails or computes something else gets no times; this one must not fail.
 */
import type { Counts } from "../counts.ts";
import { type Sample, type Timing, timingOf } from "../timing.ts";
import { type CaseName, type EngineName, engineNames } from "./case.ts";
import type { Reply, Request } from "./messages.ts";

/** Whoever answers for an engine. */
export interface Asked {
  ask(request: Request): Promise<Reply>;
}

/** What one engine takes for one case; the first run is apart. */
export type Figures =
  | (Timing & {
      readonly firstSeconds: number;
      readonly firstProcessorSeconds: number;
      readonly counts: Counts | undefined;
    })
  | { readonly error: string };

/** How many times longer another engine takes: medians, processor time, the first run. */
export interface Ratios {
  readonly time: number;
  readonly processor: number;
  readonly first: number;
  readonly firstProcessor: number;
}

/** Figures of a case by engine, and how they relate. */
export type Comparison = Record<EngineName, Figures> & { readonly timesFaster: Record<string, Ratios> };

/** How far two engines' results may be apart, relative and absolute: sums in another order. */
const tolerance = 2e-4;

/**
 * Compares the engines on one case.
 *
 * @param rounds runs of each engine that are timed; the first run of each is not among them
 * @throws Error if this engine fails
 */
export async function compared(
  name: CaseName,
  engines: Readonly<Record<EngineName, Asked>>,
  rounds: number,
  signal?: AbortSignal,
): Promise<Comparison> {
  const failed = new Map<EngineName, string>();
  const samples = new Map<EngineName, Sample[]>(engineNames.map((engine) => [engine, []]));
  /** Asks every engine that has not failed, one after the other. */
  const each = async (kind: Request["kind"], note: (engine: EngineName, reply: Reply) => void) => {
    for (const engine of engineNames) {
      if (failed.has(engine)) continue;
      signal?.throwIfAborted();
      try {
        const request: Request = kind === "prepare" ? { kind, name } : { kind: kind as "run" };
        note(engine, await engines[engine].ask(request));
      } catch (error) {
        if (engine === "ours") throw error;
        failed.set(engine, error instanceof Error ? error.message : String(error));
      }
    }
  };
  const first: Partial<Record<EngineName, Sample>> = {};
  const counts: Partial<Record<EngineName, Counts>> = {};
  let expected: readonly number[] = [];
  await each("prepare", () => {});
  await each("run", (engine, { sample }) => {
    first[engine] = sample;
  });
  for (let round = 0; round < rounds; round++)
    await each("run", (engine, { sample }) => {
      if (sample) samples.get(engine)?.push(sample);
    });
  await each("count", (engine, reply) => {
    counts[engine] = reply.counts;
  });
  await each("result", (engine, { numbers = [] }) => {
    if (engine === "ours") expected = numbers;
    else requireSame(numbers, expected);
  });
  const figures = (engine: EngineName): Figures => {
    const error = failed.get(engine);
    if (error !== undefined) return { error };
    const timing = timingOf(samples.get(engine) ?? []);
    const { milliseconds = Number.NaN, processorMs = Number.NaN } = first[engine] ?? {};
    const firsts = { firstSeconds: milliseconds / 1000, firstProcessorSeconds: processorMs / 1000 };
    return { ...timing, ...firsts, counts: counts[engine] };
  };
  const all = Object.fromEntries(engineNames.map((engine) => [engine, figures(engine)]));
  return { ...(all as Record<EngineName, Figures>), timesFaster: timesFaster(all) };
}

function requireSame(numbers: readonly number[], expected: readonly number[]): void {
  if (numbers.length !== expected.length)
    throw new Error(`gives ${numbers.length} numbers where this engine gives ${expected.length}`);
  for (const [place, value] of expected.entries()) {
    if (!(Math.abs(numbers[place] - value) <= tolerance * (1 + Math.abs(value))))
      throw new Error(`computes ${numbers[place]} where this engine computes ${value} (number ${place})`);
  }
}

function timesFaster(figures: Readonly<Record<string, Figures>>): Record<string, Ratios> {
  const { ours, ...others } = figures;
  const ratios: Record<string, Ratios> = {};
  if ("error" in ours) return ratios;
  for (const [engine, theirs] of Object.entries(others)) {
    if ("error" in theirs) continue;
    ratios[engine] = {
      time: theirs.medianMs / ours.medianMs,
      processor: theirs.processorMs / ours.processorMs,
      first: theirs.firstSeconds / ours.firstSeconds,
      firstProcessor: theirs.firstProcessorSeconds / ours.firstProcessorSeconds,
    };
  }
  return ratios;
}
