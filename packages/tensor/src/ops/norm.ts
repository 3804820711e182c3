/**
 * Layer normalisation and root-mean-square normalisation over the last axis (arXiv 1607.06450, arXiv 1910.07467), fused:
 * one kernel forward, one backward (norm-wgsl.ts). Second derivatives go through the composed definitions below.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { vjp } from "../autodiff.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type HostView, type Op } from "../op.ts";
import { formatShape, formatSpec, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, div, mul, square, sub } from "./arithmetic.ts";
import { rsqrt } from "./math.ts";
import { type NormAttrs, normBackwardCall, normCall } from "./norm-wgsl.ts";
import { sum } from "./reduce.ts";
import { requireFloat } from "./softmax.ts";

const names = ["x", "weight", "bias"];

const lastMean = (x: Tensor) => div(sum(x, { axes: -1, keepDims: true }), x.shape[x.rank - 1]);

/** x̂ = (x − mean)·rsqrt(var + eps), or x·rsqrt(mean x² + eps): the definition that the fused records are tested against. */
export function composedNormalize(x: Tensor, { eps, centred }: NormAttrs): Tensor {
  const shifted = centred ? sub(x, lastMean(x)) : x;
  return mul(shifted, rsqrt(add(lastMean(square(shifted)), eps)));
}

function hostStatistics(
  x: ArrayLike<number>,
  from: number,
  n: number,
  { eps, centred }: NormAttrs,
): [number, number] {
  let m = 0;
  if (centred) {
    for (let j = 0; j < n; j++) m += x[from + j];
    m /= n;
  }
  let v = 0;
  for (let j = 0; j < n; j++) v += (x[from + j] - m) ** 2;
  return [m, 1 / Math.sqrt(v / n + eps)];
}

/** y = x̂·w + b of each row, on the host. Rounded before b is added, as by an operation of its own. */
export function hostNorm([x, w, b]: readonly HostView[], y: HostView, attrs: NormAttrs): void {
  const n = w.shape[0];
  for (let i = 0; i < y.data.length; i += n) {
    const [m, r] = hostStatistics(x.data, x.offset + i, n, attrs);
    for (let j = 0; j < n; j++) {
      y.data[i + j] = (x.data[x.offset + i + j] - m) * r * w.data[w.offset + j];
      if (b) y.data[i + j] += b.data[b.offset + j];
    }
  }
}

/** y = x̂·w, + b if there is a third input;  backward: normBackwardOp, and db = dy */
export const normOp: Op<NormAttrs> = {
  name: "norm",
  infer([x, w, b], { centred }) {
    const name = centred ? "layerNorm" : "rmsNorm";
    requireFloat(name, x);
    for (const [argument, given] of Object.entries({ weight: w, bias: b })) {
      if (!given || given.dtype === x.dtype) continue;
      throw new DTypeError(
        `${name}: x is ${formatSpec(x)}, ${argument} is ${formatSpec(given)}; expected one dtype. Convert it: cast(${argument}, "${x.dtype}").`,
      );
    }
    if (x.shape.length === 0)
      throw new ShapeError(
        `${name}: x is a scalar (shape []), expected a last axis to normalise over. Give it one: reshape(x, [1]).`,
      );
    const width = x.shape.slice(-1);
    if (!sameShape(w.shape, width)) {
      throw new ShapeError(
        `${name}: weight is ${formatShape(w.shape)}, expected ${formatShape(width)} for x ${formatShape(x.shape)}: one factor per entry ` +
          `of its last axis. Make one: ones(${formatShape(width)}).`,
      );
    }
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  cpu: (inputs, [y], attrs) => hostNorm(inputs, y, attrs),
  webgpu: ([x, w, b], [y], attrs) => [normCall(x, w, b, y, attrs)],
  vjp({ inputs: [x, w, b], attrs, needs }, [dy]) {
    if (!dy) return [null, null, null];
    const [dx, dw] = needs[0] || needs[1] ? applyAll(normBackwardOp, [x, w, dy], attrs) : [null, null];
    return [needs[0] ? dx : null, needs[1] ? dw : null, b && needs[2] ? dy : null];
  },
};

/**
 * With g = w·dy: dx = r·(g − mean(g·x̂)·x̂ − [centred] mean(g)). The second output is dy·x̂, whose sum over rows is dw. A fourth
 * input, which recordings give (fusion/residual.ts), is what comes to x past the norm, and is added to dx.
 */
export const normBackwardOp: Op<NormAttrs> = {
  name: "normBackward",
  infer: ([x]) => [
    { shape: x.shape, dtype: x.dtype },
    { shape: x.shape, dtype: x.dtype },
  ],
  cpu([x, w, dy, past], [dx, dwRows], attrs) {
    const n = w.shape[0];
    for (let i = 0; i < dx.data.length; i += n) {
      const [m, r] = hostStatistics(x.data, x.offset + i, n, attrs);
      let meanG = 0;
      let meanGX = 0;
      for (let j = 0; j < n; j++) {
        const g = w.data[w.offset + j] * dy.data[dy.offset + i + j];
        meanG += g / n;
        meanGX += (g * (x.data[x.offset + i + j] - m) * r) / n;
      }
      for (let j = 0; j < n; j++) {
        const xhat = (x.data[x.offset + i + j] - m) * r;
        const d = dy.data[dy.offset + i + j];
        dx.data[i + j] = r * (w.data[w.offset + j] * d - meanGX * xhat - (attrs.centred ? meanG : 0));
        if (past) dx.data[i + j] += past.data[past.offset + i + j];
        dwRows.data[i + j] = d * xhat;
      }
    }
  },
  webgpu: (inputs, outputs, attrs) => [normBackwardCall(inputs, outputs, attrs)],
  vjp({ inputs: [x, w, dy], attrs }, dys) {
    const composed = (x: Tensor, w: Tensor, dy: Tensor) => {
      const rows = (w: Tensor) => vjp((x) => [mul(composedNormalize(x, attrs), w)], [x], [dy]).grads[0];
      return [rows(w), mul(dy, composedNormalize(x, attrs))];
    };
    return vjp(composed, [x, w, dy], dys).grads;
  },
};

/**
 * Settings of the norms.
 *
 * @example
 * ```ts
 * const options: NormOptions = { eps: 0 };
 * await rmsNorm(tensor([3, 4]), ones([2]), options).data(); // → [0.8485281, 1.1313708]
 * ```
 */
export interface NormOptions {
  /** Added to the variance or mean square under the root; default 1e-5 (layerNorm), 1e-6 (rmsNorm). */
  eps?: number;
}

function epsOf(name: string, options: NormOptions, standard: number): number {
  requireOptions(name, options, ["eps"]);
  const eps = options.eps ?? standard;
  if (!(eps >= 0 && eps < Number.POSITIVE_INFINITY))
    throw new ValueError(
      `${name}: eps is ${eps}, expected a finite number of at least 0. Pass { eps: ${standard} }.`,
    );
  return eps;
}

/**
 * y = (x − mean)/√(var + eps)·weight + bias over the last axis: x [..., C], weight and bias [C] → [..., C]. var is the
 * population variance (divided by C), `eps` 1e-5 by default, as PyTorch's `layer_norm` (arXiv 1607.06450 eq. 3). Pass
 * `undefined` for no bias.
 *
 * @throws ShapeError if weight or bias are not [C]; DTypeError for two dtypes; ValueError for an eps below 0.
 * @example
 * ```ts
 * await layerNorm(tensor([[1, 3]]), ones([2]), zeros([2]), { eps: 0 }).data(); // → [-1, 1]
 * layerNorm(zeros([2, 3]), ones([2])); // → throws ShapeError
 * ```
 */
export function layerNorm(x: Tensor, weight: Tensor, bias?: Tensor, options: NormOptions = {}): Tensor {
  const eps = epsOf("layerNorm", options, 1e-5);
  requireTensors("layerNorm", names, bias === undefined ? [x, weight] : [x, weight, bias]);
  if (bias && !sameShape(bias.shape, x.shape.slice(-1))) {
    throw new ShapeError(
      `layerNorm: bias is ${formatShape(bias.shape)}, expected ${formatShape(x.shape.slice(-1))} for x ${formatShape(x.shape)}. ` +
        `Make one: zeros(${formatShape(x.shape.slice(-1))}).`,
    );
  }
  return apply(normOp, bias ? [x, weight, bias] : [x, weight], { eps, centred: true });
}

/**
 * y = x/√(mean x² + eps)·weight over the last axis: x [..., C], weight [C] → [..., C] (arXiv 1910.07467 eq. 4). `eps` is
 * 1e-6 by default, as in Hugging Face's Qwen3.
 *
 * @throws ShapeError if weight is not [C]; DTypeError for two dtypes; ValueError for an eps below 0.
 * @example
 * ```ts
 * await rmsNorm(tensor([[3, 4]]), tensor([1, 2]), { eps: 0 }).data(); // → [0.8485281, 2.2627417]
 * ```
 */
export function rmsNorm(x: Tensor, weight: Tensor, options: NormOptions = {}): Tensor {
  const eps = epsOf("rmsNorm", options, 1e-6);
  requireTensors("rmsNorm", names, [x, weight]);
  return apply(normOp, [x, weight], { eps, centred: false });
}
