/**
 * Whether something is being recorded, and who makes memory meanwhile. Apart from the recorder (recorder.ts), so that the
 * device can ask without knowing it.
 */
import type { Runner } from "../backends/backend.ts";
import type { Device } from "../device.ts";
import type { DType, TypedArray } from "../dtype.ts";
import type { Storage } from "../tensor.ts";

/** Stands in for a device's backend: takes down what it is asked to do. */
export interface Recording {
  /** Memory of a new tensor. */
  storage(device: Device, dtype: DType, size: number, data?: TypedArray): Storage;
  /** What takes operations on `device` down. */
  runner(device: Device): Runner;
  /** Runs `action` at the start of each replay, and `undo` if that fails. */
  onReplay(action: () => void, undo?: () => void): void;
}

let active: Recording | undefined;

/** Who records now. */
export function activeRecording(): Recording | undefined {
  return active;
}

/** Runs `f` while `recording` takes down what it does; undefined lets it run as usual. */
export function recordedBy<R>(recording: Recording | undefined, f: () => R): R {
  const outer = active;
  active = recording;
  try {
    return f();
  } finally {
    active = outer;
  }
}

/** The handle of memory that is only planned: no backend has it. */
export const planned = new Uint8Array(0);
