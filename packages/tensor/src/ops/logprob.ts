/**
 * Log-probability of chosen ids under logits, fused: neither the softmax nor the log-softmax of [.., V] is stored
 * forward, and the backward pass writes the logits' gradient in one kernel.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { vjp } from "../autodiff.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { computeType } from "../dtype.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, applyAll, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, normalizeAxis, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { mul, neg } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { gather } from "./gather.ts";
import { isFinite, where } from "./logic.ts";
import { exp } from "./math.ts";
import { squeeze, unsqueeze } from "./movement.ts";
import { sum } from "./reduce.ts";
import { logSoftmax, requireFloat } from "./softmax.ts";

interface LogProbAttrs {
  temperature: number;
}

/** log softmax(logits/T)[ids], composed: the definition that the fused record is tested against. */
export function composedLogProb(logits: Tensor, ids: Tensor, temperature: number): Tensor {
  return squeeze(
    gather(logSoftmax(mul(logits, 1 / temperature)), logits.rank - 1, unsqueeze(ids, ids.rank)),
    -1,
  );
}

/** y = x_id/T − ln Σ e^(x/T), and that logarithm;  dx = dy/T·(onehot(id) − e^(x/T − ln Σ)) */
export const logProbOp: Op<LogProbAttrs> = {
  name: "logProbGather",
  arguments: ["logits", "ids"],
  infer([x, ids]) {
    requireFloat("logProbGather", x, "logits");
    if (ids.dtype !== "i32")
      throw new DTypeError(
        `logProbGather: ids is ${formatSpec(ids)}, expected i32. Convert it: cast(ids, "i32").`,
      );
    if (!sameShape(ids.shape, x.shape.slice(0, -1))) {
      throw new ShapeError(
        `logProbGather: logits is ${formatShape(x.shape)}, ids is ${formatShape(ids.shape)}; expected ids ${formatShape(x.shape.slice(0, -1))}, logits without ` +
          `the vocabulary axis. Bring it there: reshape(ids, ${formatShape(x.shape.slice(0, -1))}).`,
      );
    }
    if (x.shape[x.shape.length - 1] === 0)
      throw new ShapeError(
        `logProbGather: logits is ${formatShape(x.shape)}, expected a last axis [..., V] with at least one entry. Make them with a model whose V > 0: linear(x, weight).`,
      );
    return [
      { shape: ids.shape, dtype: x.dtype },
      { shape: ids.shape, dtype: x.dtype },
    ];
  },
  cpu([x, ids], [y, lse], { temperature }) {
    const n = x.shape[x.shape.length - 1];
    for (let r = 0; r < y.data.length; r++) {
      const from = x.offset + r * n;
      let top = Number.NEGATIVE_INFINITY;
      for (let j = 0; j < n; j++) top = Math.max(top, x.data[from + j] / temperature);
      let total = 0;
      for (let j = 0; j < n; j++) total += Math.exp(x.data[from + j] / temperature - top);
      lse.data[r] = top + Math.log(total);
      const id = ids.data[ids.offset + r];
      if (id < 0 || id >= n) {
        throw new ValueError(
          `logProbGather: ids holds ${id} at position ${r}, expected 0 … ${n - 1} for logits ${formatShape(x.shape)}. ` +
            "Mask what does not count: where(mask, ids, 0).",
        );
      }
      y.data[r] = x.data[from + id] / temperature - top - Math.log(total);
    }
  },
  webgpu([x, ids], [y, lse], { temperature }) {
    const n = x.shape[x.rank - 1];
    return [
      {
        key: "logProb",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "ids", type: "i32" },
            { name: "y", type: "f32", write: true },
            { name: "lse", type: "f32", write: true },
          ],
          params: [...u32Params("offset", "offsetI", "n"), { name: "scale", type: "f32" }],
          main: `let x0 = p.offset + i * p.n;
var top = x[x0] * p.scale;
for (var j = 1u; j < p.n; j++) { top = max(top, x[x0 + j] * p.scale); }
var total = 0.0;
for (var j = 0u; j < p.n; j++) { total += exp(x[x0 + j] * p.scale - top); }
let logTotal = log(total);
lse[i] = top + logTotal;
y[i] = x[x0 + u32(ids[p.offsetI + i])] * p.scale - top - logTotal;`,
        }),
        buffers: [x, ids, y, lse],
        params: [x.offset, ids.offset, n, 1 / temperature],
        count: y.size,
      },
    ];
  },
  vjp({ inputs: [x, ids], outputs: [, lse], attrs }, [dy]) {
    return [dy && apply(logProbBackwardOp, [x, ids, lse, dy], attrs), null];
  },
};

/** dx = dy/T·(onehot(id) − e^(x/T − lse)); differentiated again through the composed definition. */
const logProbBackwardOp: Op<LogProbAttrs> = {
  name: "logProbBackward",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  cpu([x, ids, lse, dy], [dx], { temperature }) {
    const n = x.shape[x.shape.length - 1];
    for (let r = 0; r < lse.shape.reduce((a, b) => a * b, 1); r++) {
      const scale = dy.data[dy.offset + r] / temperature;
      const id = ids.data[ids.offset + r];
      for (let j = 0; j < n; j++) {
        const q = Math.exp(x.data[x.offset + r * n + j] / temperature - lse.data[lse.offset + r]);
        dx.data[r * n + j] = scale * ((j === id ? 1 : 0) - q);
      }
    }
  },
  webgpu([x, ids, lse, dy], [dx], { temperature }) {
    const n = x.shape[x.rank - 1];
    // Four neighbours of a row at once: software adapters divide integers one lane at a time.
    const quad = n % 4 === 0 && x.offset % 4 === 0;
    const [type, width] = quad ? (["vec4<f32>", 4] as const) : (["f32", 1] as const);
    return [
      {
        key: `logProbBackward${quad ? ":quad" : ""}`,
        source: () => ({
          buffers: [
            { name: "x", type },
            { name: "ids", type: "i32" },
            { name: "lse", type: "f32" },
            { name: "dy", type: "f32" },
            { name: "dx", type, write: true },
          ],
          params: [
            ...u32Params("offset", "offsetI", "offsetL", "offsetD", "n"),
            { name: "scale", type: "f32" },
          ],
          main: `let row = i / p.n;
let j = ${quad ? "vec4<u32>(i - row * p.n) * 4u + vec4<u32>(0u, 1u, 2u, 3u)" : "i - row * p.n"};
let chosen = select(${type}(), ${type}(1.0), ${quad ? "vec4<u32>" : ""}(u32(ids[p.offsetI + row])) == j);
let q = exp(x[p.offset + i] * p.scale - lse[p.offsetL + row]);
dx[i] = dy[p.offsetD + row] * p.scale * (chosen - q);`,
        }),
        buffers: [x, ids, lse, dy, dx],
        params: [x.offset / width, ids.offset, lse.offset, dy.offset, n / width, 1 / temperature],
        count: x.size / width,
      },
    ];
  },
  vjp({ inputs: [x, ids, , dy], attrs }, dys) {
    const backward = (x: Tensor, dy: Tensor) => [
      vjp((x) => [composedLogProb(x, ids, attrs.temperature)], [x], [dy]).grads[0],
    ];
    const [gx, gdy] = vjp(backward, [x, dy], dys).grads;
    return [gx, null, null, gdy];
  },
};

/**
 * ln softmax(logits/temperature)[id], in nats: logits [..., V], ids [...] i32 → [...], V the vocabulary. `temperature` is 1
 * by default. Nothing of the logits' size is stored forward.
 *
 * NOTE: an id outside [0, V) is an error on the cpu device and not checked on webgpu; build ids from a tokenizer of the
 * same vocabulary.
 *
 * @throws ShapeError for ids of another shape; DTypeError for ids that are not i32; ValueError for a temperature that is
 * not above 0, or an id outside [0, V) on cpu.
 * @example
 * ```ts
 * const logits = tensor([[0, Math.log(3)]]); // [1, V 2]
 * await logProbGather(logits, tensor(Int32Array.of(1))).data(); // → [-0.2876821]
 * logProbGather(logits, tensor(Int32Array.of(2))); // → throws ValueError
 * ```
 */
export function logProbGather(logits: Tensor, ids: Tensor, options: { temperature?: number } = {}): Tensor {
  requireOptions("logProbGather", options, ["temperature"]);
  const temperature = options.temperature ?? 1;
  if (!(temperature > 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw new ValueError(
      `logProbGather: temperature is ${temperature}, expected a finite number above 0. Pass { temperature: 1 }.`,
    );
  }
  return scope(() => applyAll(logProbOp, [logits, ids], { temperature })[0]);
}

/**
 * Entropy −Σⱼ pⱼ ln pⱼ with p = softmax(logits) over the last axis, in nats: [..., V] → [...]. Between 0 and ln V. Entries of
 * −∞ (masked) add 0 and get gradient 0.
 *
 * @throws DTypeError for integers and bools; AxisError for a scalar.
 * @example
 * ```ts
 * await entropy(tensor([[0, 0], [0, 50]])).data(); // → [0.6931472, 0]
 * ```
 */
export function entropy(logits: Tensor): Tensor {
  requireTensors("entropy", ["logits"], [logits]);
  requireFloat("entropy", logits, "logits");
  normalizeAxis("entropy", -1, logits.rank);
  return scope(() => {
    const dtype = computeType(logits.dtype);
    const logs = logSoftmax(cast(logits, dtype));
    // A masked entry adds 0: 0·−∞ would be NaN.
    const finite = where(isFinite(logs), logs, 0);
    return cast(neg(sum(mul(exp(logs), finite), { axes: -1 })), logits.dtype);
  });
}
