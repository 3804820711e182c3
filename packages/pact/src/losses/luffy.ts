/**
 * LUFFY: expert tokens inside the policy-gradient group, with a shaped ratio (Yan et al. 2025, arXiv 2504.14945).
 *
 * The expert's own probability is taken as 1, so the ratio of an expert token is π_θ itself (pass `expertLogProbs`
 * where it is known); shaping f(r) = r/(r + γ) keeps rare expert tokens from vanishing. The ratio of expert tokens is
 * not clipped. Advantages come from the group with the expert's rollout in it.
 */
import { add, div, exp, mul, neg, stopGradient, sub, type Tensor, where } from "@pact/tensor";
import { ConfigError } from "../errors.ts";
import { type ClipOptions, policyLosses } from "./policy.ts";

/** Options of `luffyLosses`. */
export interface LuffyOptions extends ClipOptions {
  /** γ of the shaping r/(r + γ); default 0.1. */
  readonly gamma?: number;
}

/**
 * `f(r) = r / (r + γ)`, r = exp(logRatio): from 0 to 1, with slope γ/(r + γ)², largest where r is small.
 *
 * @param logRatio [M], differentiable: log π_θ, or log π_θ − log π_expert
 * @returns [M]
 * @throws ConfigError unless γ > 0
 * @see arXiv 2504.14945 eq. 6
 * @example
 * ```ts
 * await shapedRatio(tensor([0.1, 0.9].map(Math.log))).data(); // → [0.5, 0.9]
 * ```
 */
export function shapedRatio(logRatio: Tensor, gamma = 0.1): Tensor {
  if (!(gamma > 0 && Number.isFinite(gamma)))
    throw new ConfigError(`shapedRatio: gamma is ${gamma}, expected a positive number. Default 0.1.`);
  const ratio = exp(logRatio);
  return div(ratio, add(ratio, gamma));
}

/**
 * Loss of every token of a mixed group: `−f(π_θ/π_expert) A` for the expert's tokens, the clipped surrogate for others.
 *
 * @param newLogProbs log π_θ [M], differentiable
 * @param oldLogProbs log π_old [M] of sampled tokens; at expert tokens log π_expert, 0 where it is unknown
 * @param advantages A [M]
 * @param expert bool [M]: true at the expert's tokens
 * @returns [M]
 * @see arXiv 2504.14945 eq. 5–6
 * @example
 * ```ts
 * const isExpert = tensor([true, false]);
 * await luffyLosses(tensor([0.1, 1].map(Math.log)), zeros([2]), tensor([1, 1]), isExpert).data(); // → [-0.5, -1]
 * ```
 */
export function luffyLosses(
  newLogProbs: Tensor,
  oldLogProbs: Tensor,
  advantages: Tensor,
  expert: Tensor,
  { gamma, ...clip }: LuffyOptions = {},
): Tensor {
  const shaped = mul(neg(advantages), shapedRatio(sub(newLogProbs, stopGradient(oldLogProbs)), gamma));
  return where(expert, shaped, policyLosses(newLogProbs, oldLogProbs, advantages, clip));
}
