/**
 * How far a result may be from the f64 reference: |actual − reference| ≤ absolute + relative·|reference|, per operation
 * and device. docs/numerics.md gives the reason for each row; the two change together.
 */

export interface Tolerance {
  absolute: number;
  relative: number;
}

/** Device and dtype of a result; `gradient` results pass through the derivative's operations as well. */
export type Precision = "cpu f32" | "webgpu";

const exact: Tolerance = { absolute: 0, relative: 0 };
/** One rounding to f32 of a result computed in doubles. */
const rounded: Tolerance = { absolute: 1e-30, relative: 6e-8 };
const close: Tolerance = { absolute: 1e-6, relative: 1e-6 };
/** A derivative of several operations, each rounded to f32. */
const chained: Tolerance = { absolute: 2e-6, relative: 2e-6 };
const loose: Tolerance = { absolute: 5e-6, relative: 5e-6 };

/** Operations whose GPU results are not within `close`. */
const webgpu: Record<string, Tolerance> = {
  // Nothing is computed, or with one correctly rounded operation.
  add: rounded,
  sub: rounded,
  mul: rounded,
  neg: exact,
  abs: exact,
  sign: exact,
  floor: exact,
  relu: exact,
  square: rounded,
  maximum: exact,
  minimum: exact,
  where: exact,
  clamp: rounded,
  movement: exact,
  take: exact,
  gather: exact,
  argmax: exact,
  // Up to 100,003 terms of size 2, added in another order: the error grows with their number, not with the sum.
  "long sum": { absolute: 2e-3, relative: 1e-6 },
  "long max": exact,
  // 1,499 products of size up to 4.
  "long matmul": { absolute: 2e-4, relative: 1e-6 },
  // An error of tanh counts x·u′ ≤ 4 times over.
  geluTanhSlope: { absolute: 3e-6, relative: 3e-6 },
  // The angle position·frequency is rounded to f32: positions up to 40 here.
  rope: { absolute: 1e-5, relative: 1e-6 },
  max: exact,
  min: exact,
};

/** The tolerance of operation `name`; comparisons, indices and integers are always exact. */
export function toleranceOf(name: string, precision: Precision, gradient: boolean): Tolerance {
  if (gradient) return precision === "cpu f32" ? chained : loose;
  if (precision === "cpu f32") return close;
  return webgpu[name] ?? close;
}
