/**
 * Softmax family over the last axis, one invocation per row; other axes are permuted there. Rows are shifted by their
 * maximum first, so nothing overflows.
 */
import { u32Params } from "../backends/webgpu/kernel.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import { apply, type Op, type Spec } from "../op.ts";
import { scope } from "../scope.ts";
import { normalizeAxes, normalizeAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { exp, log } from "./math.ts";
import { permute, reshape } from "./movement.ts";
import { dropped, max, type ReduceOptions, sum } from "./reduce.ts";

export function requireFloat(name: string, x: Spec): void {
  if (!isFloat(x.dtype))
    throw new DTypeError(
      `${name}: dtype ${x.dtype} is not supported, expected f32 or f64. Convert with cast(x, "f32").`,
    );
}

/** A record that maps each row of length n to a row: `row(x, y, start, n)` on the host, `wgsl` on the device. */
function rowwise(
  name: string,
  row: (x: ArrayLike<number>, from: number, y: { [i: number]: number }, to: number, n: number) => void,
  wgsl: string,
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
      return [
        {
          key: name,
          source: () => ({
            buffers: [
              { name: "x", type: "f32" },
              { name: "y", type: "f32", write: true },
            ],
            params: u32Params("offset", "n"),
            main: `let x0 = p.offset + i * p.n;
let y0 = i * p.n;
var top = x[x0];
for (var j = 1u; j < p.n; j++) { top = max(top, x[x0 + j]); }
${wgsl}`,
          }),
          buffers: [x, y],
          params: [x.offset, n],
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
  `var total = 0.0;
for (var j = 0u; j < p.n; j++) {
  let e = exp(x[x0 + j] - top);
  y[y0 + j] = e;
  total += e;
}
let scale = 1.0 / total;
for (var j = 0u; j < p.n; j++) { y[y0 + j] = y[y0 + j] * scale; }`,
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
  `var total = 0.0;
for (var j = 0u; j < p.n; j++) { total += exp(x[x0 + j] - top); }
let shift = top + log(total);
for (var j = 0u; j < p.n; j++) { y[y0 + j] = x[x0 + j] - shift; }`,
  ({ outputs: [y] }, [dy]) => [dy && sub(dy, mul(exp(y), sum(dy, { axes: -1, keepDims: true })))],
);

/** Applies a last-axis record along `axis`. */
function along(op: Op<null>, x: Tensor, axis: number): Tensor {
  const a = normalizeAxis(op.name, axis, x.rank);
  if (a === x.rank - 1) return apply(op, [x], null);
  const swap = x.shape.map((_, i) => (i === a ? x.rank - 1 : i === x.rank - 1 ? a : i));
  return scope(() => permute(apply(op, [permute(x, swap)], null), swap));
}

/** eˣ normalised to sum 1 along `axis` (default the last). */
export function softmax(x: Tensor, axis = -1): Tensor {
  return along(softmaxOp, x, axis);
}

/** ln softmax(x) along `axis` (default the last), without forming the quotient. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return along(logSoftmaxOp, x, axis);
}

/** ln Σ eˣ over axes (default all), shifted by the maximum. */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = normalizeAxes("logSumExp", options.axes, x.rank);
  return scope(() => {
    const top = max(x, { axes, keepDims: true });
    const y = add(log(sum(exp(sub(x, top)), { axes, keepDims: true })), top);
    return options.keepDims ? y : reshape(y, dropped(x.shape, axes));
  });
}
