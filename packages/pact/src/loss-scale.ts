/**
 * The factor of the loss in f16 training: small gradients would be rounded to 0 on their way back through f16 (below
 * 2⁻²⁵), so the loss is multiplied by a power of two before the backward pass and the f32 gradient divided by it after,
 * which is exact (Micikevicius et al., arXiv 1710.03740 §3.2). The factor is dynamic: halved when a gradient leaves the
 * floats, doubled after a run of updates that did not. Other than in PyTorch's GradScaler no batch is lost: its gradient is
 * computed again (gradient-norms.ts).
 */

/** Where a loss scale stands; part of a run's state. */
export interface LossScaleState {
  /** The factor, a power of two. */
  readonly scale: number;
  /** Updates since it last changed. */
  readonly goodUpdates: number;
}

const start = 2 ** 16;
const smallest = 1;
const largest = 2 ** 24;
/** Updates with a finite gradient before the factor is doubled. */
const growthInterval = 100;

/**
 * A dynamic loss scale, from 2¹⁶, between 1 and 2²⁴.
 *
 * @example
 * ```ts
 * const scale = new LossScale();
 * scale.halve(); // → true
 * scale.value; // → 32768
 * for (let update = 0; update < 100; update++) scale.update();
 * scale.state; // → { scale: 65536, goodUpdates: 0 }
 * ```
 */
export class LossScale {
  #scale: number;
  #goodUpdates: number;

  /** @param state where an earlier one stood; default the start */
  constructor({ scale, goodUpdates }: LossScaleState = { scale: start, goodUpdates: 0 }) {
    this.#scale = scale;
    this.#goodUpdates = goodUpdates;
  }

  /** Whether a state can have been one's own: a power of two in the bounds. */
  static accepts({ scale }: LossScaleState): boolean {
    return scale >= smallest && scale <= largest && Number.isInteger(Math.log2(scale));
  }

  /** The factor now. */
  get value(): number {
    return this.#scale;
  }

  /** Where it stands. */
  get state(): LossScaleState {
    return { scale: this.#scale, goodUpdates: this.#goodUpdates };
  }

  /** Counts an update with a finite gradient, and doubles the factor after enough of them. */
  update(): void {
    this.#goodUpdates += 1;
    if (this.#goodUpdates < growthInterval) return;
    this.#scale = Math.min(largest, 2 * this.#scale);
    this.#goodUpdates = 0;
  }

  /** Halves the factor; false if it is 1 already, where the gradient itself is too large for f16. */
  halve(): boolean {
    if (this.#scale <= smallest) return false;
    this.#scale /= 2;
    this.#goodUpdates = 0;
    return true;
  }
}
