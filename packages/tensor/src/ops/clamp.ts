/**
 * Limiting elements to a range: one kernel for floats, composed of maximum and minimum for integers.
 */
import { requireOptions } from "../arguments.ts";
import { isFloat } from "../dtype.ts";
import { ValueError } from "../errors.ts";
import { requireFinite } from "../literals.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { maximumOp, minimumOp } from "./arithmetic.ts";
import { elementwise } from "./elementwise.ts";
import { greaterEqual, lessEqual, where } from "./logic.ts";
import { applyLifted } from "./operands.ts";

const wide = { low: -3, high: 3 };

/** What clamp keeps; a bound left out is open. */
interface Bounds {
  min?: number;
  max?: number;
}

/** min ≤ y ≤ max;  dx = dy inside and on the bounds (PyTorch's choice), 0 outside */
export const clampOp = elementwise<Bounds>({
  name: "clamp",
  dtypes: ["f32", "f64"],
  cpu: ([x], { min = -Infinity, max = Infinity }) => Math.min(Math.max(x, min), max),
  wgsl: ([x]) => `clamp(${x}, p.low, p.high)`,
  // An open end is an infinity: WGSL can not write one, but takes it as data.
  params: { names: ["low", "high"], values: ({ min = -Infinity, max = Infinity }) => [min, max] },
  vjp: ([x], _y, dy, { min, max }) => {
    const above = min === undefined ? dy : where(greaterEqual(x, min), dy, 0);
    return [max === undefined ? above : where(lessEqual(x, max), above, 0)];
  },
  domains: [{ ...wide, kinks: [-0.5, 0.8] }],
});

/**
 * `x` limited to [min, max]; a bound left out is open. Floats on a bound get the whole gradient, outside 0 (PyTorch's
 * choice). Integers take whole bounds and are exact.
 *
 * @throws ValueError if a bound is NaN, infinite, not held by x's dtype, or min > max; DTypeError for bools.
 * @example
 * ```ts
 * await clamp(tensor([-2, 0.5, 3]), { min: -1, max: 1 }).data(); // → [-1, 0.5, 1]
 * await clamp(tensor([-2, 5], { dtype: "i32" }), { min: 0 }).data(); // → [0, 5]
 * ```
 */
export function clamp(x: Tensor, bounds: Bounds): Tensor {
  requireOptions("clamp", bounds, ["min", "max"]);
  const { min, max } = bounds;
  if (min !== undefined) requireFinite("clamp", "min", min);
  if (max !== undefined) requireFinite("clamp", "max", max);
  if (min !== undefined && max !== undefined && min > max) {
    throw new ValueError(
      `clamp: min is ${min}, max is ${max}; expected min ≤ max. Swap them: clamp(x, { min: ${max}, max: ${min} }).`,
    );
  }
  if (isFloat(x.dtype) || x.dtype === "bool") return apply(clampOp, [x], { min, max });
  return scope(() => {
    const names = (bound: string) => ({ name: "clamp", names: ["x", bound] });
    const above = min === undefined ? x : applyLifted(maximumOp, [x, min], names("min"));
    return max === undefined ? above : applyLifted(minimumOp, [above, max], names("max"));
  });
}
