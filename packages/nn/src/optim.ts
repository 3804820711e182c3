/**
 * AdamW (Loshchilov & Hutter, arXiv 1711.05101 algorithm 2, with the learning rate as its schedule multiplier) over one
 * flat arena: parameters, gradients and both moments are each a single vector, so a step is one kernel whatever the
 * number of parameters. Gradients are clipped by their global norm on the device (Pascanu et al., arXiv 1211.5063 §3.2):
 *
 *   ĝ = g · min(1, clip/(‖g‖ + 1e-6))
 *   m ← β₁m + (1−β₁)ĝ,  v ← β₂v + (1−β₂)ĝ²
 *   θ ← θ − lr · ( m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + eps) + decay·θ )     decay only where tensors have ≥ 2 dimensions
 *
 * Left out: parameter groups beyond that rule.
 */

import type { Tensor } from "@pact/tensor";
import {
  adamWStep,
  add,
  assignRows,
  concat,
  div,
  minimum,
  ones,
  reshape,
  scope,
  slice,
  sqrt,
  square,
  sum,
  tensor,
  zeros,
} from "@pact/tensor";
import { ParameterError } from "./errors.ts";
import type { Params } from "./params.ts";

/** Options of `AdamW`; every one has a default. */
export type AdamWOptions = {
  /** β₁, decay of the gradient average; default 0.9. */
  readonly beta1?: number;
  /** β₂, decay of the squared-gradient average; default 0.95 (PyTorch: 0.999). */
  readonly beta2?: number;
  /** Added to the root of the second moment; default 1e-8. */
  readonly eps?: number;
  /** Decoupled weight decay of tensors with two or more dimensions; default 0.1. */
  readonly weightDecay?: number;
  /** Largest global gradient norm; default 1, `Infinity` for no clipping. */
  readonly clipNorm?: number;
};

/** Each parameter starts at a multiple of this many elements: 256 bytes in f32, WebGPU's offset alignment. */
const alignment = 64;

type Place = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: number;
  readonly size: number;
};

/**
 * AdamW with global-norm clipping over one arena; the formula is at the head of this file (arXiv 1711.05101, as
 * `torch.optim.AdamW` after `clip_grad_norm_`).
 *
 * The given parameters are copied into the arena in the order of the record (`paramSpecs` order for a model) and may be
 * disposed; `params` are views of it that change in place with every step.
 *
 * @throws ParameterError if there is no parameter
 * @example
 * ```ts
 * const optimizer = new AdamW({ w: tensor([3, 4]) }, { clipNorm: 1 });
 * const { grads } = valueAndGrad((p: Params) => sum(square(p.w)))(optimizer.params); // [6, 8]
 * await optimizer.step(grads, 0.1).item(); // → 10
 * await optimizer.params.w.data(); // → [2.9, 3.9]
 * ```
 */
export class AdamW {
  /** The live parameters: views of `arena`. */
  readonly params: Params;
  /** All parameters [P], each at a multiple of 64 elements, gaps 0. */
  readonly arena: Tensor;
  /** First moment [P]. */
  readonly m: Tensor;
  /** Second moment [P]. */
  readonly v: Tensor;
  private readonly decayMask: Tensor; // [P], 1 where weight decay applies
  private readonly gap: Tensor; // zeros to fill the arena between parameters
  private readonly places: Place[] = [];
  private readonly options: Required<AdamWOptions>;
  private stepsTaken = 0;

  constructor(params: Params, options: AdamWOptions = {}) {
    this.options = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clipNorm: 1, ...options };
    const tensors = Object.entries(params);
    if (tensors.length === 0) throw new ParameterError("AdamW needs at least one parameter.");
    const { dtype, device } = tensors[0][1];
    let end = 0;
    for (const [name, { shape, size }] of tensors) {
      this.places.push({ name, shape, start: end, size });
      end = Math.ceil((end + size) / alignment) * alignment;
    }
    const mask = new Float32Array(end);
    for (const { shape, start, size } of this.places)
      if (shape.length >= 2) mask.fill(1, start, start + size);
    this.decayMask = tensor(mask, { shape: [end], dtype, device });
    this.gap = zeros([alignment], { dtype, device });
    this.arena = this.flatten(params);
    this.m = zeros([end], { dtype, device });
    this.v = zeros([end], { dtype, device });
    this.params = this.views(this.arena);
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.stepsTaken;
  }

  /**
   * One update of `params` in place. The gradients stay the caller's.
   *
   * @param grads one gradient per parameter, same names and shapes
   * @param learningRate of this step
   * @returns ‖g‖ before clipping, a scalar on the device
   * @throws ParameterError if a gradient is missing or has another shape
   */
  step(grads: Params, learningRate: number): Tensor {
    return scope(() => {
      const flat = this.flatten(grads); // [P]
      this.stepsTaken++;
      const norm = globalNorm(flat);
      const { beta1, beta2, eps, weightDecay, clipNorm } = this.options;
      const scale = clipScale(norm, clipNorm);
      const { arena, m, v, decayMask } = this;
      adamWStep(
        { params: arena, grads: flat, m, v, decayMask, clipScale: scale },
        { lr: learningRate, beta1, beta2, eps, weightDecay, step: this.stepsTaken },
      );
      return norm;
    });
  }

  /**
   * Continues from saved state: copies arena and moments in place, so that `params` stay the same views.
   *
   * @param state what another `AdamW` over the same parameters held, on the same device; without `arena` the
   *   parameters stay as they are
   * @throws ShapeError if the sizes differ
   * @example
   * ```ts
   * const saved = new AdamW({ w: tensor([3, 4]) });
   * const optimizer = new AdamW({ w: zeros([2]) });
   * optimizer.restore(saved);
   * await optimizer.params.w.data(); // → [3, 4]
   * ```
   */
  restore(state: { arena?: Tensor; m: Tensor; v: Tensor; steps: number }): void {
    const whole = (t: Tensor) => reshape(t, [1, t.size]);
    scope(() => {
      for (const name of ["arena", "m", "v"] as const) {
        const saved = state[name];
        if (saved) assignRows(whole(this[name]), Int32Array.of(0), whole(saved));
      }
    });
    this.stepsTaken = state.steps;
  }

  /** Frees arena, moments and the views. */
  dispose(): void {
    for (const view of Object.values(this.params)) view.dispose();
    for (const owned of [this.arena, this.m, this.v, this.decayMask, this.gap]) owned.dispose();
  }

  /** Copies tensors into one vector with the arena's layout [P]. */
  private flatten(tensors: Params): Tensor {
    return scope(() => {
      const pieces: Tensor[] = [];
      for (const { name, shape, size } of this.places) {
        const part = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
        if (part?.shape.join() !== shape.join())
          throw new ParameterError(
            `AdamW: "${name}" needs a gradient of shape [${shape}], received ${part ? `[${part.shape}]` : "none"}.`,
          );
        pieces.push(reshape(part, [size]));
        const rest = size % alignment;
        if (rest > 0) pieces.push(slice(this.gap, [0], [alignment - rest]));
      }
      return concat(pieces, 0);
    });
  }

  private views(arena: Tensor): Params {
    return Object.fromEntries(
      this.places.map(({ name, shape, start, size }) => [
        name,
        scope(() => reshape(slice(arena, [start], [start + size]), shape)),
      ]),
    );
  }
}

/**
 * Global norm ‖g‖ = √Σg² of a flat gradient [P], a scalar on the device.
 *
 * @example
 * ```ts
 * await globalNorm(tensor([3, 4])).item(); // → 5
 * ```
 */
export function globalNorm(flat: Tensor): Tensor {
  return scope(() => sqrt(sum(square(flat))));
}

/**
 * Factor that brings a gradient of norm `norm` down to `clip`: min(1, clip/(norm + 1e-6)), a scalar on the device.
 *
 * As in PyTorch's `clip_grad_norm_`. `clip` = Infinity gives 1.
 *
 * @example
 * ```ts
 * await clipScale(tensor(4), 1).item(); // → 0.25
 * await clipScale(tensor(0.5), 1).item(); // → 1
 * ```
 */
export function clipScale(norm: Tensor, clip: number): Tensor {
  if (clip === Number.POSITIVE_INFINITY) return ones([], { dtype: norm.dtype, device: norm.device }); // WGSL has no reliable infinities
  return scope(() => minimum(div(clip, add(norm, 1e-6)), 1));
}
