/** Norms of gradients: of a batch, of its terms apart, and of one that f16 must not have left the floats. */
import type { Params } from "@pact/nn";
import { add, scope, sqrt, square, sum } from "@pact/tensor";
import { LossScale } from "./loss-scale.ts";
import type { Model } from "./model.ts";
import type { MicroBatch } from "./pack.ts";
import { lossTerm } from "./trees.ts";
import {
  type BatchGradient,
  batchGradient,
  disposeParams,
  type FrozenLogProbs,
  type UpdateOptions,
} from "./update.ts";

/**
 * A batch's gradient and its norm; with a loss scale computed again with half of it until both are finite.
 *
 * @param scale of the loss where gradients pass through f16; left as small as it had to be made
 * @param compute the gradient at a loss scale
 * @returns the norm is NaN or infinite where no scale helps: the loss is, or the gradient without a scale
 */
export async function finiteGradient(
  scale: LossScale | undefined,
  compute: (lossScale: number) => Promise<BatchGradient>,
): Promise<{ readonly gradient: BatchGradient; readonly norm: number }> {
  for (;;) {
    const gradient = await compute(scale?.value ?? 1);
    const isFinite = Number.isFinite(gradient.loss);
    const norm = isFinite ? await gradientNorm(gradient.grads) : Number.NaN;
    if (Number.isFinite(norm) || !isFinite || !scale?.halve()) return { gradient, norm };
    disposeParams(gradient.grads);
  }
}

/**
 * Global gradient norm of one term of the objective alone, for logging; costs a forward and backward.
 *
 * @param keep terms (`lossTerm`) whose tokens keep their weights
 * @param scale of the loss where gradients pass through f16; it is not changed, so that logging leaves the run as it is
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 16, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 32, tie_word_embeddings: true,
 * });
 * const model = { config, params: initParams(config, key(0)) };
 * const token = { position: 1, term: lossTerm.traced, rollout: 0, advantage: 1, policyWeight: 1, sftWeight: 0, samplerLogProb: 0 };
 * const branches = [{ ids: [7, 8], scored: [token] }, { ids: [9], scored: [{ ...token, position: 0, rollout: 1 }] }];
 * const trees = [{ prefix: { ids: [5, 6], scored: [] }, branches }];
 * const batches = packMicroBatches(trees, 100);
 * (await termGradientNorm(model, batches, { sftWeight: 0 }, [lossTerm.traced])) > 0; // → true
 * await termGradientNorm(model, batches, { sftWeight: 0 }, [lossTerm.anchored]); // → 0
 * ```
 */
export async function termGradientNorm(
  model: Model,
  batches: readonly MicroBatch[],
  options: UpdateOptions,
  keep: readonly number[],
  old?: FrozenLogProbs,
  scale?: LossScale,
): Promise<number> {
  const masked = batches.map((batch): MicroBatch => {
    const only = (weights: Float64Array) =>
      weights.map((weight, token) => (keep.includes(batch.terms[token]) ? weight : 0));
    return { ...batch, policyWeights: only(batch.policyWeights), sftWeights: only(batch.sftWeights) };
  });
  const alone = { ...options, klCoefficient: 0, entropyWeight: 0 };
  const { gradient, norm } = await finiteGradient(scale && new LossScale(scale.state), (lossScale) =>
    batchGradient(model, masked, { ...alone, lossScale }, { old }),
  );
  disposeParams(gradient.grads);
  return norm;
}

/**
 * Global norm √Σg² of a gradient, read back; NaN or infinity if any of it is.
 *
 * @example await gradientNorm(grads) // 1.5
 */
export async function gradientNorm(grads: Params): Promise<number> {
  const norm = scope(() =>
    sqrt(
      Object.values(grads)
        .map((gradient) => sum(square(gradient)))
        .reduce(add),
    ),
  );
  const value = await norm.item();
  norm.dispose();
  return value;
}

/**
 * Gradient norms of L^x, L^h and the SFT terms apart, as metrics.
 *
 * @example await termNorms(model, batches, options)
 */
export async function termNorms(
  model: Model,
  batches: readonly MicroBatch[],
  options: UpdateOptions,
  old?: FrozenLogProbs,
  scale?: LossScale,
): Promise<{ [name: string]: number }> {
  const { anchored, traced, sftReasoning, sftCall, sftAnswer } = lossTerm;
  const norm = (...terms: number[]) => termGradientNorm(model, batches, options, terms, old, scale);
  return {
    "gradient/x": await norm(anchored),
    "gradient/h": await norm(traced),
    "gradient/sft": await norm(sftReasoning, sftCall, sftAnswer),
  };
}
