/**
 * SGD with momentum over one flat arena (arena.ts), clipped by the global norm on the device, with PyTorch's formulas:
 *
 *   ĝ = g · min(1, clip/(‖g‖ + 1e-6)) + decay·θ
 *   v ← μv + (1 − dampening)·ĝ, in the first step v = ĝ
 *   θ ← θ − lr · v,   with Nesterov θ − lr · (ĝ + μv)          decay only where tensors have ≥ 2 dimensions
 */
import {
  assignRows,
  derived,
  type LiveScalar,
  live,
  onReplay,
  reshape,
  scope,
  sgdStep,
  type Tensor,
  valueOf,
} from "@pact/tensor";
import { Arena, checkSettings, clipScale, globalNorm, type ParameterGroup } from "./arena.ts";
import { ParameterError } from "./errors.ts";
import type { Params } from "./params.ts";

/** Options of `Sgd`; every one has a default. */
export type SgdOptions = {
  /** μ, what the velocity keeps of itself; default 0.9. 0 needs no velocity and no memory for one. */
  readonly momentum?: number;
  /** Share of the gradient kept out of the velocity after the first step; default 0. */
  readonly dampening?: number;
  /** Whether to look ahead along the velocity; default false. Needs momentum and no dampening, as in PyTorch. */
  readonly nesterov?: boolean;
  /** L2 penalty of tensors with two or more dimensions, added to their gradients; default 0. */
  readonly weightDecay?: number;
  /** Largest global gradient norm; default 1, `Infinity` for no clipping. */
  readonly clipNorm?: number;
  /** Parameters with other rates or decays, and frozen ones; default none. */
  readonly groups?: readonly ParameterGroup[];
};

/**
 * Stochastic gradient descent with momentum and global-norm clipping (Sutskever et al., ICML 2013; as `torch.optim.SGD`
 * after `clip_grad_norm_`); used like `AdamW`, with at most one vector of state.
 *
 * @throws ParameterError if there is no parameter to train, a group names one that does not exist, or Nesterov momentum is
 *   asked for without momentum or with dampening
 * @example
 * ```ts
 * const optimizer = new Sgd({ w: tensor([3, 4]) }, { momentum: 0.5, clipNorm: 5 });
 * const loss = valueAndGrad((p: Params) => sum(square(p.w)));
 * optimizer.step(loss(optimizer.params).grads, 0.1); // gradient [6, 8], clipped to [3, 4]
 * await optimizer.params.w.data(); // → [2.7, 3.6]
 * ```
 */
export class Sgd {
  /** The live parameters: views of `arena`. */
  readonly params: Params;
  /** The parameters of frozen groups, which stay the caller's. */
  readonly frozen: Params;
  /** All parameters [P], each at a multiple of 64 elements, gaps 0. */
  readonly arena: Tensor;
  /** Velocity [P]; undefined without momentum. */
  readonly velocity: Tensor | undefined;
  private readonly layout: Arena;
  private readonly decayMask: Tensor; // [P], times weightDecay the decay
  private readonly options: Required<SgdOptions>;
  private stepsTaken = 0;

  constructor(params: Params, options: SgdOptions = {}) {
    const defaults = {
      momentum: 0.9,
      dampening: 0,
      nesterov: false,
      weightDecay: 0,
      clipNorm: 1,
      groups: [],
    };
    this.options = { ...defaults, ...options };
    checkSettings("Sgd", this.options);
    const { momentum, dampening, nesterov, weightDecay, groups } = this.options;
    if (nesterov && (momentum <= 0 || dampening !== 0))
      throw new ParameterError(
        `Sgd: nesterov with momentum ${momentum} and dampening ${dampening}; expected momentum above 0 and no dampening. Pass { momentum: 0.9, nesterov: true }.`,
      );
    this.layout = new Arena("Sgd", params, weightDecay, groups);
    this.frozen = this.layout.frozen;
    this.decayMask = this.layout.decays(weightDecay || 1);
    this.arena = this.layout.flatten(params);
    this.velocity = momentum === 0 ? undefined : this.layout.zeros();
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
      const { layout, velocity } = this;
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
      const { clipNorm, groups: _, ...settings } = this.options;
      const clip = clipScale(norm, clipNorm);
      for (const section of layout.sections) {
        const part = (vector: Tensor) => layout.part(vector, section);
        const state = { params: part(this.arena), grads: part(flat), decayMask: part(this.decayMask) };
        sgdStep(
          { ...state, velocity: velocity && part(velocity), clipScale: clip },
          {
            ...settings,
            lr: derived([learningRate], () => valueOf(learningRate) * section.rateScale),
            weightDecay: settings.weightDecay || 1,
            step: live(() => this.stepsTaken),
          },
        );
      }
      return norm;
    });
  }

  /**
   * Continues from saved state: copies arena and velocity in place, so that `params` stay the same views.
   *
   * @param state what another `Sgd` over the same parameters held, on the same device; without `arena` the parameters stay
   * @throws ShapeError if the sizes differ
   */
  restore(state: { arena?: Tensor; velocity?: Tensor; steps: number }): void {
    const whole = (t: Tensor) => reshape(t, [1, t.size]);
    scope(() => {
      for (const name of ["arena", "velocity"] as const) {
        const [own, saved] = [this[name], state[name]];
        if (own && saved) assignRows(whole(own), Int32Array.of(0), whole(saved));
      }
    });
    this.stepsTaken = state.steps;
  }

  /** Frees arena, velocity and the views. */
  dispose(): void {
    for (const view of Object.values(this.params)) view.dispose();
    for (const owned of [this.arena, this.velocity, this.decayMask, this.layout]) owned?.dispose();
  }
}
