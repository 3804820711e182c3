/**
 * Scalars that change between the replays of a captured function (capture/): a learning rate, a count of steps. A
 * kernel's parameter may be one; it is read anew whenever the kernel starts.
 */
import { activeRecording } from "./capture/active.ts";
import { CaptureError, ValueError } from "./errors.ts";

/**
 * A number that is read each time it is used: when an operation runs, and at each replay of a capture that recorded it.
 * Made by `live`; settings of optimisers and of their steps in place take one. Operations between tensors take none: there,
 * pass what changes as a tensor, `step(x, tensor(rate))`.
 *
 * @example
 * ```ts
 * let rate = 0.1;
 * const scalar: LiveScalar = live(() => rate);
 * rate = 0.2;
 * scalar.value; // → 0.2
 * ```
 */
export class LiveScalar {
  private readonly read: () => number;

  constructor(read: () => number) {
    this.read = read;
  }

  /**
   * The number as it is now.
   *
   * @throws CaptureError inside a capture: a recording would keep this one number. Compute with it by `derived`.
   */
  get value(): number {
    if (activeRecording())
      throw new CaptureError(
        "live: a live scalar is read while a function is being captured, expected that only replays read it: the recording " +
          "would keep this one number. Hand it on, to AdamW.step or through derived([rate], () => valueOf(rate) / 2); " +
          "beside tensors pass a tensor instead: step(x, tensor(rate)).",
      );
    return this.read();
  }
}

/**
 * A scalar that `read` gives anew each time it is used.
 *
 * @example
 * ```ts
 * let steps = 0;
 * const rate = live(() => 1 / (1 + steps));
 * steps = 3;
 * rate.value; // → 0.25
 * ```
 */
export function live(read: () => number): LiveScalar {
  return new LiveScalar(read);
}

/** A scalar as a replay takes it: what a step writes with a NaN nobody gets back. */
export function finiteValue(scalar: LiveScalar): number {
  const { value } = scalar;
  if (!Number.isFinite(value))
    throw new ValueError(
      `capture: a live scalar is ${value}, or makes a setting so, expected a finite number; nothing was computed. ` +
        "Look at what it returns, a learning rate perhaps: live(() => rate).",
    );
  return value;
}

/**
 * Runs `action` now; inside a capture instead at the start of each replay, the first one included: for what a step does on
 * the host, such as counting. `undo` takes it back where a replay fails afterwards and changes nothing: a live scalar throws
 * or is not finite, memory runs out.
 *
 * @example
 * ```ts
 * let steps = 0;
 * const step = capture((x: Tensor) => {
 *   onReplay(() => {
 *     steps++;
 *   });
 *   return add(x, 1);
 * });
 * for (let i = 0; i < 3; i++) step(zeros([2])).dispose();
 * steps; // → 3
 * ```
 */
export function onReplay(action: () => void, undo?: () => void): void {
  const recording = activeRecording();
  if (recording) recording.onReplay(action, undo);
  else action();
}

/**
 * What `compute` makes of scalars: a number, or a live scalar if one of them is.
 *
 * @example
 * ```ts
 * const rate: number | LiveScalar = 0.5;
 * derived([rate], () => valueOf(rate) / 2); // → 0.25
 * ```
 */
export function derived(
  scalars: readonly (number | LiveScalar)[],
  compute: () => number,
): number | LiveScalar {
  return scalars.some((scalar) => scalar instanceof LiveScalar) ? live(compute) : compute();
}

/**
 * The number behind a number or a live scalar, now.
 *
 * @example
 * ```ts
 * [valueOf(2), valueOf(live(() => 3))]; // → [2, 3]
 * ```
 */
export function valueOf(scalar: number | LiveScalar): number {
  return typeof scalar === "number" ? scalar : scalar.value;
}
