/** Stochastic gradient descent with momentum over a parameter arena, in place; AdamW's update is in inplace.ts. */
import { requireTensors } from "../arguments.ts";
import { u32Params } from "../backends/webgpu/kernel.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { derived, LiveScalar, valueOf } from "../live.ts";
import type { Op } from "../op.ts";
import { formatSpec, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { runInPlace } from "./inplace.ts";

/**
 * Settings of one SGD step.
 *
 * @example
 * ```ts
 * const settings: SgdSettings = { lr: 0.1, momentum: 0.9, dampening: 0, nesterov: true, weightDecay: 0, step: 1 };
 * settings.step; // → 1
 * ```
 */
export interface SgdSettings {
  /** Learning rate. */
  lr: number | LiveScalar;
  /** What the velocity keeps of itself; usually 0.9. */
  momentum: number;
  /** Share of the gradient kept out of the velocity after the first step; usually 0. */
  dampening: number;
  /** Whether to step along gradient + momentum · velocity (Nesterov) instead of the velocity. */
  nesterov: boolean;
  /** Times the parameters under the mask, added to the gradient (L2). */
  weightDecay: number;
  /** Steps taken, this one included: 1, 2, …. */
  step: number | LiveScalar;
}

/**
 * The flat tensors [P] of one SGD step, all parameters after another in one arena.
 *
 * @example
 * ```ts
 * const state: SgdState = { params: zeros([3]), grads: zeros([3]), decayMask: zeros([3]), clipScale: ones([]) };
 * state.params; // → f32[3]
 * ```
 */
export interface SgdState {
  params: Tensor;
  grads: Tensor;
  /** Velocity; not needed without momentum. */
  velocity?: Tensor;
  /** 1 where the parameter decays, 0 where not. */
  decayMask: Tensor;
  /** One number that multiplies the gradients: the clip. */
  clipScale: Tensor;
}

const sgdOp: Op<SgdSettings> = {
  name: "sgdStep",
  arguments: ["params", "grads", "decayMask", "clipScale"],
  infer: () => [],
  cpu([grads, mask, scale], [params, velocity], settings) {
    const { momentum, dampening, nesterov, weightDecay } = settings;
    const [lr, step] = [valueOf(settings.lr), valueOf(settings.step)];
    const c = scale.data[scale.offset];
    for (let i = 0; i < params.shape[0]; i++) {
      const ip = params.offset + i;
      const decay = weightDecay * mask.data[mask.offset + i];
      const g = grads.data[grads.offset + i] * c + decay * params.data[ip];
      let along = g;
      if (velocity) {
        const iv = velocity.offset + i;
        const next = step === 1 ? g : momentum * velocity.data[iv] + (1 - dampening) * g;
        velocity.data[iv] = next;
        along = nesterov ? g + momentum * next : next;
      }
      params.data[ip] -= lr * along;
    }
  },
  webgpu([grads, mask, scale], [params, velocity], attrs) {
    const { lr, momentum, dampening, nesterov, weightDecay, step } = attrs;
    const vectors = [grads, mask, params, ...(velocity ? [velocity] : [])];
    const quads = vectors.every(({ size, offset }) => size % 4 === 0 && offset % 4 === 0);
    const width = quads ? 4 : 1;
    const type = quads ? ("vec4<f32>" as const) : ("f32" as const);
    const floats = ["kept", "share", "ahead", "along", "lr", "decay"].map((name) => ({
      name,
      type: "f32" as const,
    }));
    return [
      {
        key: `sgd${velocity ? ":momentum" : ""}${quads ? ":quad" : ""}`,
        source: () => ({
          buffers: [
            { name: "scale", type: "f32" },
            ...["grads", "mask"].map((name) => ({ name, type })),
            { name: "params", type, write: true },
            ...(velocity ? [{ name: "velocity", type, write: true }] : []),
          ],
          params: [...u32Params("offsetC", "offsetG", "offsetK", "offsetP", "offsetV"), ...floats],
          main: `let at = params[p.offsetP + i];
let g = grads[p.offsetG + i] * scale[p.offsetC] + p.decay * mask[p.offsetK + i] * at;
${
  velocity
    ? `var next = p.share * g;
if (p.kept != 0.0) { next += p.kept * velocity[p.offsetV + i]; }
velocity[p.offsetV + i] = next;
params[p.offsetP + i] = at - p.lr * (p.along * next + p.ahead * g);`
    : "params[p.offsetP + i] = at - p.lr * g;"
}`,
        }),
        buffers: [scale, ...vectors],
        params: [
          scale.offset,
          ...[grads, mask, params, velocity].map((vector) => (vector?.offset ?? 0) / width),
          derived([step], () => (valueOf(step) === 1 ? 0 : momentum)),
          derived([step], () => (valueOf(step) === 1 ? 1 : 1 - dampening)),
          ...[nesterov ? 1 : 0, nesterov ? momentum : 1, lr, weightDecay],
        ],
        count: params.size / width,
      },
    ];
  },
};

/**
 * One step of stochastic gradient descent in place, with momentum as in PyTorch's `SGD` (Sutskever et al., ICML 2013):
 * g = clipScale·grad + λ·decayMask·p; v = μv + (1−dampening)·g, in the first step v = g; p = p − lr·v, with Nesterov
 * p − lr·(g + μv). Without a velocity p = p − lr·g. Changes params and velocity.
 *
 * @throws DTypeError for params that are neither f32 nor f64; ShapeError for tensors that are not [P] like params, or views
 * with gaps; ValueError for a step below 1, a setting that is no number, momentum without velocity, or params and velocity
 * in one tensor's memory; AutodiffError while a gradient is recorded; DeviceError for two devices.
 * @example
 * ```ts
 * const [params, velocity] = [tensor([1, 2]), zeros([2])];
 * const state = { params, grads: tensor([0.5, -3]), velocity, decayMask: zeros([2]), clipScale: ones([]) };
 * const settings = { lr: 0.1, momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 0 };
 * sgdStep(state, { ...settings, step: 1 });
 * sgdStep(state, { ...settings, step: 2 });
 * await params.data(); // → [0.855, 2.87]
 * ```
 */
export function sgdStep(state: SgdState, settings: SgdSettings): void {
  const { params, grads, velocity, decayMask, clipScale } = state;
  const targets = velocity ? [params, velocity] : [params];
  const op = velocity
    ? { ...sgdOp, arguments: ["params", "velocity", "grads", "decayMask", "clipScale"] }
    : sgdOp;
  requireTensors("sgdStep", op.arguments ?? [], [...targets, grads, decayMask, clipScale]);
  if (params.dtype !== "f32" && params.dtype !== "f64") {
    throw new DTypeError(
      `sgdStep: params is ${formatSpec(params)}, expected f32 or f64: smaller types round small steps away. ` +
        'Keep f32 parameters and convert them inside the loss: cast(params, "f16").',
    );
  }
  for (const [name, t] of Object.entries({ grads, velocity, decayMask })) {
    if (t && (!sameShape(t.shape, params.shape) || t.rank !== 1 || t.dtype !== params.dtype)) {
      throw new ShapeError(
        `sgdStep: ${name} is ${formatSpec(t)}, expected ${formatSpec(params)}, one flat arena [P] like params. ` +
          `Flatten it: reshape(${name}, [-1]).`,
      );
    }
  }
  if (clipScale.size !== 1 || clipScale.dtype !== params.dtype) {
    throw new ShapeError(
      `sgdStep: clipScale is ${formatSpec(clipScale)}, expected one ${params.dtype} number. Without clipping: ones([]).`,
    );
  }
  for (const name of ["lr", "momentum", "dampening", "weightDecay"] as const) {
    // What a live scalar will be, nobody knows yet.
    if (!(settings[name] instanceof LiveScalar || Number.isFinite(settings[name]))) {
      throw new ValueError(
        `sgdStep: ${name} is ${settings[name]}, expected a finite number. Pass all settings: { lr, momentum, dampening, nesterov, weightDecay, step }.`,
      );
    }
  }
  if (settings.momentum !== 0 && !velocity) {
    throw new ValueError(
      `sgdStep: momentum is ${settings.momentum} and there is no velocity, expected one to keep it in. Make one: zeros(params.shape).`,
    );
  }
  if (!(settings.step instanceof LiveScalar || settings.step >= 1)) {
    throw new ValueError(
      `sgdStep: step is ${settings.step}, expected a whole number of at least 1. Count the step being taken: { step: taken + 1 }.`,
    );
  }
  runInPlace(op, [grads, decayMask, clipScale], targets, settings);
}
