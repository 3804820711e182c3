/**
 * Who listens to the operations that run: the gradients being recorded. `run.ts` tells them, tape.ts and custom-vjp.ts
 * are told. Kept apart from op.ts, so that what runs records does not depend on how they are called.
 */
import type { Op } from "./op.ts";
import type { Tensor } from "./tensor.ts";

/** What a recorder needs to know of an operation. */
export type Recordable<A> = Pick<Op<A>, "name" | "vjp">;

/** Whoever records operations to differentiate them. */
export interface Recorder {
  record<A>(op: Recordable<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void;
  /** True if a gradient is to flow through `t`. */
  depends(t: Tensor): boolean;
}

const recorders: Recorder[] = [];

export function pushRecorder(recorder: Recorder): void {
  recorders.push(recorder);
}

export function popRecorder(recorder: Recorder): void {
  const i = recorders.lastIndexOf(recorder);
  if (i >= 0) recorders.splice(i, 1);
}

/** Runs `f` with no gradient recording what it does; `instead` is told in place of the recorders there were. */
export function unrecorded<R>(f: () => R, instead?: (enclosing: readonly Recorder[]) => Recorder): R {
  const saved = recorders.splice(0);
  if (instead && saved.length > 0) recorders.push(instead(saved));
  try {
    return f();
  } finally {
    recorders.splice(0, recorders.length, ...saved);
  }
}

/** Tells the recording gradients that `op` made `outputs` of `inputs`. */
export function recordAll<A>(
  op: Recordable<A>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attrs: A,
): void {
  for (const r of [...recorders]) r.record(op, inputs, outputs, attrs);
}

export function isRecording(): boolean {
  return recorders.length > 0;
}
