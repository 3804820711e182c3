/**
 * Operations made of others; their gradients follow from the parts.
 */
import { requireOptions, requireTensors } from "./arguments.ts";
import { computeType } from "./dtype.ts";
import { ValueError } from "./errors.ts";
import { div, square, sub } from "./ops/arithmetic.ts";
import { cast } from "./ops/cast.ts";
import { equal, where } from "./ops/logic.ts";
import { sqrt } from "./ops/math.ts";
import { reshape } from "./ops/movement.ts";
import { type ReduceOptions, sum } from "./ops/reduce.ts";
import { requireFloat } from "./ops/softmax.ts";
import { unrecorded } from "./recording.ts";
import { scope } from "./scope.ts";
import { normalizeAxes, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Arithmetic mean Σ x / n over axes (default all), for floats. The mean of nothing is NaN (0/0).
 *
 * @throws DTypeError for integers and bools, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 5]]);
 * await mean(x, { axes: 1 }).data(); // → [1.5, 4]
 * mean(cast(x, "i32")); // → throws DTypeError
 * ```
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  requireTensors("mean", ["x"], [x]);
  requireFloat("mean", x);
  requireOptions("mean", options, ["axes", "keepDims"]);
  const axes = normalizeAxes("mean", options.axes, x.rank);
  return scope(() => {
    // f16 ends at 65,504, which sums and counts soon pass; only the mean is rounded to it.
    const total = sum(cast(x, computeType(x.dtype)), options);
    return cast(div(total, sizeOf(axes.map((a) => x.shape[a]))), x.dtype);
  });
}

/** Options of `variance` and `std`. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements: 1 (default) for a sample's unbiased variance, 0 for a population's. */
  correction?: number;
}

/** The variance, for f16 in f32. */
function squaredDeviation(name: string, x: Tensor, options: VarianceOptions): Tensor {
  requireTensors(name, ["x"], [x]);
  requireFloat(name, x);
  requireOptions(name, options, ["axes", "keepDims", "correction"]);
  const { keepDims = false, correction = 1 } = options;
  const axes = normalizeAxes(name, options.axes, x.rank);
  const count = sizeOf(axes.map((a) => x.shape[a]));
  if (!Number.isFinite(correction) || count - correction <= 0) {
    throw new ValueError(
      `${name}: correction is ${correction}, expected a number below ${count}, the elements that each result is made of. ` +
        `Divide by their number: ${name}(x, { correction: 0 }).`,
    );
  }
  // Centred first: the difference of Σ x² and n·mean² would lose every digit that they share.
  const wide = cast(x, computeType(x.dtype));
  const centred = sub(wide, mean(wide, { axes, keepDims: true }));
  return div(sum(square(centred), { axes, keepDims }), count - correction);
}

/**
 * Variance Σ (x − mean)² / (n − correction) over axes (default all), of n elements each.
 * Gradient: dx = 2 (x − mean) / (n − correction) · dy. `correction` is 1 as in PyTorch; NumPy's default is 0.
 *
 * @throws ValueError unless n > correction, DTypeError for integers and bools, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, 2, 6], [5, 5, 5]]);
 * await variance(x, { axes: 1 }).data(); // → [7, 0]
 * await variance(tensor([1, 3]), { correction: 0 }).item(); // → 1
 * variance(tensor([1])); // → throws ValueError
 * ```
 */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  return scope(() => cast(squaredDeviation("variance", x, options), x.dtype));
}

/**
 * Standard deviation √variance over axes (default all).
 * Gradient: dx = (x − mean) / ((n − correction) · y) · dy, and 0 where y is 0, as in PyTorch.
 *
 * @throws ValueError unless n > correction, DTypeError for integers and bools, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * await std(tensor([1, 3, 5])).item(); // → 2
 * await std(tensor([1, 3]), { correction: 0 }).item(); // → 1
 * await grad((x: Tensor) => std(x))(tensor([4, 4])).data(); // → [0, 0]
 * ```
 */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  return scope(() => {
    const squared = squaredDeviation("std", x, options);
    // NOTE: √ is kept away from 0, where its slope is infinite and 0 · ∞ would make the gradient NaN.
    const flat = equal(squared, 0);
    return cast(where(flat, 0, sqrt(where(flat, 1, squared))), x.dtype);
  });
}

/**
 * The same values as a constant: no gradient flows into `x`. A view.
 *
 * @example
 * ```ts
 * await grad((x: Tensor) => sum(mul(x, stopGradient(x))))(tensor([3])).data(); // → [3]
 * ```
 */
export function stopGradient(x: Tensor): Tensor {
  return unrecorded(() => reshape(x, x.shape));
}
