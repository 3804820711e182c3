/**
 * Softmax family over the last axis, one invocation per row; other axes are permuted there. Rows are shifted by their
 * maximum first, so nothing overflows.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { computeType, isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import { apply, type Op, type Spec } from "../op.ts";
import { unrecorded } from "../recording.ts";
import { scope } from "../scope.ts";
import { exchange, formatSpec, normalizeAxes, normalizeAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { isFinite, where } from "./logic.ts";
import { exp, log } from "./math.ts";
import { permute, reshape } from "./movement.ts";
import { dropped, max, type ReduceOptions, sum } from "./reduce.ts";
import { Rows } from "./rows-wgsl.ts";

/** Rejects integers and bools; `argument` is the parameter's name. */
export function requireFloat(name: string, x: Spec, argument = "x"): void {
  if (!isFloat(x.dtype))
    throw new DTypeError(
      `${name}: ${argument} is ${formatSpec(x)}, expected a float dtype. Convert it: cast(${argument}, "f32").`,
    );
}

/** A record that maps each row of length n to a row: `row(x, y, start, n)` on the host, `wgsl` on the device, behind `top`. */
function rowwise(
  name: string,
  row: (x: ArrayLike<number>, from: number, y: { [i: number]: number }, to: number, n: number) => void,
  wgsl: (rows: Rows) => string,
  vjp: NonNullable<Op<null>["vjp"]>,
): Op<null> {
  return {
    name,
    infer([x]) {
      requireFloat(name, x);
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    cpu([x], [y]) {
      const n = x.shape[x.shape.length - 1];
      for (let r = 0; r < y.data.length; r += n) row(x.data, x.offset + r, y.data, r, n);
    },
    webgpu([x], [y]) {
      const n = x.shape[x.rank - 1];
      const rows = new Rows(n % 4 === 0 && x.offset % 4 === 0 ? 4 : 1);
      const { type, width } = rows;
      return [
        {
          key: width === 4 ? `${name}:quad` : name,
          source: () => ({
            buffers: [
              { name: "x", type },
              { name: "y", type, write: true },
            ],
            params: u32Params("offset", "q"),
            main: `let q = p.q;
let x0 = p.offset + i * q;
let y0 = i * q;
var top = x[x0]${width === 4 ? ".x" : ""};
${rows.each(`let a = x[x0 + j]; ${rows.highest("top", "a")}`)}
var total = 0.0;
${wgsl(rows)}`,
          }),
          buffers: [x, y],
          params: [x.offset / width, n / width],
          count: x.size / n,
        },
      ];
    },
    vjp,
  };
}

function rowMax(x: ArrayLike<number>, from: number, n: number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < n; j++) top = Math.max(top, x[from + j]);
  return top;
}

/** yⱼ = e^xⱼ / Σ e^x;  dx = y·(dy − Σ y·dy) */
export const softmaxOp = rowwise(
  "softmax",
  (x, from, y, to, n) => {
    const top = rowMax(x, from, n);
    let total = 0;
    for (let j = 0; j < n; j++) total += Math.exp(x[from + j] - top);
    for (let j = 0; j < n; j++) y[to + j] = Math.exp(x[from + j] - top) / total;
  },
  (rows) => `${rows.each(`let e = exp(x[x0 + j] - top); y[y0 + j] = e; ${rows.total("total", "e")}`)}
let scale = 1.0 / total;
${rows.each("y[y0 + j] = y[y0 + j] * scale;")}`,
  ({ outputs: [y] }, [dy]) => [dy && mul(y, sub(dy, sum(mul(y, dy), { axes: -1, keepDims: true })))],
);

/** yⱼ = xⱼ − ln Σ e^x;  dx = dy − e^y·Σ dy */
export const logSoftmaxOp = rowwise(
  "logSoftmax",
  (x, from, y, to, n) => {
    const top = rowMax(x, from, n);
    let total = 0;
    for (let j = 0; j < n; j++) total += Math.exp(x[from + j] - top);
    const shift = top + Math.log(total);
    for (let j = 0; j < n; j++) y[to + j] = x[from + j] - shift;
  },
  (rows) => `${rows.each(`let e = exp(x[x0 + j] - top); ${rows.total("total", "e")}`)}
let shift = top + log(total);
${rows.each("y[y0 + j] = x[x0 + j] - shift;")}`,
  ({ outputs: [y] }, [dy]) => [dy && sub(dy, mul(exp(y), sum(dy, { axes: -1, keepDims: true })))],
);

/** Applies a last-axis record along `axis`. */
function along(op: Op<null>, x: Tensor, axis: number): Tensor {
  requireTensors(op.name, ["x"], [x]);
  const a = normalizeAxis(op.name, axis, x.rank);
  if (a === x.rank - 1) return apply(op, [x], null);
  const swap = exchange(x.rank, a, x.rank - 1);
  return scope(() => permute(apply(op, [permute(x, swap)], null), swap));
}

/**
 * yⱼ = e^xⱼ / Σₖ e^xₖ along `axis` (default −1, the last); the shape stays. Rows are shifted by their maximum first, so
 * large x do not overflow; a row of nothing but −∞ has no maximum to shift by and gives NaN. As PyTorch's
 * `softmax(x, dim)`.
 *
 * @throws AxisError for an axis outside x; DTypeError for integers and bools.
 * @example
 * ```ts
 * await softmax(tensor([0, Math.log(3)])).data(); // → [0.25, 0.75]
 * await softmax(tensor([[1000, 1000], [0, 0]])).data(); // → [0.5, 0.5, 0.5, 0.5]
 * softmax(tensor([1, 2]), 1); // → throws AxisError
 * ```
 */
export function softmax(x: Tensor, axis = -1): Tensor {
  return along(softmaxOp, x, axis);
}

/**
 * yⱼ = xⱼ − ln Σₖ e^xₖ along `axis` (default −1, the last), in nats. Exact where ln(softmax(x)) would be ln 0. As PyTorch's
 * `log_softmax`.
 *
 * @throws AxisError for an axis outside x; DTypeError for integers and bools.
 * @example
 * ```ts
 * await logSoftmax(tensor([0, 0])).data(); // → [-0.6931472, -0.6931472]
 * await logSoftmax(tensor([0, 200])).data(); // → [-200, 0]
 * ```
 */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return along(logSoftmaxOp, x, axis);
}

/**
 * ln Σ eˣ over `axes` (default all), shifted by the maximum so that nothing overflows; `keepDims` keeps them with size 1.
 * As PyTorch's `logsumexp`; the gradient is softmax(x). Where all x are −∞ the result is −∞, with gradient 0.
 *
 * @throws AxisError for an axis outside x or named twice; ShapeError where nothing is left to sum.
 * @example
 * ```ts
 * await logSumExp(tensor([1000, 1000])).item(); // → 1000.6931
 * logSumExp(zeros([2, 3]), { axes: 1, keepDims: true }); // → f32[2, 1]
 * ```
 */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  requireTensors("logSumExp", ["x"], [x]);
  requireOptions("logSumExp", options, ["axes", "keepDims"]);
  const axes = normalizeAxes("logSumExp", options.axes, x.rank);
  return scope(() => {
    // f16 ends at 65,504, which sums soon pass; only the result is rounded to it.
    const wide = cast(x, computeType(x.dtype));
    // The shift cancels, so it needs no gradient. An infinite maximum is the result; shifting by it would make ∞ − ∞.
    const highest = unrecorded(() => max(wide, { axes, keepDims: true }));
    const finite = isFinite(highest);
    const top = where(finite, highest, 0);
    const total = sum(exp(sub(wide, top)), { axes, keepDims: true });
    const y = cast(where(finite, add(log(where(finite, total, 1)), top), highest), x.dtype);
    return options.keepDims ? y : reshape(y, dropped(x.shape, axes));
  });
}
