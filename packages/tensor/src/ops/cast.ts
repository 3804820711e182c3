/**
 * Conversion between element types. Every record that takes no f16 is run between two casts (op.ts), so this file
 * stands below op.ts: it runs its record itself.
 */
import { requireDType, requireTensors } from "../arguments.ts";
import { computeType, type DType, isFloat } from "../dtype.ts";
import { integerRanges } from "../literals.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";

const wide = { low: -3, high: 3 };

/** WGSL that converts `x`; f16 counts as f32 here. */
function converted(x: string, from: DType, to: DType): string {
  if (to === "bool") return from === "bool" ? x : `(${x} != ${from}(0))`;
  if (from === "bool") return `select(${to}(0), ${to}(1), ${x})`;
  const range = integerRanges[to];
  if (from !== "f32" || !range) return `${to}(${x})`;
  // WGSL stops at the last f32 in the range, short of its end.
  return `select(${to}(${x}), ${to}(${range[1]}), ${x} >= ${range[1] + 1}.0)`;
}

/** y = x in another type;  dx = dy in x's type (floats only) */
export const castOp = elementwise<{ dtype: DType }>({
  name: "cast",
  dtypes: ["f32", "f64", "i32", "u32", "bool"],
  output: (attrs) => attrs.dtype,
  cpu: ([x], { dtype }, from) => {
    if (dtype === "bool") return Number(x !== 0);
    // As in WGSL: a float beyond the integer's range becomes its end; between integers the 32 bits stay.
    const range = integerRanges[dtype];
    if (!isFloat(from) || !range) return x;
    const [low, high] = range;
    return Math.min(Math.max(Math.trunc(x), low), high);
  },
  wgsl: ([x], { dtype }, from) => converted(x, from, computeType(dtype)),
  vjp: ([x], _y, dy, { dtype }) => [isFloat(x.dtype) && isFloat(dtype) ? cast(dy, x.dtype) : null],
  domains: [wide],
});

/**
 * `x` converted to `dtype`: floats to integers round towards zero and stop at the ends of the range, integers among
 * themselves keep their 32 bits, to bool tests for non-zero. Returns `x` itself if it has that dtype.
 *
 * @example
 * ```ts
 * await cast(tensor([1.9, -1.9]), "i32").data(); // → [1, -1]
 * ```
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  const device = requireTensors("cast", ["x"], [x]);
  requireDType("cast", dtype);
  return x.dtype === dtype ? x : run(device, castOp, [x], { dtype })[0];
}
