/**
 * GSPO: one importance ratio per rollout (Zheng et al. 2025, arXiv 2507.18071, eq. 5–7; its token form, eq. 14, as in
 * verl @b178a3cd5). Left out: a dual clip, which GSPO does not have.
 */
import { add, clamp, exp, maximum, mul, neg, stopGradient, sub, type Tensor } from "@pact/tensor";
import type { ClipStatistics, RatioClip } from "./policy.ts";
import { type Sequences, sequenceLengths, sequenceMeans } from "./sequences.ts";

/** Log-ratios of rollouts are clamped to at most this before exp (verl); beyond it the gradient is 0. */
const LOG_RATIO_MAXIMUM = 10;

/** Clipping of the sequence ratio that the paper uses; a mean of log-ratios moves far less than one token's. */
export const gspoClip: Required<RatioClip> = { clipLow: 3e-4, clipHigh: 4e-4 };

/**
 * Loss of every token, to be minimised:
 *
 *     s = exp(mean over the rollout of (log π_θ − log π_old))
 *     ℓ = max(−s_n A, −clip(s_n, 1−ε_low, 1+ε_high) A),   s_n = sg[s] π_θ / sg[π_θ]
 *
 * Every s_n has the value s, and its gradient is s ∇log π of its own token: with one advantage per rollout and the
 * aggregation `seq-mean-token-mean` that is the gradient of the sequence ratio itself.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param oldLogProbs log π_old [M], not differentiated
 * @param advantages A [M]
 * @param sequences rollout of each of the M tokens, −1 for none
 * @param clip defaults 3e-4 and 4e-4
 * @returns [M]
 * @throws BatchError when `sequences` does not fit
 * @see arXiv 2507.18071 eq. 5–7 and 14
 * @example
 * ```ts
 * const [fresh, old, advantages] = [tensor([-1, -1.2]), tensor([-1.1, -1.1]), tensor([2, 2])];
 * await gspoLosses(fresh, old, advantages, [0, 0]).data(); // → [-2, -2]
 * ```
 */
export function gspoLosses(
  newLogProbs: Tensor,
  oldLogProbs: Tensor,
  advantages: Tensor,
  sequences: Sequences,
  { clipLow = gspoClip.clipLow, clipHigh = gspoClip.clipHigh }: RatioClip = {},
): Tensor {
  const fixed = stopGradient(newLogProbs);
  const mean = stopGradient(sequenceMeans(sub(fixed, oldLogProbs), sequences));
  // NOTE: in this order the difference is exactly 0, so the value is the mean to the last bit (verl#2775).
  const logRatio = add(sub(newLogProbs, fixed), mean);
  const ratio = exp(clamp(logRatio, { max: LOG_RATIO_MAXIMUM })); // [M]
  const negated = neg(advantages);
  return maximum(mul(ratio, negated), mul(clamp(ratio, { min: 1 - clipLow, max: 1 + clipHigh }), negated));
}

/**
 * Clipping statistics of GSPO over host tokens; tokens of no rollout do not count. `approximateKl` is not clamped.
 *
 * @throws BatchError when `sequences` does not fit
 * @example
 * ```ts
 * gspoStatistics([-1, -2], [-1.1, -2], [0.5, 0.5], [0, 0]).clipFraction; // → 1
 * ```
 */
export function gspoStatistics(
  newLogProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantages: ArrayLike<number>,
  sequences: Sequences,
  { clipLow = gspoClip.clipLow, clipHigh = gspoClip.clipHigh }: RatioClip = {},
): ClipStatistics {
  const lengths = sequenceLengths(sequences, newLogProbs.length);
  const sums = lengths.map(() => 0);
  let count = 0;
  let difference = 0;
  for (let token = 0; token < newLogProbs.length; token++) {
    if (sequences[token] < 0) continue;
    const logRatio = newLogProbs[token] - oldLogProbs[token];
    sums[sequences[token]] += logRatio;
    difference -= logRatio;
    count += 1;
  }
  let clips = 0;
  for (let token = 0; token < newLogProbs.length; token++) {
    const id = sequences[token];
    if (id < 0) continue;
    const ratio = Math.exp(Math.min(LOG_RATIO_MAXIMUM, sums[id] / lengths[id]));
    const clipped = Math.max(1 - clipLow, Math.min(1 + clipHigh, ratio));
    if (-clipped * advantages[token] > -ratio * advantages[token]) clips += 1;
  }
  const share = (total: number) => (count === 0 ? 0 : total / count);
  return { approximateKl: share(difference), clipFraction: share(clips), dualClipFraction: 0 };
}
