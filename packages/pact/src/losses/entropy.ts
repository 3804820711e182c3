/**
 * Entropy of the policy over the whole vocabulary, as a bonus or a measure.
 */
import { entropy, mul, sum, type Tensor } from "@pact/tensor";

/**
 * Weighted entropy `Σ_n w_n H(softmax(logits_n))` in nats, a scalar. Subtract it (times a coefficient) from a loss to
 * keep the policy random; with weights 1/M it is the mean.
 *
 * @param logits [..., V], differentiable
 * @param weights [...], 0 where a position does not count
 * @example
 * ```ts
 * await entropyLoss(tensor([[0, 0], [9, 9]]), tensor([0.5, 0.5])).item(); // → 0.6931472
 * ```
 */
export function entropyLoss(logits: Tensor, weights: Tensor): Tensor {
  return sum(mul(weights, entropy(logits)));
}
