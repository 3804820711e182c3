/**
 * Host numbers that must be finite: a NaN is named where it enters, not where the loss turns NaN.
 */
import { NonFiniteError } from "../errors.ts";

/**
 * Checks that every number is finite.
 *
 * @param name what the numbers are, for the message
 * @throws NonFiniteError naming the first that is not
 * @example requireFinite("clipStatistics: newLogProbs", [-0.1, -2])
 */
export function requireFinite(name: string, values: ArrayLike<number>): void {
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(values[index])) {
      throw new NonFiniteError(
        `${name}: element ${index} is ${values[index]}, expected a finite number. ` +
          "Look at the forward pass that made it: debug() of @pact/tensor names the first operation with such a result.",
      );
    }
  }
}
