/**
 * Elementwise arithmetic: add, sub, mul, div, maximum, minimum, neg, abs, sign, square, reciprocal. Every function
 * broadcasts like NumPy and accepts finite numbers, which take the dtype of the tensors beside them. Integers wrap at 32
 * bits. Whole-number division and rounding are in rounding.ts.
 */
import { type DType, isFloat } from "../dtype.ts";
import { apply } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise, type Operand } from "./elementwise.ts";
import { equal, greaterEqual, lessEqual, where } from "./logic.ts";
import { applyLifted } from "./operands.ts";

const wide = { low: -3, high: 3 };
const positive = { low: 0.2, high: 3 };

/** a·b; integers wrap at 32 bits, which a product of doubles would round instead. */
function product(a: number, b: number, dtype: DType): number {
  return isFloat(dtype) ? a * b : Math.imul(a, b);
}

/** y = a + b;  da = dy, db = dy */
export const addOp = elementwise<null>({
  name: "add",
  cpu: ([a, b]) => a + b,
  wgsl: ([a, b]) => `${a} + ${b}`,
  vjp: (_x, _y, dy) => [dy, dy],
  domains: [wide, wide],
});

/** y = a − b;  da = dy, db = −dy */
export const subOp = elementwise<null>({
  name: "sub",
  cpu: ([a, b]) => a - b,
  wgsl: ([a, b]) => `${a} - ${b}`,
  vjp: (_x, _y, dy, _a, needs) => [dy, needs[1] ? neg(dy) : null],
  domains: [wide, wide],
});

/** y = a·b;  da = b·dy, db = a·dy */
export const mulOp = elementwise<null>({
  name: "mul",
  cpu: ([a, b], _a, dtype) => product(a, b, dtype),
  wgsl: ([a, b]) => `${a} * ${b}`,
  vjp: ([a, b], _y, dy, _a, needs) => [needs[0] ? mul(dy, b) : null, needs[1] ? mul(dy, a) : null],
  domains: [wide, wide],
});

/** y = a/b;  da = dy/b, db = −y·dy/b */
export const divOp = elementwise<null>({
  name: "div",
  dtypes: ["f32", "f64"],
  cpu: ([a, b]) => a / b,
  wgsl: ([a, b]) => `${a} / ${b}`,
  vjp: ([, b], y, dy, _a, needs) => {
    const da = div(dy, b);
    return [da, needs[1] ? neg(mul(da, y)) : null];
  },
  domains: [wide, positive],
});

/** y = max(a, b);  dy goes to the larger operand, half to each where they are equal */
export const maximumOp = elementwise<null>({
  name: "maximum",
  cpu: ([a, b]) => Math.max(a, b),
  wgsl: ([a, b]) => `max(${a}, ${b})`,
  vjp: ([a, b], _y, dy) => tieShares(a, b, dy),
  domains: [wide, wide],
});

/** y = min(a, b);  dy goes to the smaller operand, half to each where they are equal */
export const minimumOp = elementwise<null>({
  name: "minimum",
  cpu: ([a, b]) => Math.min(a, b),
  wgsl: ([a, b]) => `min(${a}, ${b})`,
  vjp: ([a, b], _y, dy) => {
    const [toLarger, toSmaller] = tieShares(a, b, dy);
    return [toSmaller, toLarger];
  },
  domains: [wide, wide],
});

/** Splits dy between two operands: [share of a where a is larger, share of b where b is larger], halves on ties. */
function tieShares(a: Tensor, b: Tensor, dy: Tensor): [Tensor, Tensor] {
  const half = where(equal(a, b), mul(dy, 0.5), 0);
  return [add(half, where(lessEqual(a, b), 0, dy)), add(half, where(greaterEqual(a, b), 0, dy))];
}

/** y = −x;  dx = −dy */
export const negOp = elementwise<null>({
  name: "neg",
  cpu: ([x]) => -x,
  wgsl: ([x], _a, dtype) => (dtype === "u32" ? `(0u - ${x})` : `-${x}`),
  vjp: (_x, _y, dy) => [neg(dy)],
  domains: [wide],
});

/** y = |x|;  dx = sign(x)·dy */
export const absOp = elementwise<null>({
  name: "abs",
  cpu: ([x]) => Math.abs(x),
  wgsl: ([x]) => `abs(${x})`,
  vjp: ([x], _y, dy) => [mul(dy, sign(x))],
  domains: [{ ...wide, kinks: [0] }],
});

/** y = sign(x);  dx = 0 */
export const signOp = elementwise<null>({
  name: "sign",
  cpu: ([x]) => Math.sign(x),
  wgsl: ([x], _a, dtype) => (dtype === "u32" ? `min(${x}, 1u)` : `sign(${x})`),
  vjp: () => [null],
  domains: [{ ...wide, kinks: [0] }],
});

/** y = x²;  dx = 2x·dy */
export const squareOp = elementwise<null>({
  name: "square",
  cpu: ([x], _a, dtype) => product(x, x, dtype),
  wgsl: ([x]) => `${x} * ${x}`,
  vjp: ([x], _y, dy) => [mul(dy, mul(x, 2))],
  domains: [wide],
});

/**
 * a + b.
 *
 * @throws ShapeError if the shapes do not broadcast, DTypeError if the dtypes differ, ValueError for a number that is
 * not finite or that an integer dtype does not hold. The other operations of two operands throw the same.
 * @example
 * ```ts
 * await add(tensor([1, 2]), 1).data(); // → [2, 3]
 * await add(tensor([[1], [2]]), tensor([10, 20])).data(); // → [11, 21, 12, 22]
 * ```
 */
export function add(a: Operand, b: Operand): Tensor {
  return applyLifted(addOp, [a, b]);
}

/**
 * a − b.
 *
 * @example
 * ```ts
 * await sub(1, tensor([1, 2])).data(); // → [0, -1]
 * ```
 */
export function sub(a: Operand, b: Operand): Tensor {
  return applyLifted(subOp, [a, b]);
}

/**
 * a·b, element by element.
 *
 * @example
 * ```ts
 * await mul(tensor([1, 2]), tensor([3, 4])).data(); // → [3, 8]
 * ```
 */
export function mul(a: Operand, b: Operand): Tensor {
  return applyLifted(mulOp, [a, b]);
}

/**
 * a/b for floats; integers have `floorDiv`.
 *
 * @throws DTypeError for integers.
 * @example
 * ```ts
 * await div(tensor([1, 3]), 2).data(); // → [0.5, 1.5]
 * ```
 */
export function div(a: Operand, b: Operand): Tensor {
  return applyLifted(divOp, [a, b]);
}

/**
 * The larger of a and b; where they are equal each gets half of the gradient.
 *
 * @example
 * ```ts
 * await maximum(tensor([-1, 2]), 0).data(); // → [0, 2]
 * ```
 */
export function maximum(a: Operand, b: Operand): Tensor {
  return applyLifted(maximumOp, [a, b]);
}

/**
 * The smaller of a and b; where they are equal each gets half of the gradient.
 *
 * @example
 * ```ts
 * await minimum(tensor([-1, 2]), 0).data(); // → [-1, 0]
 * ```
 */
export function minimum(a: Operand, b: Operand): Tensor {
  return applyLifted(minimumOp, [a, b]);
}

/**
 * −x; u32 wraps to 2³² − x.
 *
 * @example
 * ```ts
 * await neg(tensor([1, -2])).data(); // → [-1, 2]
 * ```
 */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], null);
}

/**
 * |x|; the gradient at 0 is 0. The smallest i32, −2³¹, stays as it is.
 *
 * @example
 * ```ts
 * await abs(tensor([-1.5, 2])).data(); // → [1.5, 2]
 * ```
 */
export function abs(x: Tensor): Tensor {
  return apply(absOp, [x], null);
}

/**
 * −1, 0 or 1; the gradient is 0.
 *
 * @example
 * ```ts
 * await sign(tensor([-3, 0, 0.5])).data(); // → [-1, 0, 1]
 * ```
 */
export function sign(x: Tensor): Tensor {
  return apply(signOp, [x], null);
}

/**
 * x².
 *
 * @example
 * ```ts
 * await square(tensor([-3, 2])).data(); // → [9, 4]
 * ```
 */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], null);
}

/**
 * 1/x for floats.
 *
 * @example
 * ```ts
 * await reciprocal(tensor([4, 0.5])).data(); // → [0.25, 2]
 * ```
 */
export function reciprocal(x: Tensor): Tensor {
  return div(1, x);
}
