/**
 * Elementwise functions of floats: powers, exponentials, roots, tanh and erf. sin and cos are in
 * trigonometry.ts, the activations of neural networks in activations.ts. Where WGSL's own functions are too loose, the file's are used: see docs/numerics.md.
 */
import type { DType } from "../dtype.ts";
import { apply } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { add, div, mul, neg, square, sub } from "./arithmetic.ts";
import { type ElementwiseOp, elementwise, type Operand } from "./elementwise.ts";
import { equal, where } from "./logic.ts";
import { applyLifted } from "./operands.ts";

const floats: readonly DType[] = ["f32", "f64"];
const wide = { low: -4, high: 4 };
const positive = { low: 0.1, high: 4 };

/** A function of one float. */
export interface UnaryDefinition {
  name: string;
  cpu(x: number): number;
  wgsl(x: string): string;
  helpers?: string;
  domain: { low: number; high: number; kinks?: readonly number[] };
  /** dy/dx from x and y, written with operations. */
  slope(x: Tensor, y: Tensor): Tensor;
}

/** A record y = f(x) with dx = f′(x)·dy. */
export function unary(d: UnaryDefinition): ElementwiseOp<null> {
  return elementwise<null>({
    name: d.name,
    dtypes: floats,
    cpu: ([x]) => d.cpu(x),
    wgsl: ([x]) => d.wgsl(x),
    helpers: d.helpers,
    vjp: ([x], y, dy) => [mul(dy, d.slope(x, y))],
    domains: [d.domain],
  });
}

/** y = aᵇ;  da = b·aᵇ⁻¹·dy (0 for b = 0), db = ln(a)·y·dy (0 for a = 0). NOTE: WGSL defines pow for a ≥ 0 only; the sign is ours. */
export const powOp = elementwise<null>({
  name: "pow",
  dtypes: ["f32", "f64"],
  // IEEE 754 (and C, NumPy, PyTorch): 1 to any power is 1, also NaN; JavaScript says NaN.
  cpu: ([a, b]) => (a === 1 ? 1 : a ** b),
  wgsl: ([a, b]) => `power(${a}, ${b})`,
  helpers: `fn power(a: f32, b: f32) -> f32 {
  if (b == 0.0 || a == 1.0) { return 1.0; }
  if (a < 0.0 && floor(b) != b) { return sqrt(a); } // not a number
  let magnitude = pow(abs(a), b);
  // A negative base has a real power only for whole exponents: odd ones keep the sign.
  let odd = abs(b) - 2.0 * floor(abs(b) * 0.5) == 1.0;
  return select(magnitude, -magnitude, a < 0.0 && odd);
}`,
  vjp: ([a, b], y, dy, _a, needs) => [
    needs[0] ? mul(dy, where(equal(b, 0), 0, mul(b, pow(a, sub(b, 1))))) : null,
    needs[1] ? mul(dy, where(equal(a, 0), 0, mul(y, log(a)))) : null,
  ],
  domains: [
    { low: 0.2, high: 3 },
    { low: -2, high: 3 },
  ],
});

/** d/dx eˣ = eˣ */
export const expOp = unary({
  name: "exp",
  cpu: Math.exp,
  wgsl: (x) => `exp(${x})`,
  domain: wide,
  slope: (_x, y) => y,
});
/** ln x. WGSL leaves x ≤ 0 open, and SwiftShader answers with finite numbers there: −∞ at 0 and NaN below are ours. */
const naturalLogWgsl = `fn naturalLog(x: f32) -> f32 {
  return select(select(-inverseSqrt(abs(x)), sqrt(x), x < 0.0), log(x), x > 0.0);
}`;

/** d/dx ln x = 1/x */
export const logOp = unary({
  name: "log",
  cpu: Math.log,
  wgsl: (x) => `naturalLog(${x})`,
  helpers: naturalLogWgsl,
  domain: positive,
  slope: (x) => div(1, x),
});
/**
 * ln(1 + x) in WGSL. For |x| < ¼, where 1 + x would round x away: 2 artanh s with s = x/(2 + x), |s| ≤ 1/7, whose series
 * s + s³/3 + s⁵/5 + … is exact to f32 after five terms.
 */
export const log1pWgsl = `${naturalLogWgsl}
fn log1p(x: f32) -> f32 {
  let s = x / (2.0 + x);
  let q = s * s;
  let series = 2.0 * s * (1.0 + q * (0.33333334 + q * (0.2 + q * (0.14285715 + q * 0.11111111))));
  return select(naturalLog(1.0 + x), series, abs(x) < 0.25);
}`;

/** d/dx ln(1 + x) = 1/(1 + x) */
export const log1pOp = unary({
  name: "log1p",
  cpu: Math.log1p,
  wgsl: (x) => `log1p(${x})`,
  helpers: log1pWgsl,
  domain: { low: -0.8, high: 4 },
  slope: (x) => div(1, add(x, 1)),
});
/** d/dx (eˣ − 1) = eˣ. Small x: the first terms of the series. */
export const expm1Op = unary({
  name: "expm1",
  cpu: Math.expm1,
  wgsl: (x) => `expm1(${x})`,
  helpers: `fn expm1(x: f32) -> f32 {
  let series = x * (1.0 + x * (0.5 + x * (0.16666667 + x * 0.041666668)));
  return select(exp(x) - 1.0, series, abs(x) < 0.05);
}`,
  domain: wide,
  slope: (_x, y) => add(y, 1),
});
/** d/dx √x = 1/(2√x) */
export const sqrtOp = unary({
  name: "sqrt",
  cpu: Math.sqrt,
  wgsl: (x) => `sqrt(${x})`,
  domain: positive,
  slope: (_x, y) => div(0.5, y),
});
/** d/dx x^(−1/2) = −½·y/x */
export const rsqrtOp = unary({
  name: "rsqrt",
  cpu: (x) => 1 / Math.sqrt(x),
  wgsl: (x) => `inverseSqrt(${x})`,
  domain: positive,
  slope: (x, y) => mul(-0.5, div(y, x)),
});
/**
 * d/dx tanh x = 1 − y². NOTE: WGSL's tanh may overflow for large |x|; the argument is clamped where y = ±1 in f32. It is also
 * only good to 1e-5, absolute, so that nothing of a small x may be left: the series x − x³/3 + 2x⁵/15 − … for |x| < 0.1.
 */
export const tanhOp = unary({
  name: "tanh",
  cpu: Math.tanh,
  wgsl: (x) => `hyperbolicTangent(${x})`,
  helpers: `fn hyperbolicTangent(x: f32) -> f32 {
  let q = x * x;
  let series = x * (1.0 - q * (0.33333334 - q * (0.13333334 - q * 0.05396825)));
  return select(tanh(clamp(x, -15.0, 15.0)), series, abs(x) < 0.1);
}`,
  domain: wide,
  slope: (_x, y) => sub(1, square(y)),
});
/** erf; slope 2/√π·e^(−x²). WGSL: Abramowitz & Stegun 7.1.26 for |x| ≥ 0.5 (error ≤ 1.5e-7), the series below. */
export const erfOp = unary({
  name: "erf",
  cpu: erfScalar,
  wgsl: (x) => `erf(${x})`,
  helpers: `fn erf(x: f32) -> f32 {
  let a = abs(x);
  let q = x * x;
  let series = x * (1.1283792 + q * (-0.37612638 + q * (0.11283791 + q * (-0.026866171 + q * (0.0052239776 - q * 0.00085483270)))));
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-q);
  return select(sign(x) * (1.0 - tail), series, a < 0.5);
}`,
  domain: { low: -3, high: 3 },
  slope: (x) => mul(2 / Math.sqrt(Math.PI), exp(neg(square(x)))),
});

/** erf to double precision: the Maclaurin series below 3, a continued fraction of erfc above. */
function erfScalar(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let total = a;
    for (let n = 1; n < 100 && Math.abs(term) > 1e-18 * total; n++) {
      term *= (-a * a) / n;
      total += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = a;
  for (let n = 60; n >= 1; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (fraction * Math.sqrt(Math.PI)));
}

/**
 * aᵇ for floats, broadcast; one of them may be a number. 0⁰ = 1; for a < 0 only whole b give a number, others NaN.
 * Gradients b·aᵇ⁻¹ and ln(a)·aᵇ, taken as 0 where b = 0 and where a = 0, as PyTorch does. WGSL's pow is defined for a ≥ 0:
 * the sign of odd powers is ours.
 *
 * @throws DTypeError for integers and bools; ShapeError if the shapes do not broadcast; ValueError for a number that is
 * not finite.
 * @example
 * ```ts
 * await pow(tensor([1, 2, -3]), 3).data(); // → [1, 8, -27]
 * await pow(2, tensor([0, -1])).data(); // → [1, 0.5]
 * pow(tensor([true]), 2); // → throws DTypeError
 * ```
 */
export function pow(a: Operand, b: Operand): Tensor {
  return applyLifted(powOp, [a, b]);
}

/**
 * eˣ; infinite above 88.7 in f32 (709.7 in f64). Gradient eˣ.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await exp(tensor([0, 1])).data(); // → [1, 2.7182818]
 * ```
 */
export const exp = (x: Tensor): Tensor => apply(expOp, [x], null);

/**
 * Natural logarithm ln x for x > 0; −∞ at 0, NaN below. Gradient 1/x, infinite at 0: shift x, log(add(x, 1e-8)), where
 * zeros occur.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await log(tensor([1, Math.E])).data(); // → [0, 1]
 * ```
 */
export const log = (x: Tensor): Tensor => apply(logOp, [x], null);

/**
 * ln(1 + x) for x > −1, exact near 0, where 1 + x would round x away; −∞ at −1, NaN below. Gradient 1/(1 + x). WGSL: five
 * terms of a series for |x| < ¼.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await log1p(tensor([0, 1])).data(); // → [0, 0.6931472]
 * ```
 */
export const log1p = (x: Tensor): Tensor => apply(log1pOp, [x], null);

/**
 * eˣ − 1, exact near 0, where eˣ rounds x away. Gradient eˣ. WGSL: four terms of the series for |x| < 0.05.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await expm1(tensor([0, 1])).data(); // → [0, 1.7182818]
 * ```
 */
export const expm1 = (x: Tensor): Tensor => apply(expm1Op, [x], null);

/**
 * √x for x ≥ 0; NaN below. Gradient 1/(2√x), infinite at 0: shift x, sqrt(add(x, 1e-12)), where zeros occur.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await sqrt(tensor([0, 2.25])).data(); // → [0, 1.5]
 * ```
 */
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], null);

/**
 * 1/√x for x > 0; infinite at 0, NaN below. Gradient −½·x^(−3/2).
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await rsqrt(tensor([4, 0.25])).data(); // → [0.5, 2]
 * ```
 */
export const rsqrt = (x: Tensor): Tensor => apply(rsqrtOp, [x], null);

/**
 * Hyperbolic tangent (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ), between −1 and 1. Gradient 1 − tanh² x. WGSL: its own, with |x| cut at 15, where
 * the result is ±1 in f32.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await tanh(tensor([0, 1, 100])).data(); // → [0, 0.7615942, 1]
 * ```
 */
export const tanh = (x: Tensor): Tensor => apply(tanhOp, [x], null);

/**
 * The error function 2/√π·∫₀ˣ e^(−t²) dt, between −1 and 1. Gradient 2/√π·e^(−x²). WGSL: the Maclaurin series for
 * |x| < 0.5, Abramowitz & Stegun 7.1.26 beyond (error ≤ 1.5e-7); the cpu device is exact to f64.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await erf(tensor([0, 1, -1])).data(); // → [0, 0.8427008, -0.8427008]
 * ```
 */
export const erf = (x: Tensor): Tensor => apply(erfOp, [x], null);
