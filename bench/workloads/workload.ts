/**
 * What a workload is: it measures itself on a device of its own, so that its first step finds nothing compiled, and says
 * whether what it computed is right.
 */
import type { Device } from "@pact/tensor";
import type { Timing } from "../timing.ts";

/** What a workload may use. */
export interface Context {
  /** The engine's device, new for this workload and the default one. */
  readonly device: Device;
  /** A device of the same adapter without the engine; undefined on cpu. */
  readonly raw: GPUDevice | undefined;
  readonly signal: AbortSignal;
  /** Says what goes on. */
  progress(line: string): void;
}

/** One entry of W1 to W8. */
export interface Workload {
  readonly name: string;
  readonly description: string;
  /** Measures and checks; the result is plain data for one line of JSON. */
  measure(context: Context): Promise<Record<string, unknown>>;
}

/** A workload's result is not what it should be: its times mean nothing. */
export class WrongResult extends Error {}

/** Requires two numbers to agree to `tolerance`, absolute and relative. */
export function agree(what: string, actual: number, expected: number, tolerance: number): void {
  if (Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected))) return;
  throw new WrongResult(`${what}: ${actual}, expected ${expected} ± ${tolerance}.`);
}

/** "29.1 ms [28.0–31.2]". */
export function described({ medianMs, minMs, maxMs }: Timing): string {
  return `${medianMs.toFixed(2)} ms [${minMs.toFixed(2)}–${maxMs.toFixed(2)}]`;
}
