/** Comparing arrays of numbers with a tolerance, with a message that names the first element that differs. */
import type { Tolerance } from "./tolerances.ts";

/** Throws unless |actual − reference| ≤ absolute + relative·|reference| everywhere; NaN and infinities must be met. */
export function expectClose(
  what: string,
  actual: ArrayLike<number>,
  reference: ArrayLike<number>,
  { absolute, relative }: Tolerance,
): void {
  if (actual.length !== reference.length) {
    throw new Error(`${what}: ${actual.length} elements, expected ${reference.length}`);
  }
  for (let i = 0; i < reference.length; i++) {
    const [a, r] = [actual[i], reference[i]];
    if (Number.isNaN(r) ? Number.isNaN(a) : a === r) continue;
    const error = Math.abs(a - r);
    const allowed = absolute + relative * Math.abs(r);
    if (!(error <= allowed)) {
      throw new Error(`${what}: element ${i} is ${a}, expected ${r} (error ${error}, allowed ${allowed})`);
    }
  }
}
