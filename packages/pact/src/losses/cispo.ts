/**
 * Losses that differentiate log π itself: plain REINFORCE (Williams 1992) and CISPO, which weighs it with a clipped
 * importance ratio (MiniMax-M1, arXiv 2506.13585 eq. 4–5). No token's gradient is ever cut to 0 by the clip.
 */
import { clamp, exp, mul, neg, stopGradient, sub, type Tensor } from "@pact/tensor";
import { type ClipStatistics, logRatioLimits, type RatioClip } from "./policy.ts";

/** ε of CISPO: no lower clip (a ratio is never below 0), as the paper, and 0.2 above, as verl's recipe. */
export const cispoClip: Required<RatioClip> = { clipLow: 1, clipHigh: 0.2 };

/**
 * REINFORCE, loss of every token: `ℓ = −A log π_θ`.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param advantages A [M]
 * @returns [M]
 * @example
 * ```ts
 * await reinforceLosses(tensor([-1, -2]), tensor([0.5, -0.5])).data(); // → [0.5, -1]
 * ```
 */
export function reinforceLosses(newLogProbs: Tensor, advantages: Tensor): Tensor {
  return mul(neg(advantages), newLogProbs);
}

/**
 * CISPO, loss of every token: `ℓ = −sg[clip(r, 1−ε_low, 1+ε_high)] A log π_θ`, r = exp(log π_θ − log π_old).
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param oldLogProbs log π_old [M], not differentiated
 * @param advantages A [M]
 * @param clip defaults 1 (no lower clip) and 0.2
 * @returns [M]
 * @see arXiv 2506.13585 eq. 4–5
 * @example
 * ```ts
 * const losses = (logs: Tensor) => cispoLosses(logs, tensor([-2, -1]), tensor([1, 1]));
 * await losses(tensor([-1, -1])).data(); // → [1.2, 1]
 * await grad((logs: Tensor) => sum(losses(logs)))(tensor([-1, -1])).data(); // → [-1.2, -1]
 * ```
 */
export function cispoLosses(
  newLogProbs: Tensor,
  oldLogProbs: Tensor,
  advantages: Tensor,
  { clipLow = cispoClip.clipLow, clipHigh = cispoClip.clipHigh }: RatioClip = {},
): Tensor {
  const ratio = exp(clamp(sub(stopGradient(newLogProbs), oldLogProbs), logRatioLimits));
  const weight = stopGradient(clamp(ratio, { min: 1 - clipLow, max: 1 + clipHigh })); // [M]
  return mul(mul(weight, neg(advantages)), newLogProbs);
}

/**
 * Statistics of CISPO over host tokens: `clipFraction` is the share of tokens whose ratio the clip changed.
 *
 * @example
 * ```ts
 * cispoStatistics([-1, -1], [-2, -1]); // → { approximateKl: -0.5, clipFraction: 0.5, dualClipFraction: 0 }
 * ```
 */
export function cispoStatistics(
  newLogProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  { clipLow = cispoClip.clipLow, clipHigh = cispoClip.clipHigh }: RatioClip = {},
): ClipStatistics {
  const count = newLogProbs.length;
  let difference = 0;
  let clips = 0;
  for (let token = 0; token < count; token++) {
    const logRatio = newLogProbs[token] - oldLogProbs[token];
    const bounded = Math.max(logRatioLimits.min, Math.min(logRatioLimits.max, logRatio));
    const ratio = Math.exp(bounded);
    difference -= bounded;
    if (ratio < 1 - clipLow || ratio > 1 + clipHigh) clips += 1;
  }
  const share = (total: number) => (count === 0 ? 0 : total / count);
  return { approximateKl: share(difference), clipFraction: share(clips), dualClipFraction: 0 };
}
