/**
 * The clipped policy surrogate, per token.
 *
 * L^x and L^h of arXiv 2606.16215 (eq. 5 and 8) are this one function: what differs is the context that both
 * log-probs were computed in, x or [x ; h*]. Clipping from PPO (arXiv 1707.06347 eq. 7), dual clip from
 * arXiv 1912.09729 eq. 5, the clamp of the log-ratio from verl. Other losses: gspo.ts and cispo.ts, all by name in
 * policy-registry.ts.
 */
import {
  clamp,
  exp,
  less,
  maximum,
  minimum,
  mul,
  neg,
  stopGradient,
  sub,
  type Tensor,
  where,
} from "@pact/tensor";

/** Clipping of an importance ratio to [1 − clipLow, 1 + clipHigh]; the defaults are the loss's own. */
export interface RatioClip {
  readonly clipLow?: number;
  readonly clipHigh?: number;
}

/** Clipping of `policyLosses`: `clipLow` and `clipHigh` default to 0.2. */
export interface ClipOptions extends RatioClip {
  /** c > 1: the loss of a token with A < 0 is at most −c·A. Default 3; null for none. */
  readonly dualClip?: number | null;
}

/** Log-ratios of tokens are clamped to these before exp; beyond them the gradient is 0. */
export const logRatioLimits = { min: -20, max: 20 } as const;

/**
 * Loss of every token, to be minimised:
 *
 *     r = exp(log π_θ − log π_old)
 *     ℓ = max(−r A, −clip(r, 1−ε_low, 1+ε_high) A),   and for A < 0 then  min(ℓ, −c A)
 *
 * NOTE: both log-probs must come from the same context and the same forward; then r = 1 before the first update and
 * the gradient is −A ∇log π. A loss of 0 with a gradient is legitimate: advantages of a group sum to about 0.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param oldLogProbs log π_old [M], not differentiated
 * @param advantages A [M]
 * @returns [M]
 * @see arXiv 2606.16215 eq. 5 and 8
 * @example
 * ```ts
 * const [old, advantages] = [tensor([0, 0, 0, 0]), tensor([1, 1, -1, -1])];
 * const fresh = tensor([0.5, 2, 0.5, 8].map(Math.log)); // the ratios
 * await policyLosses(fresh, old, advantages).data(); // → [-0.5, -1.2, 0.8, 3]
 * await grad((logs: Tensor) => sum(policyLosses(logs, old, advantages)))(fresh).data(); // → [-0.5, 0, 0, 0]
 * ```
 */
export function policyLosses(
  newLogProbs: Tensor,
  oldLogProbs: Tensor,
  advantages: Tensor,
  { clipLow = 0.2, clipHigh = 0.2, dualClip = 3 }: ClipOptions = {},
): Tensor {
  const ratio = exp(clamp(sub(newLogProbs, stopGradient(oldLogProbs)), logRatioLimits)); // [M]
  const clipped = clamp(ratio, { min: 1 - clipLow, max: 1 + clipHigh });
  const negated = neg(advantages);
  const losses = maximum(mul(ratio, negated), mul(clipped, negated));
  if (dualClip === null) return losses;
  return where(less(advantages, 0), minimum(losses, mul(negated, dualClip)), losses);
}

/** What clipping did to a set of tokens. */
export interface ClipStatistics {
  /** Mean of log π_old − log π_θ: an estimate of KL(old ‖ new). */
  readonly approximateKl: number;
  /** Share of tokens whose clipped branch is the larger loss. */
  readonly clipFraction: number;
  /** Share of tokens cut by the dual clip. */
  readonly dualClipFraction: number;
}

/**
 * Clipping statistics of tokens read back from the device; all 0 for no tokens.
 *
 * @example
 * ```ts
 * clipStatistics([0.5, 0], [0, 0], [1, 1]); // → { approximateKl: -0.25, clipFraction: 0.5, dualClipFraction: 0 }
 * ```
 */
export function clipStatistics(
  newLogProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantages: ArrayLike<number>,
  { clipLow = 0.2, clipHigh = 0.2, dualClip = 3 }: ClipOptions = {},
): ClipStatistics {
  const count = newLogProbs.length;
  let difference = 0;
  let clips = 0;
  let dualClips = 0;
  for (let token = 0; token < count; token++) {
    const logRatio = newLogProbs[token] - oldLogProbs[token];
    const bounded = Math.max(logRatioLimits.min, Math.min(logRatioLimits.max, logRatio));
    const ratio = Math.exp(bounded);
    const advantage = advantages[token];
    const plain = -ratio * advantage;
    const clipped = -Math.max(1 - clipLow, Math.min(1 + clipHigh, ratio)) * advantage;
    difference -= bounded;
    if (clipped > plain) clips += 1;
    if (dualClip !== null && advantage < 0 && Math.max(plain, clipped) > -dualClip * advantage)
      dualClips += 1;
  }
  const share = (total: number) => (count === 0 ? 0 : total / count);
  return {
    approximateKl: share(difference),
    clipFraction: share(clips),
    dualClipFraction: share(dualClips),
  };
}
