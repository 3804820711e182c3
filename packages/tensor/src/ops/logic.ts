/**
 * Comparisons, logic, selection and conversion. Comparisons give `bool` and have no gradient; `where` and `cast`
 * between floats do.
 */
import { full } from "../create.ts";
import { computeType, type DType, isFloat } from "../dtype.ts";
import { DTypeError, ValueError } from "../errors.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import { formatSpec } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { type ElementwiseOp, elementwise, type Operand } from "./elementwise.ts";

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
export const logicalNotOp = logical(
  "logicalNot",
  ([a]) => `(!${a})`,
  ([a]) => a === 0,
);

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

/** y = x in another type;  dx = dy in x's type (floats only) */
export const castOp = elementwise<{ dtype: DType }>({
  name: "cast",
  dtypes: ["f32", "f64", "i32", "u32", "bool"],
  output: (attrs) => attrs.dtype,
  cpu: ([x], { dtype }, from) => {
    if (dtype === "bool") return Number(x !== 0);
    // As in WGSL: a float beyond the integer's range becomes its end; between integers the 32 bits stay.
    if (!isFloat(from) || isFloat(dtype)) return x;
    const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
    return Math.min(Math.max(Math.trunc(x), low), high);
  },
  wgsl: ([x], { dtype }, from) =>
    dtype === "bool"
      ? from === "bool"
        ? x
        : `(${x} != ${from}(0))`
      : from === "bool"
        ? `select(${computeType(dtype)}(0), ${computeType(dtype)}(1), ${x})`
        : `${computeType(dtype)}(${x})`,
  vjp: ([x], _y, dy, { dtype }) => [isFloat(x.dtype) && isFloat(dtype) ? cast(dy, x.dtype) : null],
  domains: [wide],
});

/** min ≤ y ≤ max;  dx = dy inside and on the bounds (PyTorch's choice), 0 outside */
export const clampOp = elementwise<{ min: number; max: number }>({
  name: "clamp",
  dtypes: ["f32", "f64"],
  cpu: ([x], { min, max }) => Math.min(Math.max(x, min), max),
  wgsl: ([x]) => `clamp(${x}, p.low, p.high)`,
  // NOTE: WGSL has no infinities one can rely on; the largest finite f32 stands for an open end.
  params: {
    names: ["low", "high"],
    values: ({ min, max }) => [Math.max(min, -3.4e38), Math.min(max, 3.4e38)],
  },
  vjp: ([x], _y, dy, { min, max }) => [where(logicalAnd(greaterEqual(x, min), lessEqual(x, max)), dy, 0)],
  domains: [{ ...wide, kinks: [-0.5, 0.8] }],
});

/** Turns numbers into scalars of the other operand's dtype and device. */
function pair(name: string, a: Operand, b: Operand): [Tensor, Tensor] {
  const model = a instanceof Tensor ? a : b instanceof Tensor ? b : undefined;
  if (!model)
    throw new ValueError(
      `${name}: expected at least one tensor, received only numbers. Wrap one with tensor().`,
    );
  const up = (o: Operand) =>
    o instanceof Tensor ? o : full([], o, { dtype: model.dtype, device: model.device });
  return [up(a), up(b)];
}

function compare(op: ElementwiseOp<null>, a: Operand, b: Operand): Tensor {
  return scope(() => apply(op, pair(op.name, a, b), null));
}

/** a = b, as bool. */
export const equal = (a: Operand, b: Operand): Tensor => compare(equalOp, a, b);
/** a ≠ b, as bool. */
export const notEqual = (a: Operand, b: Operand): Tensor => compare(notEqualOp, a, b);
/** a < b, as bool. */
export const less = (a: Operand, b: Operand): Tensor => compare(lessOp, a, b);
/** a ≤ b, as bool. */
export const lessEqual = (a: Operand, b: Operand): Tensor => compare(lessEqualOp, a, b);
/** a > b, as bool. */
export const greater = (a: Operand, b: Operand): Tensor => less(b, a);
/** a ≥ b, as bool. */
export const greaterEqual = (a: Operand, b: Operand): Tensor => lessEqual(b, a);
/** Both, for bools. */
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => apply(logicalAndOp, [a, b], null);
/** Either, for bools. */
export const logicalOr = (a: Tensor, b: Tensor): Tensor => apply(logicalOrOp, [a, b], null);
/** Not, for bools. */
export const logicalNot = (a: Tensor): Tensor => apply(logicalNotOp, [a], null);

/** `a` where the bool `condition` holds, `b` elsewhere; all three broadcast. A number takes the other operand's dtype. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return scope(() => {
    const [x, y] =
      a instanceof Tensor || b instanceof Tensor
        ? pair("where", a, b)
        : [a, b].map((v) => full([], v, { device: condition.device }));
    return apply(whereOp, [condition, x, y], null);
  });
}

/** `x` with the elements under a true `mask` replaced by `value`; no gradient flows there. */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  return where(mask, value, x);
}

/** `x` converted to `dtype`: floats to integers round towards zero and stop at the ends of the range, to bool tests for non-zero. Returns `x` itself if it fits. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : apply(castOp, [x], { dtype });
}

/**
 * `x` limited to [min, max]; either bound may be left out.
 *
 * @throws ValueError if min > max.
 */
export function clamp(x: Tensor, bounds: { min?: number; max?: number }): Tensor {
  const min = bounds.min ?? Number.NEGATIVE_INFINITY;
  const max = bounds.max ?? Number.POSITIVE_INFINITY;
  if (!(min <= max))
    throw new ValueError(
      `clamp: min is ${min}, max is ${max}; expected min ≤ max. Swap them: clamp(x, { min: ${max}, max: ${min} }).`,
    );
  if (!isFloat(x.dtype))
    throw new DTypeError(
      `clamp: x is ${formatSpec(x)}, expected f32 or f64. Use minimum(maximum(x, min), max) for integers, or cast(x, "f32").`,
    );
  return apply(clampOp, [x], { min, max });
}
