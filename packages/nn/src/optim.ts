/**
 * AdamW (Loshchilov & Hutter, arXiv 1711.05101 algorithm 2, with the learning rate as its schedule multiplier) over one
 * flat arena: parameters, gradients and both moments are each a single vector, so a step is one kernel whatever the
 * number of parameters. Gradients are clipped by their global norm on the device (Pascanu et al., arXiv 1211.5063 §3.2):
 *
 *   ĝ = g · min(1, clip/(‖g‖ + 1e-6))
 *   m ← β₁m + (1−β₁)ĝ,  v ← β₂v + (1−β₂)ĝ²
 *   θ ← θ − lr · ( m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + eps) + decay·θ )     decay only where tensors have ≥ 2 dimensions
 *
 * Groups of parameters may have rates and decays of their own, or be frozen (arena.ts).
 */

import {
  adamWStep,
  assignRows,
  derived,
  type LiveScalar,
  live,
  onReplay,
  reshape,
  scope,
  type Tensor,
  valueOf,
} from "@pact/tensor";
import { Arena, checkSettings, clipScale, globalNorm, type ParameterGroup } from "./arena.ts";
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
  /** Parameters with other rates or decays, and frozen ones; default none. */
  readonly groups?: readonly ParameterGroup[];
};

/**
 * AdamW with global-norm clipping over one arena; the formula is at the head of this file (arXiv 1711.05101, as
 * `torch.optim.AdamW` after `clip_grad_norm_`).
 *
 * The given parameters are copied into the arena in the order of the record (`paramSpecs` order for a model) and may be
 * disposed; `params` are views of it that change in place with every step. Frozen parameters are not copied: they are in
 * `frozen`, as given, and no gradient is asked for them.
 *
 * @throws ParameterError if there is no parameter to train, a group names one that does not exist, or an option is no number
 *   that makes a step
 * @example
 * ```ts
 * const optimizer = new AdamW({ w: tensor([3, 4]) }, { clipNorm: 1 });
 * const { grads } = valueAndGrad((p: Params) => sum(square(p.w)))(optimizer.params); // [6, 8]
 * await optimizer.step(grads, 0.1).item(); // → 10
 * await optimizer.params.w.data(); // → [2.9, 3.9]
 * const groups = [{ match: ["embedding"], frozen: true }];
 * const part = new AdamW({ embedding: tensor([[1, 2]]), w: tensor([3, 4]) }, { groups });
 * const loss = (p: Params) => sum(mul({ ...part.frozen, ...p }.embedding, p.w));
 * await valueAndGrad(loss)(part.params).grads.w.data(); // → [1, 2]
 * ```
 */
export class AdamW {
  /** The live parameters: views of `arena`. */
  readonly params: Params;
  /** The parameters of frozen groups, which stay the caller's. */
  readonly frozen: Params;
  /** All parameters [P], each at a multiple of 64 elements, gaps 0. */
  readonly arena: Tensor;
  /** First moment [P]. */
  readonly m: Tensor;
  /** Second moment [P]. */
  readonly v: Tensor;
  private readonly layout: Arena;
  private readonly decayMask: Tensor; // [P], times weightDecay the decay
  private readonly options: Required<AdamWOptions>;
  private stepsTaken = 0;

  constructor(params: Params, options: AdamWOptions = {}) {
    const defaults = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clipNorm: 1, groups: [] };
    this.options = { ...defaults, ...options };
    checkSettings("AdamW", this.options);
    const { weightDecay, groups } = this.options;
    this.layout = new Arena("AdamW", params, weightDecay, groups);
    this.frozen = this.layout.frozen;
    this.decayMask = this.layout.decays(weightDecay || 1);
    this.arena = this.layout.flatten(params);
    this.m = this.layout.zeros();
    this.v = this.layout.zeros();
    this.params = this.layout.views(this.arena);
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.stepsTaken;
  }

  /**
   * One update of `params` in place. The gradients stay the caller's.
   *
   * @param grads one gradient per parameter that is trained, same names and shapes
   * @param learningRate of this step; a live scalar where captured steps have different ones
   * @returns ‖g‖ before clipping, a scalar on the device
   * @throws ParameterError if a gradient is missing or has another shape
   */
  step(grads: Params, learningRate: number | LiveScalar): Tensor {
    return scope(() => {
      const { layout } = this;
      const flat = layout.flatten(grads); // [P]
      onReplay(
        () => {
          this.stepsTaken++;
        },
        () => {
          this.stepsTaken--;
        },
      );
      const norm = globalNorm(flat);
      const { beta1, beta2, eps, weightDecay, clipNorm } = this.options;
      const scale = clipScale(norm, clipNorm);
      for (const section of layout.sections) {
        const part = (vector: Tensor) => layout.part(vector, section);
        const [params, m, v] = [this.arena, this.m, this.v].map(part);
        const lr = derived([learningRate], () => valueOf(learningRate) * section.rateScale);
        adamWStep(
          { params, grads: part(flat), m, v, decayMask: part(this.decayMask), clipScale: scale },
          { lr, beta1, beta2, eps, weightDecay: weightDecay || 1, step: live(() => this.stepsTaken) },
        );
      }
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
    for (const owned of [this.arena, this.m, this.v, this.decayMask, this.layout]) owned.dispose();
  }
}
