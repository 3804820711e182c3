/**
 * The few operations that change a tensor instead of making one: the AdamW update of a parameter arena and writing
 * rows into a cache. No gradient flows through them, and no gradient may be recording that needs the old values.
 */
import { bufferType, u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import { AutodiffError, DeviceError, ShapeError, ValueError } from "../errors.ts";
import { isRecording, type Op } from "../op.ts";
import { formatShape, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { watched, watchers } from "../watch.ts";

function run<A>(op: Op<A>, inputs: readonly Tensor[], targets: readonly Tensor[], attrs: A): void {
  if (isRecording()) {
    throw new AutodiffError(
      `${op.name} changes tensors in place and can not be part of a differentiated function. Call it after valueAndGrad.`,
    );
  }
  for (const t of [...inputs, ...targets]) {
    t.assertAlive(op.name);
    if (t.device !== targets[0].device)
      throw new DeviceError(`${op.name}: ${t} is on another device than ${targets[0]}. Make both on one.`);
    if (!t.contiguous)
      throw new ShapeError(
        `${op.name}: ${t} is a view with gaps, expected contiguous tensors. Copy it with reshape first.`,
      );
  }
  const check = watchers.size > 0 ? watched(op.name, [...inputs, ...targets], attrs) : undefined;
  if (targets[0].size > 0) targets[0].device.backend.run(op, inputs, targets, attrs);
  check?.(targets);
}

const assignRowsOp: Op<{ width: number }> = {
  name: "assignRows",
  infer: () => [],
  cpu([values, rows], [target], { width }) {
    for (let i = 0; i < rows.shape[0]; i++) {
      const to = target.offset + rows.data[rows.offset + i] * width;
      for (let c = 0; c < width; c++) target.data[to + c] = values.data[values.offset + i * width + c];
    }
  },
  webgpu([values, rows], [target], { width }) {
    return [
      {
        key: `assignRows:${target.dtype}`,
        source: () => ({
          buffers: [
            { name: "values", type: bufferType(target.dtype) },
            { name: "rows", type: "i32" },
            { name: "y", type: bufferType(target.dtype), write: true },
          ],
          params: u32Params("offset", "offsetR", "offsetT", "width"),
          main: "y[p.offsetT + u32(rows[p.offsetR + i / p.width]) * p.width + i % p.width] = values[p.offset + i];",
        }),
        buffers: [values, rows, target],
        params: [values.offset, rows.offset, target.offset, width],
        count: values.size,
      },
    ];
  },
};

/**
 * target[rows[i]] = values[i], in place; rows must differ. For key/value caches.
 *
 * @throws ValueError for a row outside the target or named twice.
 */
export function assignRows(target: Tensor, rows: Int32Array, values: Tensor): void {
  const height = target.shape[0];
  const seen = new Set<number>();
  for (const r of rows) {
    if (r < 0 || r >= height || seen.has(r)) {
      throw new ValueError(
        `assignRows: row ${r} is ${seen.has(r) ? "named twice" : `outside 0 … ${height - 1}`}; name each row of the target at most once.`,
      );
    }
    seen.add(r);
  }
  if (values.dtype !== target.dtype || !sameShape(values.shape, [rows.length, ...target.shape.slice(1)])) {
    throw new ShapeError(
      `assignRows: values are ${values.dtype}${formatShape(values.shape)}, expected ${target.dtype}${formatShape([rows.length, ...target.shape.slice(1)])}.`,
    );
  }
  if (rows.length === 0) return;
  using index = tensor(rows, { device: target.device });
  run(assignRowsOp, [values, index], [target], { width: sizeOf(target.shape.slice(1)) });
}

/** Settings of one AdamW step. */
export interface AdamWSettings {
  /** Learning rate. */
  lr: number;
  /** Decay of the first moment; usually 0.9. */
  beta1: number;
  /** Decay of the second moment; usually 0.95 or 0.999. */
  beta2: number;
  /** Added to the root of the second moment. */
  eps: number;
  /** Decoupled decay of the parameters under the mask. */
  weightDecay: number;
  /** Steps taken, this one included: 1, 2, …. */
  step: number;
}

const adamWOp: Op<AdamWSettings> = {
  name: "adamWStep",
  infer: () => [],
  cpu([grads, mask, scale], [params, m, v], { lr, beta1, beta2, eps, weightDecay, step }) {
    const c = scale.data[scale.offset];
    const [k1, k2] = [1 - beta1 ** step, 1 - beta2 ** step];
    for (let i = 0; i < params.shape[0]; i++) {
      const [ip, im, iv] = [params.offset + i, m.offset + i, v.offset + i];
      const g = grads.data[grads.offset + i] * c;
      m.data[im] = beta1 * m.data[im] + (1 - beta1) * g;
      v.data[iv] = beta2 * v.data[iv] + (1 - beta2) * g * g;
      const decayed = params.data[ip] * (1 - lr * weightDecay * mask.data[mask.offset + i]);
      params.data[ip] = decayed - (lr / k1) * (m.data[im] / (Math.sqrt(v.data[iv]) / Math.sqrt(k2) + eps));
    }
  },
  webgpu([grads, mask, scale], [params, m, v], { lr, beta1, beta2, eps, weightDecay, step }) {
    const floats = ["beta1", "beta2", "rate", "root2", "eps", "decay"].map((name) => ({
      name,
      type: "f32" as const,
    }));
    return [
      {
        key: "adamW",
        source: () => ({
          buffers: [
            ...["grads", "mask", "scale"].map((name) => ({ name, type: "f32" as const })),
            ...["params", "m", "v"].map((name) => ({ name, type: "f32" as const, write: true })),
          ],
          params: [...u32Params("offsetG", "offsetK", "offsetC", "offsetP", "offsetM", "offsetV"), ...floats],
          main: `let g = grads[p.offsetG + i] * scale[p.offsetC];
let m1 = p.beta1 * m[p.offsetM + i] + (1.0 - p.beta1) * g;
let v1 = p.beta2 * v[p.offsetV + i] + (1.0 - p.beta2) * g * g;
m[p.offsetM + i] = m1;
v[p.offsetV + i] = v1;
let decayed = params[p.offsetP + i] * (1.0 - p.decay * mask[p.offsetK + i]);
params[p.offsetP + i] = decayed - p.rate * m1 / (sqrt(v1) * p.root2 + p.eps);`,
        }),
        buffers: [grads, mask, scale, params, m, v],
        params: [
          grads.offset,
          mask.offset,
          scale.offset,
          params.offset,
          m.offset,
          v.offset,
          beta1,
          beta2,
          lr / (1 - beta1 ** step),
          1 / Math.sqrt(1 - beta2 ** step),
          eps,
          lr * weightDecay,
        ],
        count: params.size,
      },
    ];
  },
};

/** The flat tensors [P] of one AdamW step. */
export interface AdamWState {
  params: Tensor;
  grads: Tensor;
  /** First moment. */
  m: Tensor;
  /** Second moment. */
  v: Tensor;
  /** 1 where the parameter decays, 0 where not. */
  decayMask: Tensor;
  /** One number that multiplies the gradients: the clip. */
  clipScale: Tensor;
}

/**
 * One AdamW step in place (arXiv 1711.05101, algorithm 2), one kernel over all parameters:
 * g = scale·grad; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; p = p(1 − lr·λ·mask) − lr·m̂/(√v̂ + ε).
 */
export function adamWStep(state: AdamWState, settings: AdamWSettings): void {
  const { params, grads, m, v, decayMask, clipScale } = state;
  for (const [name, t] of Object.entries({ grads, m, v, decayMask })) {
    if (!sameShape(t.shape, params.shape) || t.rank !== 1 || t.dtype !== params.dtype) {
      throw new ShapeError(
        `adamWStep: ${name} is ${t}, expected ${params.dtype}${formatShape(params.shape)}, one flat arena like params.`,
      );
    }
  }
  if (clipScale.size !== 1 || clipScale.dtype !== params.dtype) {
    throw new ShapeError(`adamWStep: clipScale is ${clipScale}, expected one ${params.dtype} number.`);
  }
  if (!(settings.step >= 1))
    throw new ValueError(`adamWStep: step ${settings.step} must be at least 1; count the step being taken.`);
  run(adamWOp, [grads, decayMask, clipScale], [params, m, v], settings);
}
