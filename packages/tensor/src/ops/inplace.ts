/**
 * The few operations that change a tensor instead of making one: the AdamW update of a parameter arena and writing
 * rows into a cache (SGD's update is in sgd.ts). No gradient flows through them, and no gradient may be recording that needs the old values.
 */
import { describe, requireTensors } from "../arguments.ts";
import { bufferType, u32Params } from "../backends/webgpu/kernel.ts";
import { tensor } from "../create.ts";
import { AutodiffError, DTypeError, ShapeError, ValueError } from "../errors.ts";
import { derived, LiveScalar, valueOf } from "../live.ts";
import type { Op } from "../op.ts";
import { isRecording } from "../recording.ts";
import { formatShape, formatSpec, sameShape, sizeOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { watched, watchers } from "../watch.ts";
import { copyInto } from "./copy.ts";

/** Runs a record that changes `targets`, its outputs; `op.arguments` names targets, then inputs. */
export function runInPlace<A>(
  op: Op<A>,
  inputs: readonly Tensor[],
  targets: readonly Tensor[],
  attrs: A,
): void {
  if (isRecording()) {
    throw new AutodiffError(
      `${op.name}: a gradient is being recorded, expected none: it changes tensors in place, and the backward pass needs the ` +
        `old values. Call it on the result: const { value, grads } = valueAndGrad(f)(params).`,
    );
  }
  const names = op.arguments ?? [];
  const all = [...targets, ...inputs];
  requireTensors(op.name, names, all);
  for (const [i, t] of all.entries()) {
    if (!t.contiguous)
      throw new ShapeError(
        `${op.name}: ${names[i]} is ${describe(t)}, a view with gaps, expected contiguous elements. Copy it: reshape(${names[i]}, ${names[i]}.shape).`,
      );
  }
  targets.forEach((t, i) => {
    const other = targets.findIndex((u) => u.storage === t.storage);
    if (other === i) return;
    throw new ValueError(
      `${op.name}: ${names[other]} and ${names[i]} share memory, expected tensors of their own: both are written. ` +
        `Copy one: add(${names[i]}, 0).`,
    );
  });
  if (targets[0].size === 0) return;
  const check = watchers.size > 0 ? watched(op.name, [...inputs, ...targets], attrs) : undefined;
  const apart = inputs.map((x) => (targets.some((t) => t.storage === x.storage) ? copied(op.name, x) : x));
  try {
    targets[0].device.runner.run(op, apart, targets, attrs);
  } finally {
    apart.forEach((x, i) => {
      if (x !== inputs[i]) x.dispose();
    });
  }
  check?.(targets);
}

/** What is read must not change while it is read, and WebGPU refuses to bind one buffer for both. */
function copied(op: string, x: Tensor): Tensor {
  const copy = x.device.empty(x.shape, x.dtype, op);
  copyInto(x, copy);
  return copy;
}

const assignRowsOp: Op<{ width: number }> = {
  name: "assignRows",
  arguments: ["target", "values", "rows"],
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
 * target[rows[i]] = values[i], in place: target [R, …], rows [n], values [n, …]. Rows must differ; values may be a part of
 * target, and are then taken as they were before. For key/value caches; no gradient flows through it. Rows in a tensor (i32
 * [n], for captured functions) are not checked: the host does not see them.
 *
 * @throws ValueError for a row outside the target or named twice; ShapeError for values of another shape or dtype, or a
 * view with gaps; AutodiffError while a gradient is recorded; DeviceError for two devices.
 * @example
 * ```ts
 * const cache = zeros([3, 2]); // [R 3, C 2]
 * assignRows(cache, Int32Array.of(2, 0), tensor([[1, 2], [3, 4]]));
 * await cache.data(); // → [3, 4, 0, 0, 1, 2]
 * assignRows(cache, Int32Array.of(3), zeros([1, 2])); // → throws ValueError
 * ```
 */
export function assignRows(target: Tensor, rows: Int32Array | Tensor, values: Tensor): void {
  requireTensors("assignRows", ["target", "values"], [target, values]);
  if (rows instanceof Tensor) {
    if (rows.dtype !== "i32" || rows.rank !== 1)
      throw new DTypeError(
        `assignRows: rows is ${formatSpec(rows)}, expected i32 of one dimension. Convert it: cast(reshape(rows, [-1]), "i32").`,
      );
  } else if (!(rows instanceof Int32Array)) {
    throw new ValueError(
      `assignRows: rows is ${describe(rows)}, expected an Int32Array. Convert it: Int32Array.from(rows).`,
    );
  }
  if (target.rank === 0) {
    throw new ShapeError(
      "assignRows: target is a scalar (shape []), expected rows [R, …]. Give it one: reshape(target, [1]).",
    );
  }
  const count = rows instanceof Tensor ? rows.size : rows.length;
  if (!(rows instanceof Tensor)) checkRows(rows, target);
  if (values.dtype !== target.dtype) {
    throw new DTypeError(
      `assignRows: values is ${formatSpec(values)}, target is ${formatSpec(target)}; expected one dtype. Convert it: cast(values, "${target.dtype}").`,
    );
  }
  if (!sameShape(values.shape, [count, ...target.shape.slice(1)])) {
    const expected = [count, ...target.shape.slice(1)];
    throw new ShapeError(
      `assignRows: values is ${formatSpec(values)}, expected ${target.dtype}${formatShape(expected)} for ${count} rows of target ${formatSpec(target)}. ` +
        `Bring it there: reshape(values, ${formatShape(expected)}).`,
    );
  }
  if (count === 0) return;
  const attrs = { width: sizeOf(target.shape.slice(1)) };
  if (rows instanceof Tensor) {
    runInPlace(assignRowsOp, [values, rows], [target], attrs);
    return;
  }
  using index = tensor(rows, { device: target.device });
  runInPlace(assignRowsOp, [values, index], [target], attrs);
}

function checkRows(rows: Int32Array, target: Tensor): void {
  const height = target.shape[0];
  const seen = new Set<number>();
  for (const r of rows) {
    if (r < 0 || r >= height || seen.has(r)) {
      throw new ValueError(
        seen.has(r)
          ? `assignRows: rows name ${r} twice, expected each row at most once. Leave out all but the last: [...new Set(rows)].`
          : `assignRows: rows name ${r}, expected 0 … ${height - 1} for target ${formatShape(target.shape)}. Make the target taller: zeros([${r + 1}, …]).`,
      );
    }
    seen.add(r);
  }
}

/**
 * Settings of one AdamW step.
 *
 * @example
 * ```ts
 * const settings: AdamWSettings = { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 1 };
 * settings.step; // → 1
 * ```
 */
export interface AdamWSettings {
  /** Learning rate. */
  lr: number | LiveScalar;
  /** Decay of the first moment; usually 0.9. */
  beta1: number;
  /** Decay of the second moment; usually 0.95 or 0.999. */
  beta2: number;
  /** Added to the root of the second moment. */
  eps: number;
  /** Decoupled decay of the parameters under the mask. */
  weightDecay: number;
  /** Steps taken, this one included: 1, 2, …. */
  step: number | LiveScalar;
}

const adamWOp: Op<AdamWSettings> = {
  name: "adamWStep",
  arguments: ["params", "m", "v", "grads", "decayMask", "clipScale"],
  infer: () => [],
  cpu([grads, mask, scale], [params, m, v], settings) {
    const { beta1, beta2, eps, weightDecay } = settings;
    const [lr, step] = [valueOf(settings.lr), valueOf(settings.step)];
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
    const vectors = [grads, mask, params, m, v];
    const quads = vectors.every(({ size, offset }) => size % 4 === 0 && offset % 4 === 0);
    const width = quads ? 4 : 1;
    const type = quads ? ("vec4<f32>" as const) : ("f32" as const);
    return [
      {
        key: quads ? "adamW:quad" : "adamW",
        source: () => ({
          buffers: [
            { name: "scale", type: "f32" },
            ...["grads", "mask"].map((name) => ({ name, type })),
            ...["params", "m", "v"].map((name) => ({ name, type, write: true })),
          ],
          params: [...u32Params("offsetC", "offsetG", "offsetK", "offsetP", "offsetM", "offsetV"), ...floats],
          main: `let g = grads[p.offsetG + i] * scale[p.offsetC];
let m1 = p.beta1 * m[p.offsetM + i] + (1.0 - p.beta1) * g;
let v1 = p.beta2 * v[p.offsetV + i] + (1.0 - p.beta2) * g * g;
m[p.offsetM + i] = m1;
v[p.offsetV + i] = v1;
let decayed = params[p.offsetP + i] * (1.0 - p.decay * mask[p.offsetK + i]);
params[p.offsetP + i] = decayed - p.rate * m1 / (sqrt(v1) * p.root2 + p.eps);`,
        }),
        buffers: [scale, ...vectors],
        params: [
          scale.offset,
          ...vectors.map(({ offset }) => offset / width),
          beta1,
          beta2,
          derived([lr, step], () => valueOf(lr) / (1 - beta1 ** valueOf(step))),
          derived([step], () => 1 / Math.sqrt(1 - beta2 ** valueOf(step))),
          eps,
          derived([lr], () => valueOf(lr) * weightDecay),
        ],
        count: params.size / width,
      },
    ];
  },
};

/**
 * The flat tensors [P] of one AdamW step, all parameters after another in one arena.
 *
 * @example
 * ```ts
 * const flat = () => zeros([3]);
 * const state: AdamWState = { params: flat(), grads: flat(), m: flat(), v: flat(), decayMask: flat(), clipScale: ones([]) };
 * state.params; // → f32[3]
 * ```
 */
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
 * One AdamW step in place (arXiv 1711.05101, algorithm 2; as PyTorch's `AdamW`), one kernel over all parameters:
 * g = clipScale·grad; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; p = p(1 − lr·λ·decayMask) − lr·m̂/(√v̂ + ε) with
 * m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ), t the step. Changes params, m and v.
 *
 * @throws DTypeError for params that are neither f32 nor f64; ShapeError for tensors that are not [P] like params, or views
 * with gaps; ValueError for a step below 1, a setting that is no number, or params, m and v in one tensor's memory; AutodiffError while a gradient is recorded; DeviceError for two devices.
 * @example
 * ```ts
 * const [params, m, v] = [tensor([1, 2]), zeros([2]), zeros([2])];
 * const state = { params, grads: tensor([0.5, -3]), m, v, decayMask: zeros([2]), clipScale: ones([]) };
 * adamWStep(state, { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1 });
 * await params.data(); // → [0.9, 2.1]
 * ```
 */
export function adamWStep(state: AdamWState, settings: AdamWSettings): void {
  const { params, grads, m, v, decayMask, clipScale } = state;
  requireTensors("adamWStep", adamWOp.arguments ?? [], [params, m, v, grads, decayMask, clipScale]);
  if (params.dtype !== "f32" && params.dtype !== "f64") {
    throw new DTypeError(
      `adamWStep: params is ${formatSpec(params)}, expected f32 or f64: smaller types round small steps away. ` +
        'Keep f32 parameters and convert them inside the loss: cast(params, "f16").',
    );
  }
  for (const [name, t] of Object.entries({ grads, m, v, decayMask })) {
    if (!sameShape(t.shape, params.shape) || t.rank !== 1 || t.dtype !== params.dtype) {
      throw new ShapeError(
        `adamWStep: ${name} is ${formatSpec(t)}, expected ${formatSpec(params)}, one flat arena [P] like params. ` +
          `Flatten it: reshape(${name}, [-1]).`,
      );
    }
  }
  if (clipScale.size !== 1 || clipScale.dtype !== params.dtype) {
    throw new ShapeError(
      `adamWStep: clipScale is ${formatSpec(clipScale)}, expected one ${params.dtype} number. Without clipping: ones([]).`,
    );
  }
  for (const name of ["lr", "beta1", "beta2", "eps", "weightDecay"] as const) {
    // What a live scalar will be, nobody knows yet.
    if (!(settings[name] instanceof LiveScalar || Number.isFinite(settings[name]))) {
      throw new ValueError(
        `adamWStep: ${name} is ${settings[name]}, expected a finite number. Pass all settings: { lr, beta1, beta2, eps, weightDecay, step }.`,
      );
    }
  }
  if (!(settings.step instanceof LiveScalar || settings.step >= 1)) {
    throw new ValueError(
      `adamWStep: step is ${settings.step}, expected a whole number of at least 1. Count the step being taken: { step: taken + 1 }.`,
    );
  }
  runInPlace(adamWOp, [grads, decayMask, clipScale], [params, m, v], settings);
}
