/**
 * Elementwise arithmetic: add, sub, mul, div, maximum, minimum, neg, abs, sign, floor, square, reciprocal.
 * Every function broadcasts like NumPy and accepts numbers, which take the dtype of the tensors beside them.
 */
import { full } from "../create.ts";
import { type DType, isFloat } from "../dtype.ts";
import { AutodiffError } from "../errors.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import { Tensor } from "../tensor.ts";
import { type ElementwiseOp, elementwise, type Operand } from "./elementwise.ts";
import { equal, greaterEqual, lessEqual, where } from "./logic.ts";

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
  dtypes: ["f32", "f64", "i32"],
  cpu: ([x]) => Math.sign(x),
  wgsl: ([x]) => `sign(${x})`,
  vjp: ([x]) => [mul(x, 0)],
  domains: [{ ...wide, kinks: [0] }],
});

/** y = ⌊x⌋;  dx = 0 */
export const floorOp = elementwise<null>({
  name: "floor",
  dtypes: ["f32", "f64"],
  cpu: ([x]) => Math.floor(x),
  wgsl: ([x]) => `floor(${x})`,
  vjp: ([x]) => [mul(x, 0)],
  domains: [{ ...wide, kinks: [-3, -2, -1, 0, 1, 2, 3] }],
});

/** y = x²;  dx = 2x·dy */
export const squareOp = elementwise<null>({
  name: "square",
  cpu: ([x], _a, dtype) => product(x, x, dtype),
  wgsl: ([x]) => `${x} * ${x}`,
  vjp: ([x], _y, dy) => [mul(dy, mul(x, 2))],
  domains: [wide],
});

/** Turns numbers into scalars of the dtype and device of the first tensor among the operands. */
function lift(name: string, operands: readonly Operand[]): Tensor[] {
  const model = operands.find((o): o is Tensor => o instanceof Tensor);
  if (!model) {
    throw new AutodiffError(
      `${name}: expected at least one tensor, received only numbers. Wrap one: tensor(${operands[0]}).`,
    );
  }
  return operands.map((o) =>
    o instanceof Tensor ? o : full([], o, { dtype: model.dtype, device: model.device }),
  );
}

/** Runs a record on operands that may be numbers. */
export function applyLifted(op: ElementwiseOp<null>, ...operands: Operand[]): Tensor {
  if (operands.every((o): o is Tensor => o instanceof Tensor)) return apply(op, operands, null);
  return scope(() => apply(op, lift(op.name, operands), null));
}

/** a + b. */
export function add(a: Operand, b: Operand): Tensor {
  return applyLifted(addOp, a, b);
}

/** a − b. */
export function sub(a: Operand, b: Operand): Tensor {
  return applyLifted(subOp, a, b);
}

/** a·b, element by element. */
export function mul(a: Operand, b: Operand): Tensor {
  return applyLifted(mulOp, a, b);
}

/** a/b for floats. */
export function div(a: Operand, b: Operand): Tensor {
  return applyLifted(divOp, a, b);
}

/** The larger of a and b; gradients are shared half and half where they are equal. */
export function maximum(a: Operand, b: Operand): Tensor {
  return applyLifted(maximumOp, a, b);
}

/** The smaller of a and b; gradients are shared half and half where they are equal. */
export function minimum(a: Operand, b: Operand): Tensor {
  return applyLifted(minimumOp, a, b);
}

/** −x. */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], null);
}

/** |x|; the gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return apply(absOp, [x], null);
}

/** −1, 0 or 1. */
export function sign(x: Tensor): Tensor {
  return apply(signOp, [x], null);
}

/** The largest whole number not above x. */
export function floor(x: Tensor): Tensor {
  return apply(floorOp, [x], null);
}

/** x². */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], null);
}

/** 1/x. */
export function reciprocal(x: Tensor): Tensor {
  return div(1, x);
}
