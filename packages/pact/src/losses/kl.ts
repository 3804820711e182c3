/**
 * KL divergence to a frozen reference policy: per-token estimators (Schulman, "Approximating KL divergence", 2020; the
 * clamps of verl), and the exact divergence from logits.
 *
 * For tokens sampled from π_θ the means of k1 and k3 are KL(π_θ ‖ π_ref). Value and gradient are different matters: the
 * mean gradient of k1 is 0, that of k2 is the gradient of the exact KL, that of k3 the gradient of KL(π_ref ‖ π_θ). So
 * `k3+` takes the value of k3 and the gradient of k2.
 */
import {
  abs,
  add,
  clamp,
  expm1,
  klDivergence,
  mul,
  neg,
  square,
  stopGradient,
  sub,
  type Tensor,
} from "@pact/tensor";
import { ConfigError } from "../errors.ts";

/**
 * Names of the estimators; a "+" keeps the value and takes the gradient of k2.
 *
 * @example
 * ```ts
 * klEstimators.includes("k3"); // → true
 * ```
 */
export const klEstimators = ["k1", "k2", "k3", "abs", "k1+", "k3+", "abs+"] as const;

/** One of `klEstimators`. */
export type KlEstimator = (typeof klEstimators)[number];

/**
 * Estimate of the KL at every token, d = log π_θ − log π_ref:
 *
 *     k1   d                     mean is the KL; noisy, and of either sign
 *     k2   d²/2                  biased; its mean gradient is that of the exact KL
 *     k3   e^−d + d − 1 ≥ 0      mean is the KL (default)
 *     abs  |d|
 *
 * For k3, as in verl, d is clamped to ±20 and the value to at most 10, so its gradient vanishes far out in the tail.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param referenceLogProbs log π_ref [M] of the same tokens in the same context, not differentiated
 * @returns [M]
 * @throws ConfigError for an unknown estimator
 * @see verl core_algos.py @b178a3cd5, for the "+" forms @1dda039b
 * @example
 * ```ts
 * const [fresh, reference] = [tensor([-1, -2]), tensor([-1, -1])];
 * await klPenalties(fresh, reference, "k1").data(); // → [0, -1]
 * await klPenalties(fresh, reference, "k2").data(); // → [0, 0.5]
 * await klPenalties(fresh, reference).data(); // → [0, 0.7182818]
 * ```
 */
export function klPenalties(
  newLogProbs: Tensor,
  referenceLogProbs: Tensor,
  estimator: KlEstimator = "k3",
): Tensor {
  if (!klEstimators.includes(estimator)) {
    throw new ConfigError(
      `klPenalties: no estimator "${estimator}". Take one of ${klEstimators.join(", ")}.`,
    );
  }
  const difference = sub(newLogProbs, stopGradient(referenceLogProbs)); // [M]
  if (!estimator.endsWith("+")) return estimate(difference, estimator);
  const gradient = estimate(difference, "k2");
  const value = stopGradient(estimate(difference, estimator.slice(0, -1)));
  return add(sub(gradient, stopGradient(gradient)), value);
}

function estimate(difference: Tensor, estimator: string): Tensor {
  if (estimator === "k1") return difference;
  if (estimator === "k2") return mul(square(difference), 0.5);
  if (estimator === "abs") return abs(difference);
  const bounded = clamp(difference, { min: -20, max: 20 });
  // expm1 keeps small differences exact, where e^−d − 1 would round to something negative.
  return clamp(add(expm1(neg(bounded)), bounded), { min: 0, max: 10 });
}

/**
 * Exact KL(π_θ ‖ π_ref) at every position, over the whole vocabulary; the reference is not differentiated.
 *
 * @param logits of π_θ [M, V], differentiable
 * @param referenceLogits of π_ref [M, V] in the same context
 * @returns [M]
 * @example
 * ```ts
 * await exactKlPenalties(tensor([[0, 0], [1, 2]]), tensor([[Math.log(3), 0], [1, 2]])).data(); // → [0.1438410, 0]
 * ```
 */
export function exactKlPenalties(logits: Tensor, referenceLogits: Tensor): Tensor {
  return klDivergence(logits, stopGradient(referenceLogits));
}
