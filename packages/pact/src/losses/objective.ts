/**
 * The PACT objective over one packed row of scored tokens.
 *
 *     L_i = (1 − z_i) [ L^h_i + β L_SFT,i ] + z_i L^x_i ,   L = mean_i L_i            arXiv 2606.16215 eq. 12–14
 *
 * The gate acts before the forward: a prompt with z = 1 is packed without its trace, one with z = 0 behind it. So L^h
 * and L^x share one term here, over log-probs "in the routed context", and what is not routed is not computed.
 * Departure: the optional KL term (k3, same context on both sides) is this project's reading.
 */
import { add, mul, neg, sum, type Tensor } from "@pact/tensor";
import { klPenalties } from "./kl.ts";
import { type ClipOptions, policyLosses } from "./policy.ts";

/** Per-token inputs of `pactObjective`, all [M] over the scored tokens of a packed row. */
export interface ObjectiveInputs {
  /** log π_θ in the routed context; differentiable. */
  readonly logProbs: Tensor;
  /** log π_old in the routed context. */
  readonly oldLogProbs: Tensor;
  /** log of the frozen reference in the routed context; needed when `klCoefficient` > 0. */
  readonly referenceLogProbs?: Tensor;
  /** A, 0 at expert tokens. */
  readonly advantages: Tensor;
  /** Weight in L^h or L^x (`rolloutTokenWeights`), 0 at expert tokens. */
  readonly policyWeights: Tensor;
  /** Weight in the SFT term (`sftTokenWeights` / prompts), 0 at rollout tokens. */
  readonly sftWeights: Tensor;
}

/** Options of `pactObjective`. */
export interface ObjectiveOptions extends ClipOptions {
  /** β_SFT. */
  readonly sftWeight: number;
  /** Weight of the KL penalty, averaged like the surrogate. Default 0. */
  readonly klCoefficient?: number;
}

/** Scalars: the loss and its terms before their coefficients. */
export interface ObjectiveTerms {
  readonly loss: Tensor;
  readonly policy: Tensor;
  readonly sft: Tensor;
}

/**
 * `Σ w_policy ℓ + β Σ w_sft (−log π_θ) + c Σ w_policy k3`, a scalar, and the first two sums.
 *
 * Adding the losses of micro-batches gives the loss of the batch: the weights carry every denominator.
 *
 * @see arXiv 2606.16215 eq. 12–14
 * @example const { loss } = pactObjective(inputs, { sftWeight: 0.1 });
 */
export function pactObjective(inputs: ObjectiveInputs, options: ObjectiveOptions): ObjectiveTerms {
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, policyWeights, sftWeights } = inputs;
  const policy = sum(mul(policyWeights, policyLosses(logProbs, oldLogProbs, advantages, options)));
  const sft = sum(mul(sftWeights, neg(logProbs)));
  let loss = add(policy, mul(sft, options.sftWeight));
  const { klCoefficient = 0 } = options;
  if (klCoefficient > 0 && referenceLogProbs) {
    loss = add(loss, mul(sum(mul(policyWeights, klPenalties(logProbs, referenceLogProbs))), klCoefficient));
  }
  return { loss, policy, sft };
}
