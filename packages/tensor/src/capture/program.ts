/**
 * A recording: which operations a captured function runs, on which memories. It is made without computing anything
 * (recorder.ts); fusion rewrites it, and each backend turns it into commands of its own. Leaves out where memories lie.
 */
import type { DType } from "../dtype.ts";
import type { Op } from "../op.ts";
import { isContiguous, type Shape, sizeOf } from "../shape.ts";

/**
 * What a memory of a recording is. `input`: given anew at each call. `constant`: there before the call and after it, made
 * outside the function or by it out of host values; operations in place may change those made outside. `temporary`: nobody
 * sees it outside. `result`: made anew by each replay and handed out.
 */
export type MemoryKind = "input" | "constant" | "temporary" | "result";

/** A block of elements that tensors of a recording lie in. */
export interface Memory {
  readonly kind: MemoryKind;
  readonly dtype: DType;
  /** Elements. */
  readonly size: number;
  /** What a constant of one element holds, where the host knows it and nothing changes it. */
  readonly scalar?: number;
}

/** A tensor of a recording: which memory it lies in (a place in `Program.memories`), and how; views share a memory. */
export interface Value {
  readonly memory: number;
  readonly shape: Shape;
  /** In elements; 0 where elements repeat. */
  readonly strides: Shape;
  readonly offset: number;
  readonly dtype: DType;
}

/**
 * One operation of a recording. An output that is all of a temporary or result which no step before it wrote is new; every
 * other output is changed in place or in a part (`copyIntoOp` into a window, `assignRows`, `adamWStep`): its memory keeps its
 * other elements, and the operation may read it. Outputs are contiguous, but for those of `copyIntoOp`. Attributes are those
 * of `op`; they may hold live scalars (live.ts).
 */
export interface Step {
  readonly op: Op<unknown>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attrs: unknown;
}

/** The steps of a recording in order. Memories that no step names are allowed: fusion may leave some. */
export interface Program {
  readonly memories: readonly Memory[];
  readonly steps: readonly Step[];
}

/** True if `value` is all of its memory, in order. */
export function isWhole(value: Value, memory: Memory): boolean {
  return (
    value.offset === 0 && sizeOf(value.shape) === memory.size && isContiguous(value.shape, value.strides)
  );
}

/**
 * Whether a memory may become a part of another that begins at `offset`: multiples of four alone, because operations that
 * read four elements at once look at offsets, and some pack their inputs (attention), before a recording is rewritten.
 */
export function mayMoveTo(offset: number): boolean {
  return offset % 4 === 0;
}

/** The step `op(inputs) → outputs`, whose attributes the operation's type knows. */
export function stepOf<A>(op: Op<A>, inputs: readonly Value[], outputs: readonly Value[], attrs: A): Step {
  // NOTE: A is forgotten here once; `op` and `attrs` stay together in the step.
  return { op: op as Op<unknown>, inputs, outputs, attrs };
}
