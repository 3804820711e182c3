/**
 * Checks of plain numbers that become elements or settings. An integer tensor takes only numbers it holds exactly:
 * wrapping 3e9 or cutting 1.5 without a word hides mistakes. Leaves out f32's rounding, which is expected.
 */
import type { DType } from "./dtype.ts";
import { ValueError } from "./errors.ts";

/** The lowest and highest number of each integer type. */
export const integerRanges: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/**
 * Checks that `dtype` holds each value exactly; `place` names the value at an index in messages.
 *
 * @throws ValueError naming the first value that an integer type can not hold.
 */
export function requireHeld(
  op: string,
  dtype: DType,
  values: ArrayLike<number>,
  place: (index: number) => string,
): void {
  const range = integerRanges[dtype];
  if (!range) return;
  const [low, high] = range;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isInteger(value) && value >= low && value <= high) continue;
    throw new ValueError(
      `${op}: ${place(i)} is ${value}, expected whole numbers from ${low} to ${high} for ${dtype}. ` +
        `Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "${dtype}").`,
    );
  }
}

/**
 * Checks a number that takes part in arithmetic.
 *
 * @throws ValueError if it is NaN or infinite.
 */
export function requireFinite(op: string, argument: string, value: number): void {
  if (Number.isFinite(value)) return;
  const fix = Number.isNaN(value)
    ? "Find elements that are NaN with isNan(x)"
    : "Leave an open bound out, clamp(x, { min: 0 }); find infinite elements with logicalNot(isFinite(x))";
  throw new ValueError(
    `${op}: ${argument} is ${value}, expected a finite number. ${fix}; to set elements to it: maskedFill(x, mask, ${value}).`,
  );
}
