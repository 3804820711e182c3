/**
 * Comparisons, logic, selection and conversion. Comparisons give `bool` and have no gradient; `where`, `clamp` and
 * `cast` between floats do.
 */

import { describe, requireTensors } from "../arguments.ts";
import { full } from "../create.ts";
import type { DType } from "../dtype.ts";
import { DTypeError, ValueError } from "../errors.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import { formatSpec } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type ElementwiseOp, elementwise, type Operand } from "./elementwise.ts";
import { applyLifted, lift } from "./operands.ts";

const wide = { low: -3, high: 3 };

function comparison(
  name: string,
  symbol: string,
  cpu: (a: number, b: number) => boolean,
): ElementwiseOp<null> {
  const numbers: readonly DType[] = ["f32", "f64", "i32", "u32"];
  return elementwise<null>({
    name,
    dtypes: name === "equal" || name === "notEqual" ? [...numbers, "bool"] : numbers,
    output: "bool",
    cpu: ([a, b]) => Number(cpu(a, b)),
    wgsl: ([a, b]) => `(${a} ${symbol} ${b})`,
    domains: [wide, wide],
  });
}

export const equalOp = comparison("equal", "==", (a, b) => a === b);
export const notEqualOp = comparison("notEqual", "!=", (a, b) => a !== b);
export const lessOp = comparison("less", "<", (a, b) => a < b);
export const lessEqualOp = comparison("lessEqual", "<=", (a, b) => a <= b);
export const greaterOp = comparison("greater", ">", (a, b) => a > b);
export const greaterEqualOp = comparison("greaterEqual", ">=", (a, b) => a >= b);

function logical(
  name: string,
  wgsl: (o: readonly string[]) => string,
  cpu: (v: readonly number[]) => boolean,
): ElementwiseOp<null> {
  return elementwise<null>({
    name,
    dtypes: ["bool"],
    output: "bool",
    cpu: (v) => Number(cpu(v)),
    wgsl,
    domains: [],
  });
}

export const logicalAndOp = logical(
  "logicalAnd",
  ([a, b]) => `(${a} && ${b})`,
  ([a, b]) => a !== 0 && b !== 0,
);
export const logicalOrOp = logical(
  "logicalOr",
  ([a, b]) => `(${a} || ${b})`,
  ([a, b]) => a !== 0 || b !== 0,
);
export const logicalXorOp = logical(
  "logicalXor",
  ([a, b]) => `(${a} != ${b})`,
  ([a, b]) => (a !== 0) !== (b !== 0),
);
export const logicalNotOp = logical(
  "logicalNot",
  ([a]) => `(!${a})`,
  ([a]) => a === 0,
);

/** A test of floats. NOTE: WGSL may assume that there are no NaNs and infinities, so the bits themselves are tested. */
function bitTest(name: string, symbol: ">" | "<", cpu: (x: number) => boolean): ElementwiseOp<null> {
  return elementwise<null>({
    name,
    dtypes: ["f32", "f64"],
    output: "bool",
    cpu: ([x]) => Number(cpu(x)),
    wgsl: ([x]) => `((bitcast<u32>(${x}) & 0x7fffffffu) ${symbol} 0x7f800000u)`,
    domains: [wide],
  });
}

export const isNanOp = bitTest("isNan", ">", Number.isNaN);
export const isFiniteOp = bitTest("isFinite", "<", Number.isFinite);

/** y = c ? a : b;  da = c ? dy : 0, db = c ? 0 : dy */
export const whereOp = elementwise<null>({
  name: "where",
  arguments: ["condition", "a", "b"],
  condition: true,
  cpu: ([c, a, b]) => (c ? a : b),
  wgsl: ([c, a, b]) => `select(${b}, ${a}, ${c})`,
  vjp: ([c], _y, dy, _a, needs) => [
    null,
    needs[1] ? where(c, dy, 0) : null,
    needs[2] ? where(c, 0, dy) : null,
  ],
  domains: [{ low: 0, high: 1 }, wide, wide],
});

/**
 * a = b, as bool, for numbers or bools. NaN equals nothing.
 *
 * @throws ShapeError if the shapes do not broadcast, DTypeError if the dtypes differ, ValueError for a number that is
 * not finite or that an integer dtype does not hold. The other comparisons throw the same.
 * @example
 * ```ts
 * await equal(tensor([1, 2]), 2).data(); // → [0, 1]
 * ```
 */
export const equal = (a: Operand, b: Operand): Tensor => applyLifted(equalOp, [a, b]);
/**
 * a ≠ b, as bool, for numbers or bools.
 *
 * @example
 * ```ts
 * await notEqual(tensor([1, 2]), 2).data(); // → [1, 0]
 * ```
 */
export const notEqual = (a: Operand, b: Operand): Tensor => applyLifted(notEqualOp, [a, b]);
/**
 * a < b, as bool.
 *
 * @example
 * ```ts
 * await less(tensor([1, 2, 3]), 2).data(); // → [1, 0, 0]
 * ```
 */
export const less = (a: Operand, b: Operand): Tensor => applyLifted(lessOp, [a, b]);
/**
 * a ≤ b, as bool.
 *
 * @example
 * ```ts
 * await lessEqual(tensor([1, 2, 3]), 2).data(); // → [1, 1, 0]
 * ```
 */
export const lessEqual = (a: Operand, b: Operand): Tensor => applyLifted(lessEqualOp, [a, b]);
/**
 * a > b, as bool.
 *
 * @example
 * ```ts
 * await greater(tensor([1, 2, 3]), 2).data(); // → [0, 0, 1]
 * ```
 */
export const greater = (a: Operand, b: Operand): Tensor => applyLifted(greaterOp, [a, b]);
/**
 * a ≥ b, as bool.
 *
 * @example
 * ```ts
 * await greaterEqual(tensor([1, 2, 3]), 2).data(); // → [0, 1, 1]
 * ```
 */
export const greaterEqual = (a: Operand, b: Operand): Tensor => applyLifted(greaterEqualOp, [a, b]);
/**
 * True where the float x is NaN, as bool.
 *
 * @example
 * ```ts
 * await isNan(tensor([1, Number.NaN, Infinity])).data(); // → [0, 1, 0]
 * ```
 */
export const isNan = (x: Tensor): Tensor => apply(isNanOp, [x], null);
/**
 * True where the float x is neither NaN nor infinite, as bool.
 *
 * @example
 * ```ts
 * await isFinite(tensor([1, Number.NaN, Infinity])).data(); // → [1, 0, 0]
 * ```
 */
export const isFinite = (x: Tensor): Tensor => apply(isFiniteOp, [x], null);
/**
 * Both, for bools.
 *
 * @example
 * ```ts
 * await logicalAnd(tensor([true, true]), tensor([true, false])).data(); // → [1, 0]
 * ```
 */
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => apply(logicalAndOp, [a, b], null);
/**
 * Either or both, for bools.
 *
 * @example
 * ```ts
 * await logicalOr(tensor([true, false]), tensor([true, false])).data(); // → [1, 0]
 * ```
 */
export const logicalOr = (a: Tensor, b: Tensor): Tensor => apply(logicalOrOp, [a, b], null);
/**
 * One but not both, for bools.
 *
 * @example
 * ```ts
 * await logicalXor(tensor([true, false]), tensor([true, true])).data(); // → [0, 1]
 * ```
 */
export const logicalXor = (a: Tensor, b: Tensor): Tensor => apply(logicalXorOp, [a, b], null);
/**
 * Not, for bools.
 *
 * @example
 * ```ts
 * await logicalNot(tensor([true, false])).data(); // → [0, 1]
 * ```
 */
export const logicalNot = (x: Tensor): Tensor => apply(logicalNotOp, [x], null);

/**
 * `a` where the bool `condition` holds, `b` elsewhere; all three broadcast. A number takes the other operand's dtype
 * (two numbers: f32) and may be NaN or infinite, because it is only copied. The gradient reaches the chosen operand.
 *
 * @throws DTypeError if condition is no bool or the dtypes of a and b differ, ShapeError if the shapes do not broadcast.
 * @example
 * ```ts
 * const x = tensor([-1, 2]);
 * await where(greater(x, 0), x, 0).data(); // → [0, 2]
 * ```
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return scope(() => {
    const [x, y] =
      typeof a === "number" && typeof b === "number"
        ? [a, b].map((v) => full([], v, { device: condition.device }))
        : lift("where", [a, b], { data: true });
    return apply(whereOp, [condition, x, y], null);
  });
}

/**
 * `x` with the elements under a true `mask` replaced by `value`, which may be infinite; no gradient flows there.
 *
 * @example
 * ```ts
 * await maskedFill(tensor([1, 2]), tensor([true, false]), -9).data(); // → [-9, 2]
 * ```
 */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  requireTensors("maskedFill", ["x", "mask"], [x, mask]);
  if (typeof value !== "number") {
    throw new ValueError(
      `maskedFill: value is ${describe(value)}, expected a number. To take elements of a tensor: where(mask, value, x).`,
    );
  }
  if (mask.dtype !== "bool") {
    throw new DTypeError(
      `maskedFill: mask is ${formatSpec(mask)}, expected bool. Compare first: notEqual(mask, 0).`,
    );
  }
  return where(mask, value, x);
}
