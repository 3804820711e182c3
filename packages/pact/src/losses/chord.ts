/**
 * CHORD: reinforcement learning with a dynamically weighted supervised loss on expert tokens (Zhang et al. 2025,
 * arXiv 2508.11408; formulas as in modelscope/Trinity-RFT @04143305).
 *
 *     L = (1 − μ) L_policy + μ · mean(−sg[p (1 − p)] log p)
 *
 * CHORD-φ uses a fixed μ (0.1); CHORD-μ anneals it (`chordMu` in schedules.ts) and drops the weight p (1 − p).
 */
import { add, exp, mul, neg, stopGradient, sub, type Tensor } from "@pact/tensor";
import { ConfigError } from "../errors.ts";

/**
 * φ loss of every expert token: `−sg[p (1 − p)] log p`. Tokens the policy is sure of, either way, are left alone.
 *
 * @param logProbs log p of the expert's tokens [M], differentiable
 * @returns [M]
 * @see arXiv 2508.11408 eq. 6–7
 * @example
 * ```ts
 * await chordPhiLosses(tensor([0.5, 1].map(Math.log))).data(); // → [0.1732868, 0]
 * ```
 */
export function chordPhiLosses(logProbs: Tensor): Tensor {
  const p = exp(stopGradient(logProbs));
  return mul(mul(p, sub(1, p)), neg(logProbs));
}

/**
 * `(1 − μ) · policy + μ · expert`, two scalars that were each averaged over their own tokens.
 *
 * @param mu μ from 0 to 1
 * @throws ConfigError when μ is outside
 * @example
 * ```ts
 * await chordMix(tensor(1), tensor(2), 0.1).item(); // → 1.1
 * chordMix(tensor(1), tensor(2), 2); // → throws ConfigError
 * ```
 */
export function chordMix(policy: Tensor, expert: Tensor, mu: number): Tensor {
  if (!(mu >= 0 && mu <= 1))
    throw new ConfigError(`chordMix: mu is ${mu}, expected a number from 0 to 1. Default 0.1.`);
  return add(mul(policy, 1 - mu), mul(expert, mu));
}
