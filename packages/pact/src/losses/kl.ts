/**
 * Per-token KL penalty to a frozen reference policy: the k3 estimator (Schulman, "Approximating KL divergence", 2020).
 *
 * For tokens sampled from π_θ its mean is KL(π_θ ‖ π_ref). Left out: k1, k2 and the exact KL.
 */
import { add, clamp, exp, neg, sub, type Tensor } from "@pact/tensor";

/**
 * k3 of every token: `e^−d + d − 1 ≥ 0`, d = log π_θ − log π_ref.
 *
 * As in verl, d is clamped to ±20 and the value to ±10, so the gradient vanishes far out in the tail.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param referenceLogProbs log π_ref [M] of the same tokens in the same context
 * @returns [M]
 * @example klPenalties(newLogProbs, referenceLogProbs)
 */
export function klPenalties(newLogProbs: Tensor, referenceLogProbs: Tensor): Tensor {
  const difference = clamp(sub(newLogProbs, referenceLogProbs), { min: -20, max: 20 });
  return clamp(sub(add(exp(neg(difference)), difference), 1), { min: -10, max: 10 });
}
