/**
 * Per-token KL penalty to a frozen reference policy: the k3 estimator (Schulman, "Approximating KL divergence", 2020).
 *
 * For tokens sampled from π_θ its mean is KL(π_θ ‖ π_ref). Left out: k1, k2 and the exact KL.
 */
import { add, clamp, expm1, neg, sub, type Tensor } from "@pact/tensor";

/**
 * k3 of every token: `e^−d + d − 1 ≥ 0`, d = log π_θ − log π_ref.
 *
 * As in verl, d is clamped to ±20 and the value to at most 10, so the gradient vanishes far out in the tail.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param referenceLogProbs log π_ref [M] of the same tokens in the same context
 * @returns [M]
 * @example klPenalties(newLogProbs, referenceLogProbs)
 */
export function klPenalties(newLogProbs: Tensor, referenceLogProbs: Tensor): Tensor {
  const difference = clamp(sub(newLogProbs, referenceLogProbs), { min: -20, max: 20 });
  // expm1 keeps small differences exact, where e^−d − 1 would round to something negative.
  return clamp(add(expm1(neg(difference)), difference), { min: 0, max: 10 });
}
