/**
 * Activations of neural networks: sigmoid, softplus, relu, SiLU and GELU, with their slopes as kernels of their own where
 * the backward pass would otherwise take several. Records first, then the functions.
 */
import { describe, requireOptions, requireTensors } from "../arguments.ts";
import { ValueError } from "../errors.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { add, mul, neg, square, sub } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { greater } from "./logic.ts";
import { erf, log1pWgsl, tanh, unary } from "./math.ts";
import { requireFloat } from "./softmax.ts";

const wide = { low: -4, high: 4 };

/** σ(x) = 1/(1 + e⁻ˣ);  σ′ = σ(1 − σ) */
export const sigmoidOp = unary({
  name: "sigmoid",
  cpu: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  wgsl: (x) => `(1.0 / (1.0 + exp(-clamp(${x}, -80.0, 80.0))))`,
  domain: wide,
  slope: (_x, y) => mul(y, sub(1, y)),
});
/** ln(1 + eˣ), computed as max(x, 0) + ln(1 + e^−|x|);  slope σ(x) */
export const softplusOp = unary({
  name: "softplus",
  cpu: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  wgsl: (x) => `(max(${x}, 0.0) + log1p(exp(-abs(${x}))))`,
  helpers: log1pWgsl,
  domain: wide,
  slope: (x) => sigmoid(x),
});
/** max(x, 0);  slope 1 for x > 0, 0 at x = 0 as in PyTorch */
export const reluOp = unary({
  name: "relu",
  cpu: (x) => Math.max(x, 0),
  wgsl: (x) => `max(${x}, 0.0)`,
  domain: { ...wide, kinks: [0] },
  slope: (x) => cast(greater(x, 0), x.dtype),
});
/** x·σ(x) (SiLU, arXiv 1702.03118);  slope σ + x·σ(1 − σ) */
export const siluOp = unary({
  name: "silu",
  cpu: (x) => (x >= 0 ? x / (1 + Math.exp(-x)) : (x * Math.exp(x)) / (1 + Math.exp(x))),
  wgsl: (x) => `(${x} / (1.0 + exp(-clamp(${x}, -80.0, 80.0))))`,
  domain: wide,
  slope: (x) => apply(siluSlopeOp, [x], null),
});
/** s(x) = σ + x·σ(1 − σ), one kernel for the backward pass of silu;  s′ = σ(1 − σ)(2 + x(1 − 2σ)) */
export const siluSlopeOp = unary({
  name: "siluSlope",
  cpu: (x) => {
    const s = x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
    return s * (1 + x * (1 - s));
  },
  wgsl: (x) => `siluSlope(${x})`,
  helpers: `fn siluSlope(x: f32) -> f32 {
  let s = 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
  return s * (1.0 + x * (1.0 - s));
}`,
  domain: wide,
  slope: (x) => {
    const s = sigmoid(x);
    return mul(mul(s, sub(1, s)), add(2, mul(x, sub(1, mul(s, 2)))));
  },
});

const rootTwoOverPi = Math.sqrt(2 / Math.PI);
/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (GELU's tanh form, arXiv 1606.08415 §2) */
export const geluTanhOp = unary({
  name: "geluTanh",
  cpu: (x) => 0.5 * x * (1 + Math.tanh(rootTwoOverPi * (x + 0.044715 * x ** 3))),
  wgsl: (x) =>
    `(0.5 * ${x} * (1.0 + tanh(clamp(${rootTwoOverPi} * (${x} + 0.044715 * ${x} * ${x} * ${x}), -15.0, 15.0))))`,
  domain: wide,
  slope: (x) => apply(geluTanhSlopeOp, [x], null),
});
/** g(x) = ½(1 + t) + ½x(1 − t²)u′ with t = tanh u, u = √(2/π)(x + 0.044715x³): the slope of geluTanh in one kernel */
export const geluTanhSlopeOp = unary({
  name: "geluTanhSlope",
  cpu: (x) => {
    const t = Math.tanh(rootTwoOverPi * (x + 0.044715 * x ** 3));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * rootTwoOverPi * (1 + 3 * 0.044715 * x * x);
  },
  wgsl: (x) => `geluTanhSlope(${x})`,
  helpers: `fn geluTanhSlope(x: f32) -> f32 {
  let t = tanh(clamp(${rootTwoOverPi} * (x + 0.044715 * x * x * x), -15.0, 15.0));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * ${rootTwoOverPi} * (1.0 + 0.134145 * x * x);
}`,
  domain: wide,
  slope: (x) => {
    const t = tanh(mul(rootTwoOverPi, add(x, mul(0.044715, mul(x, square(x))))));
    const du = mul(rootTwoOverPi, add(1, mul(3 * 0.044715, square(x))));
    const ddu = mul(6 * 0.044715 * rootTwoOverPi, x);
    const s = sub(1, square(t));
    // g′ = s·u′ + ½x(s·u″ − 2t·s·u′²)
    return add(mul(s, du), mul(mul(0.5, x), sub(mul(s, ddu), mul(mul(2, t), mul(s, square(du))))));
  },
});
/**
 * 1/(1 + e⁻ˣ), between 0 and 1, written so that neither side overflows. Gradient σ(1 − σ).
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await sigmoid(tensor([0, 1000, -1000])).data(); // → [0.5, 1, 0]
 * ```
 */
export const sigmoid = (x: Tensor): Tensor => apply(sigmoidOp, [x], null);

/**
 * ln(1 + eˣ), computed as max(x, 0) + ln(1 + e^−|x|) so that nothing overflows. Gradient σ(x).
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await softplus(tensor([0, 1000])).data(); // → [0.6931472, 1000]
 * ```
 */
export const softplus = (x: Tensor): Tensor => apply(softplusOp, [x], null);

/**
 * ln σ(x) = −softplus(−x): finite where ln(sigmoid(x)) is ln 0. Gradient σ(−x). As PyTorch's `logsigmoid`.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await logSigmoid(tensor([0, -1000])).data(); // → [-0.6931472, -1000]
 * ```
 */
export function logSigmoid(x: Tensor): Tensor {
  requireTensors("logSigmoid", ["x"], [x]);
  requireFloat("logSigmoid", x);
  return scope(() => neg(softplus(neg(x))));
}

/**
 * max(x, 0). Gradient 1 for x > 0 and 0 elsewhere, at 0 too, as in PyTorch.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await relu(tensor([-1, 0, 2])).data(); // → [0, 0, 2]
 * await grad((x: Tensor) => sum(relu(x)))(tensor([-1, 0, 2])).data(); // → [0, 0, 1]
 * ```
 */
export const relu = (x: Tensor): Tensor => apply(reluOp, [x], null);

/**
 * x·σ(x): SiLU (arXiv 1702.03118), also called swish. Gradient σ + x·σ(1 − σ).
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await silu(tensor([0, 1])).data(); // → [0, 0.7310586]
 * ```
 */
export const silu = (x: Tensor): Tensor => apply(siluOp, [x], null);

/**
 * GELU (arXiv 1606.08415): x·Φ(x) = ½x(1 + erf(x/√2)) with `approximate: "none"`, the default; with `"tanh"`
 * ½x(1 + tanh(√(2/π)(x + 0.044715x³))), GPT-2's. Gradient Φ(x) + x·φ(x), or that of the tanh form.
 *
 * @throws DTypeError for integers and bools; ValueError for another `approximate`.
 * @example
 * ```ts
 * await gelu(tensor([0, 1])).data(); // → [0, 0.8413447]
 * await gelu(tensor([0, 1]), { approximate: "tanh" }).data(); // → [0, 0.841192]
 * ```
 */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" } = {}): Tensor {
  requireTensors("gelu", ["x"], [x]);
  requireOptions("gelu", options, ["approximate"]);
  requireFloat("gelu", x);
  const approximate = options.approximate ?? "none";
  if (approximate === "tanh") return apply(geluTanhOp, [x], null);
  if (approximate !== "none") {
    throw new ValueError(
      `gelu: approximate is ${describe(approximate)}, expected "none" or "tanh". Pass { approximate: "tanh" }.`,
    );
  }
  return scope(() => mul(mul(x, 0.5), add(1, erf(mul(x, Math.SQRT1_2)))));
}
