/**
 * sin and cos, of angles in radians, with kernels of our own: WGSL's are too loose (docs/numerics.md).
 */
import { apply } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { neg } from "./arithmetic.ts";
import { unary } from "./math.ts";

/**
 * (sin x, cos x) in WGSL to about 1e-7 for |x| up to 10⁴. NOTE: WGSL's own are only promised to 2⁻¹¹, and SwiftShader's
 * are wrong by 2e-4. The quarter turns are taken off with π/2 split in three, then Cephes' polynomials (sinf.c,
 * S. Moshier) serve |r| ≤ π/4.
 */
export const sinCosWgsl = `fn sinCos(x: f32) -> vec2<f32> {
  let turns = round(x * 0.63661977);
  let rest = ((x - turns * 1.5703125) - turns * 4.837513e-4) - turns * 7.54979e-8;
  // Far beyond 10⁴ nothing of the angle is left; the answer still lies between −1 and 1.
  let r = select(rest, 0.0, abs(rest) > 1.0);
  let q = r * r;
  let s = r + r * q * (-0.16666654611 + q * (8.3321608736e-3 - q * 1.9515295891e-4));
  let c = 1.0 - 0.5 * q + q * q * (4.166664568298827e-2 + q * (-1.388731625493765e-3 + q * 2.443315711809948e-5));
  let quarter = i32(turns) & 3;
  let swapped = select(vec2<f32>(s, c), vec2<f32>(c, s), (quarter & 1) == 1);
  return swapped * vec2<f32>(select(1.0, -1.0, quarter >= 2), select(1.0, -1.0, quarter == 1 || quarter == 2));
}`;

/** d/dx sin x = cos x */
export const sinOp = unary({
  name: "sin",
  cpu: Math.sin,
  wgsl: (x) => `sinCos(${x}).x`,
  helpers: sinCosWgsl,
  domain: { low: -3.1, high: 3.1 },
  slope: (x) => cos(x),
});
/** d/dx cos x = −sin x */
export const cosOp = unary({
  name: "cos",
  cpu: Math.cos,
  wgsl: (x) => `sinCos(${x}).y`,
  helpers: sinCosWgsl,
  domain: { low: -3.1, high: 3.1 },
  slope: (x) => neg(sin(x)),
});

/**
 * Sine of x in radians. Gradient cos x. WGSL: Cephes' sinf after taking quarter turns off, to about 1e-7 for |x| ≤ 10⁴.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await sin(tensor([0, Math.PI / 2])).data(); // → [0, 1]
 * ```
 */
export const sin = (x: Tensor): Tensor => apply(sinOp, [x], null);

/**
 * Cosine of x in radians. Gradient −sin x. WGSL: as `sin`.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * await cos(tensor([0, Math.PI])).data(); // → [1, -1]
 * ```
 */
export const cos = (x: Tensor): Tensor => apply(cosOp, [x], null);
