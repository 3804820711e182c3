/**
 * Rounding to whole numbers, and division of whole numbers with NumPy's signs. Steps have no slope: their gradients
 * are 0.
 */
import type { DType } from "../dtype.ts";
import { apply } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { type ElementwiseOp, elementwise, type Operand } from "./elementwise.ts";
import { applyLifted } from "./operands.ts";

/** y = a whole number near x;  dx = 0 */
function rounding(
  name: string,
  cpu: (x: number) => number,
  wgsl: (x: string) => string,
  kinks: readonly number[],
): ElementwiseOp<null> {
  return elementwise<null>({
    name,
    dtypes: ["f32", "f64"],
    cpu: ([x]) => cpu(x),
    wgsl: ([x]) => wgsl(x),
    vjp: () => [null],
    domains: [{ low: -3, high: 3, kinks }],
  });
}

const whole = [-3, -2, -1, 0, 1, 2, 3];
const halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5];

export const floorOp = rounding("floor", Math.floor, (x) => `floor(${x})`, whole);
export const ceilOp = rounding("ceil", Math.ceil, (x) => `ceil(${x})`, whole);
export const roundOp = rounding("round", roundHalfEven, (x) => `round(${x})`, halves);

/** NOTE: Math.round takes halves up; doubling the rounded half of x gives the even neighbour, without rounding errors. */
function roundHalfEven(x: number): number {
  return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

/** An integer operation of two operands that is 0 where b = 0. */
function wholeDivision(
  name: string,
  cpu: (a: number, b: number) => number,
  unsigned: (a: string, b: string) => string,
  helpers: string,
): ElementwiseOp<null> {
  const dtypes: readonly DType[] = ["i32", "u32"];
  return elementwise<null>({
    name,
    dtypes,
    cpu: ([a, b]) => (b === 0 ? 0 : cpu(a, b)),
    // max(b, 1) keeps the branch that is not taken defined.
    wgsl: ([a, b], _a, dtype) =>
      dtype === "u32" ? `select(${unsigned(a, `max(${b}, 1u)`)}, 0u, ${b} == 0u)` : `${name}(${a}, ${b})`,
    helpers,
    domains: [
      { low: -3, high: 3 },
      { low: -3, high: 3 },
    ],
  });
}

/** y = ⌊a/b⌋. WGSL's quotient is cut towards 0; −2³¹/−1 wraps. */
export const floorDivOp = wholeDivision(
  "floorDiv",
  // Exact: quotients of 32-bit numbers that are not whole differ from whole ones by 2⁻³² at least, doubles by 2⁻⁵³.
  (a, b) => Math.floor(a / b),
  (a, b) => `${a} / ${b}`,
  `fn floorDiv(a: i32, b: i32) -> i32 {
  if (b == 0) { return 0; }
  if (b == -1) { return -a; }
  let q = a / b;
  return select(q, q - 1, q * b != a && (a < 0) != (b < 0));
}`,
);

/** y = a − b·⌊a/b⌋, with the sign of b */
export const remainderOp = wholeDivision(
  "remainder",
  (a, b) => a - b * Math.floor(a / b),
  (a, b) => `${a} % ${b}`,
  `fn remainder(a: i32, b: i32) -> i32 {
  if (b == 0 || b == -1) { return 0; }
  let r = a - (a / b) * b;
  return select(r, r + b, r != 0 && (r < 0) != (b < 0));
}`,
);

/**
 * The largest whole number not above x, ⌊x⌋, for floats; the gradient is 0.
 *
 * @example
 * ```ts
 * await floor(tensor([1.7, -1.2])).data(); // → [1, -2]
 * ```
 */
export function floor(x: Tensor): Tensor {
  return apply(floorOp, [x], null);
}

/**
 * The smallest whole number not below x, ⌈x⌉, for floats; the gradient is 0.
 *
 * @example
 * ```ts
 * await ceil(tensor([1.2, -1.7])).data(); // → [2, -1]
 * ```
 */
export function ceil(x: Tensor): Tensor {
  return apply(ceilOp, [x], null);
}

/**
 * The nearest whole number, halves to the even one as in NumPy and PyTorch (IEEE 754 roundTiesToEven), for floats; the
 * gradient is 0.
 *
 * @example
 * ```ts
 * await round(tensor([0.5, 1.5, 2.4, -2.5])).data(); // → [0, 2, 2, -2]
 * ```
 */
export function round(x: Tensor): Tensor {
  return apply(roundOp, [x], null);
}

/**
 * ⌊a/b⌋ of integers, exactly (Python's and NumPy's `//`); 0 where b is 0, as in NumPy. −2³¹/−1 wraps to −2³¹. Floats:
 * floor(div(a, b)).
 *
 * @throws DTypeError for floats.
 * @example
 * ```ts
 * await floorDiv(tensor([7, -7], { dtype: "i32" }), 2).data(); // → [3, -4]
 * ```
 */
export function floorDiv(a: Operand, b: Operand): Tensor {
  return applyLifted(floorDivOp, [a, b]);
}

/**
 * a − b·⌊a/b⌋ of integers, exactly: the remainder with the sign of b (Python's and NumPy's `%`); 0 where b is 0, as in
 * NumPy.
 *
 * @throws DTypeError for floats.
 * @example
 * ```ts
 * await remainder(tensor([7, -7], { dtype: "i32" }), 3).data(); // → [1, 2]
 * ```
 */
export function remainder(a: Operand, b: Operand): Tensor {
  return applyLifted(remainderOp, [a, b]);
}
