/**
 * How far a result may be from the f64 reference: |actual − reference| ≤ absolute + relative·|reference|, per operation
 * and device. docs/numerics.md gives the measured error and the reason for each row; the two change together.
 */

export interface Tolerance {
  absolute: number;
  relative: number;
}

/** Device and dtype of a result. */
export type Precision = "cpu f32" | "webgpu" | "webgpu f16";

const exact: Tolerance = { absolute: 0, relative: 0 };
/** One rounding to f32: half a unit in the last place is 2⁻²⁴ ≈ 5.96e-8 of the value. */
const rounded: Tolerance = { absolute: 1e-30, relative: 6e-8 };
const close: Tolerance = { absolute: 1e-6, relative: 1e-6 };

/** GPU results of operations that are not `close`. */
const webgpu: Record<string, Tolerance> = {
  add: rounded,
  sub: rounded,
  mul: rounded,
  square: rounded,
  clamp: rounded,
  neg: exact,
  abs: exact,
  sign: exact,
  floor: exact,
  ceil: exact,
  round: exact,
  relu: exact,
  maximum: exact,
  minimum: exact,
  where: exact,
  movement: exact,
  take: exact,
  gather: exact,
  max: exact,
  min: exact,
  topk: exact,
  sum: { absolute: 3e-5, relative: 1e-6 },
  matmul: { absolute: 5e-6, relative: 2e-6 },
  linear: { absolute: 5e-6, relative: 2e-6 },
  "matmul under a sum over its batch": { absolute: 5e-6, relative: 2e-6 },
  geluTanhSlope: { absolute: 3e-6, relative: 3e-6 },
  layerNorm: { absolute: 5e-6, relative: 1e-6 },
  rope: { absolute: 1e-5, relative: 1e-6 },
  "long sum": { absolute: 2e-3, relative: 1e-6 },
  "long matmul": { absolute: 2e-4, relative: 1e-6 },
  "long max": exact,
  "long min": exact,
};

/** One rounding to f16: half a unit in the last place is 2⁻¹¹ of the value, or 2⁻²⁵ below 2⁻¹⁴. */
const halfRounded: Tolerance = { absolute: 2 ** -25, relative: 2 ** -11 };
const halfSeveral: Tolerance = { absolute: 1.5e-3, relative: 1.5e-3 };

/** f16 results that are rounded more than once on the way. */
const half: Record<string, Tolerance> = {
  linear: halfSeveral,
  gelu: halfSeveral,
  layerNorm: halfSeveral,
  indexAdd: halfSeveral,
  entropy: halfSeveral,
  dropout: halfSeveral,
  "matmul under a sum over its batch": { absolute: 6e-3, relative: 6e-3 },
};

/** f16 gradients that are worse than the others, by the size of what cancels. */
const halfDerivative: Record<string, Tolerance> = {
  geluTanhSlope: { absolute: 1e-2, relative: 1e-2 },
};

/** A derivative is several operations, each rounded to f32. */
const derivative: Record<Precision, Tolerance> = {
  "cpu f32": { absolute: 2e-6, relative: 2e-6 },
  webgpu: { absolute: 5e-6, relative: 5e-6 },
  "webgpu f16": { absolute: 4e-3, relative: 4e-3 },
};

/** Second derivatives on webgpu: some thirty operations, with terms that cancel. */
export const secondDerivative: Tolerance = { absolute: 5e-5, relative: 5e-5 };

/** The tolerance of operation `name`; comparisons, indices and integers are always exact. */
export function toleranceOf(name: string, precision: Precision, gradient: boolean): Tolerance {
  if (precision === "webgpu f16") return halfToleranceOf(name, gradient);
  if (gradient) return derivative[precision];
  return precision === "cpu f32" ? close : (webgpu[name] ?? close);
}

/** In f16 an operation is computed in f32 and rounded once, unless it has a row of its own. */
function halfToleranceOf(name: string, gradient: boolean): Tolerance {
  if (gradient) return halfDerivative[name] ?? derivative["webgpu f16"];
  const single = webgpu[name] ?? close;
  if (single === exact) return exact;
  const { absolute, relative } = halfRounded;
  return half[name] ?? { absolute: single.absolute + absolute, relative: single.relative + relative };
}
