/**
 * Scalars that change between the replays of a captured function (capture.ts): a learning rate, a count of steps. A
 * kernel's parameter may be one; it is read anew whenever the kernel starts.
 */

/**
 * A number that is read each time it is used: when an operation runs, and at each replay of a capture that recorded it.
 * Made by `live`, and by `capture` of the numbers among its inputs.
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

  /** The number as it is now. */
  get value(): number {
    return this.read();
  }
}

/**
 * A scalar that `read` gives anew each time it is used. Where an operation takes one in place of a number (`adamWStep`,
 * `sgdStep`, arithmetic beside tensors), captures of it stay up to date.
 *
 * @example
 * ```ts
 * let rate = 0.1;
 * const step = capture((x: Tensor) => mul(x, live(() => rate)));
 * await step(tensor([10])).data(); // → [1]
 * rate = 0.2;
 * await step(tensor([10])).data(); // → [2]
 * ```
 */
export function live(read: () => number): LiveScalar {
  return new LiveScalar(read);
}

/** The number behind a number or a live scalar, now. */
export function valueOf(scalar: number | LiveScalar): number {
  return typeof scalar === "number" ? scalar : scalar.value;
}
