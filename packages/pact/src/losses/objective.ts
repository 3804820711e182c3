/**
 * The PACT objective over one packed row of scored tokens.
 *
 *     L_i = (1 − z_i) [ L^h_i + β L_SFT,i ] + z_i L^x_i ,   L = mean_i L_i            arXiv 2606.16215 eq. 12–14
 *
 * The gate acts before the forward: a prompt with z = 1 is packed without its trace, one with z = 0 behind it. So L^h
 * and L^x share one term here, over log-probs "in the routed context", and what is not routed is not computed.
 * Departure: the optional KL term (k3, same context on both sides) is this project's reading. The baselines are the
 * same sum with other parts: another policy loss, CHORD's φ on expert tokens, other weights of the two terms.
 */
import { add, mul, neg, sum, type Tensor } from "@pact/tensor";
import { chordPhiLosses } from "./chord.ts";
import { type KlEstimator, klPenalties } from "./kl.ts";
import type { ClipOptions } from "./policy.ts";
import { type PolicyLossName, policyLoss } from "./policy-registry.ts";
import type { Sequences } from "./sequences.ts";

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
  /** Rollout of each token, −1 at expert tokens; needed by a policy loss with one ratio per rollout. */
  readonly sequences?: Sequences;
}

/** Options of `pactObjective`. */
export interface ObjectiveOptions extends ClipOptions {
  /** β_SFT. */
  readonly sftWeight: number;
  /** Weight of the policy term. Default 1; 1 − μ for CHORD. */
  readonly policyWeight?: number;
  /** Weight of the KL penalty, averaged like the surrogate. Default 0. */
  readonly klCoefficient?: number;
  /** Default `k3`. */
  readonly klEstimator?: KlEstimator;
  /** Default `vanilla`. */
  readonly policyLoss?: PolicyLossName;
  /** Loss of an expert token: `nll` −log π_θ (default), or `phi` of CHORD. */
  readonly expertLoss?: "nll" | "phi";
}

/** Scalars: the loss and its terms before their coefficients. */
export interface ObjectiveTerms {
  readonly loss: Tensor;
  readonly policy: Tensor;
  readonly sft: Tensor;
}

/**
 * `Σ w_policy ℓ + β Σ w_sft (−log π_θ) + c Σ w_policy KL`, a scalar, and the first two sums.
 *
 * Adding the losses of micro-batches gives the loss of the batch: the weights carry every denominator.
 *
 * @throws ConfigError for an unknown policy loss or estimator, or a clip option that the policy loss does not take
 * @see arXiv 2606.16215 eq. 12–14
 * @example
 * ```ts
 * const terms = pactObjective(
 *   {
 *     logProbs: tensor([-1, -2]), // a token of a rollout and one of the expert
 *     oldLogProbs: tensor([-1, -2]),
 *     advantages: tensor([3, 0]),
 *     policyWeights: tensor([1, 0]),
 *     sftWeights: tensor([0, 1]),
 *   },
 *   { sftWeight: 0.1 },
 * );
 * await terms.policy.item(); // → -3
 * await terms.sft.item(); // → 2
 * await terms.loss.item(); // → -2.8
 * ```
 */
export function pactObjective(inputs: ObjectiveInputs, options: ObjectiveOptions): ObjectiveTerms {
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, policyWeights, sftWeights, sequences } =
    inputs;
  const { policyWeight = 1, sftWeight, klCoefficient = 0, klEstimator = "k3" } = options;
  const { clipLow, clipHigh, dualClip } = options;
  const tokens = { newLogProbs: logProbs, oldLogProbs, advantages, sequences };
  const losses = policyLoss(options.policyLoss ?? "vanilla").losses(tokens, { clipLow, clipHigh, dualClip });
  const policy = sum(mul(policyWeights, losses));
  const expert = options.expertLoss === "phi" ? chordPhiLosses(logProbs) : neg(logProbs);
  const sft = sum(mul(sftWeights, expert));
  let loss = add(policyWeight === 1 ? policy : mul(policy, policyWeight), mul(sft, sftWeight));
  if (klCoefficient > 0 && referenceLogProbs) {
    const penalties = klPenalties(logProbs, referenceLogProbs, klEstimator);
    loss = add(loss, mul(sum(mul(policyWeights, penalties)), klCoefficient));
  }
  return { loss, policy, sft };
}
