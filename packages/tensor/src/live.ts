/**
 * Scalars that change between the replays of a captured function (capture/): a learning rate, a count of steps. A
 * kernel's parameter may be one; it is read anew whenever the kernel starts.
 */

/**
 * A number that is read each time it is used: when an operation runs, and at each replay of a capture that recorded it.
 * Made by `live`.
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

/** The number behind a number or a live scalar, now. */
export function valueOf(scalar: number | LiveScalar): number {
  return typeof scalar === "number" ? scalar : scalar.value;
}
