/**
 * Layer normalisation and root-mean-square normalisation over the last axis (arXiv 1607.06450, arXiv 1910.07467), fused:
 * one kernel forward, one backward. Second derivatives go through the composed definitions below.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { vjp } from "../autodiff.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, div, mul, square, sub } from "./arithmetic.ts";
import { rsqrt } from "./math.ts";
import { sum } from "./reduce.ts";
import { requireFloat } from "./softmax.ts";

interface NormAttrs {
  eps: number;
  /** Subtract the mean (layer norm) or not (RMS norm). */
  centred: boolean;
}

const names = ["x", "weight", "bias"];

const lastMean = (x: Tensor) => div(sum(x, { axes: -1, keepDims: true }), x.shape[x.rank - 1]);

/** x̂ = (x − mean)·rsqrt(var + eps), or x·rsqrt(mean x² + eps): the definition that the fused records are tested against. */
export function composedNormalize(x: Tensor, { eps, centred }: NormAttrs): Tensor {
  const shifted = centred ? sub(x, lastMean(x)) : x;
  return mul(shifted, rsqrt(add(lastMean(square(shifted)), eps)));
}

/** Shared by both kernels: mean `m` and scale `r` of the row at x0. */
const statistics = `var m = 0.0;
if (p.centred == 1u) {
  for (var j = 0u; j < p.n; j++) { m += x[x0 + j]; }
  m = m / f32(p.n);
}
var v = 0.0;
for (var j = 0u; j < p.n; j++) { let c = x[x0 + j] - m; v += c * c; }
let r = inverseSqrt(v / f32(p.n) + p.eps);`;

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

const normParams = [...u32Params("offset", "offsetW", "n", "centred"), { name: "eps", type: "f32" as const }];

/** y = x̂·w;  backward: normBackwardOp */
export const normOp: Op<NormAttrs> = {
  name: "norm",
  infer([x, w], { centred }) {
    const name = centred ? "layerNorm" : "rmsNorm";
    requireFloat(name, x);
    if (w.dtype !== x.dtype) {
      throw new DTypeError(
        `${name}: x is ${formatSpec(x)}, weight is ${formatSpec(w)}; expected one dtype. Convert it: cast(weight, "${x.dtype}").`,
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
  cpu([x, w], [y], attrs) {
    const n = w.shape[0];
    for (let i = 0; i < y.data.length; i += n) {
      const [m, r] = hostStatistics(x.data, x.offset + i, n, attrs);
      for (let j = 0; j < n; j++) y.data[i + j] = (x.data[x.offset + i + j] - m) * r * w.data[w.offset + j];
    }
  },
  webgpu([x, w], [y], attrs) {
    return [
      normCall(
        "norm",
        [x, w, y],
        1,
        x,
        w,
        attrs,
        `for (var j = 0u; j < p.n; j++) { put(i * p.n + j, (x[x0 + j] - m) * r * w[p.offsetW + j]); }`,
        ["x", "w", "y"],
      ),
    ];
  },
  vjp({ inputs: [x, w], attrs, needs }, [dy]) {
    if (!dy) return [null, null];
    const [dx, dw] = applyAll(normBackwardOp, [x, w, dy], attrs);
    return [needs[0] ? dx : null, needs[1] ? dw : null];
  },
};

/**
 * With g = w·dy: dx = r·(g − mean(g·x̂)·x̂ − [centred] mean(g)). The second output is dy·x̂, whose sum over rows is dw.
 */
const normBackwardOp: Op<NormAttrs> = {
  name: "normBackward",
  infer: ([x]) => [
    { shape: x.shape, dtype: x.dtype },
    { shape: x.shape, dtype: x.dtype },
  ],
  cpu([x, w, dy], [dx, dwRows], attrs) {
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
        dwRows.data[i + j] = d * xhat;
      }
    }
  },
  webgpu([x, w, dy], [dx, dwRows], attrs) {
    return [
      normCall(
        "normBackward",
        [x, w, dy, dx, dwRows],
        2,
        x,
        w,
        attrs,
        `var meanG = 0.0;
var meanGX = 0.0;
let d0 = p.offsetD + i * p.n;
for (var j = 0u; j < p.n; j++) {
  let g = w[p.offsetW + j] * dy[d0 + j];
  meanG += g;
  meanGX += g * (x[x0 + j] - m) * r;
}
meanG = select(0.0, meanG / f32(p.n), p.centred == 1u);
meanGX = meanGX / f32(p.n);
for (var j = 0u; j < p.n; j++) {
  let xhat = (x[x0 + j] - m) * r;
  dx[i * p.n + j] = r * (w[p.offsetW + j] * dy[d0 + j] - meanGX * xhat - meanG);
  dwRows[i * p.n + j] = dy[d0 + j] * xhat;
}`,
        ["x", "w", "dy", "dx", "dwRows"],
        dy.offset,
      ),
    ];
  },
  vjp({ inputs: [x, w, dy], attrs }, dys) {
    const composed = (x: Tensor, w: Tensor, dy: Tensor) => {
      const rows = (w: Tensor) => vjp((x) => [mul(composedNormalize(x, attrs), w)], [x], [dy]).grads[0];
      return [rows(w), mul(dy, composedNormalize(x, attrs))];
    };
    return vjp(composed, [x, w, dy], dys).grads;
  },
};

function normCall(
  key: string,
  buffers: readonly Tensor[],
  writes: number,
  x: Tensor,
  w: Tensor,
  attrs: NormAttrs,
  main: string,
  names: readonly string[],
  offsetD?: number,
): KernelCall {
  return {
    key,
    source: () => ({
      buffers: names.map((name, k) => ({ name, type: "f32" as const, write: k >= names.length - writes })),
      params: offsetD === undefined ? normParams : [...normParams, ...u32Params("offsetD")],
      put: writes === 1 ? "fn put(at: u32, value: f32) { y[at] = value; }" : undefined,
      main: `let x0 = p.offset + i * p.n;\n${statistics}\n${main}`,
    }),
    buffers,
    params: [
      x.offset,
      w.offset,
      w.size,
      attrs.centred ? 1 : 0,
      attrs.eps,
      ...(offsetD === undefined ? [] : [offsetD]),
    ],
    count: x.size / w.size,
  };
}

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
  return scope(() => {
    const y = apply(normOp, [x, weight], { eps, centred: true });
    return bias ? add(y, bias) : y;
  });
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
