/**
 * Gradients of the objective over micro-batches: forward in the routed context, accumulate, read back what is logged.
 *
 * Old log-probs (arXiv 2606.16215 §method) come from this same forward with this same packing, or are frozen before the
 * first of several updates (`freezeBatch` in denominators.ts, also those of the prompt alone), never from the sampler: the
 * sampler saw no trace, and its kernels round differently.
 */
import { type Params, targetLogits, tokenLogProbs } from "@pact/nn";
import {
  add,
  entropy,
  logProbGather,
  mul,
  scope,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
} from "@pact/tensor";
import { klPenalties } from "./losses/kl.ts";
import { type ObjectiveOptions, pactObjective } from "./losses/objective.ts";
import { policyLoss } from "./losses/policy-registry.ts";
import { forwardParams, type Model } from "./model.ts";
import type { MicroBatch } from "./pack.ts";

/** Gradient of a whole batch and what it was computed from. */
export interface BatchGradient {
  /** Sum over micro-batches; the caller disposes them. */
  readonly grads: Params;
  readonly loss: number;
  /** log π_θ of the scored tokens of each micro-batch, before the update. */
  readonly logProbs: readonly Float64Array[];
  /** Weighted sum of the KL estimates and of the entropies before their coefficients; null without the term. */
  readonly kl: number | null;
  readonly entropy: number | null;
}

/** The objective's options, and what belongs to its gradient. */
export interface UpdateOptions extends ObjectiveOptions {
  /** Weight of the entropy bonus over rollout tokens; default 0. */
  readonly entropyWeight?: number;
  /** What the loss is multiplied by on the way back through f16 (loss-scale.ts); default 1. Loss and gradient are without. */
  readonly lossScale?: number;
}

/** Frozen log-probs of each micro-batch's scored tokens [M], on the device. */
export type FrozenLogProbs = readonly Tensor[];

/** π_old and the KL reference of each micro-batch. */
export interface Frozen {
  readonly old?: FrozenLogProbs;
  readonly reference?: FrozenLogProbs;
}

/**
 * log π of every scored token in its routed context, frozen: π_old for several updates on one batch, or the KL
 * reference. The caller disposes the tensors.
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
 * frozenLogProbs(model, batches)[0]; // → f32[2]
 * ```
 */
export function frozenLogProbs(model: Model, batches: readonly MicroBatch[]): FrozenLogProbs {
  return batches.map((batch) => scope(() => scoredLogProbs(model, model.params, batch, false).logProbs));
}

/**
 * Loss and gradient of the objective over all micro-batches.
 *
 * Without `old`, π_old is this forward's own log-probs under stopGradient: before the first update of a batch they are
 * the very numbers a second forward would give, so every ratio is exactly 1 and no second forward is needed. With
 * several updates per batch, `old` must be frozen before the first of them.
 *
 * @param old π_old of each micro-batch
 * @param reference frozen reference of each micro-batch, for the KL term
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
 * const { loss, grads } = await batchGradient(model, batches, { sftWeight: 0 });
 * loss; // → -2
 * grads["model.norm.weight"]; // → f32[8]
 * ```
 */
export async function batchGradient(
  model: Model,
  batches: readonly MicroBatch[],
  options: UpdateOptions,
  { old, reference }: Frozen = {},
): Promise<BatchGradient> {
  let grads: Params | undefined;
  const losses: Tensor[] = [];
  const scored: Tensor[] = [];
  const extras: { readonly kl?: Tensor; readonly entropy?: Tensor }[] = [];
  const { params } = model;
  const { entropyWeight = 0, klCoefficient = 0, klEstimator, lossScale = 1 } = options;
  batches.forEach((batch, index) => {
    const { dtype, device } = Object.values(params)[0];
    const column = (values: Float64Array) => tensor(values, { dtype, device });
    const step = scope(() => {
      const fixed = {
        advantages: column(batch.advantages),
        policyWeights: column(batch.policyWeights),
        sftWeights: column(batch.sftWeights),
        referenceLogProbs: reference?.[index],
        sequences: batch.sequences,
      };
      const objective = (theta: Params): [Tensor, ForwardTensors] => {
        const { logProbs, entropies } = scoredLogProbs(model, theta, batch, entropyWeight > 0);
        const oldLogProbs = old ? old[index] : stopGradient(logProbs);
        const { loss } = pactObjective({ ...fixed, logProbs, oldLogProbs }, options);
        const mean = (values: Tensor) => sum(mul(fixed.policyWeights, values));
        const kl =
          klCoefficient > 0 && fixed.referenceLogProbs
            ? mean(klPenalties(stopGradient(logProbs), fixed.referenceLogProbs, klEstimator))
            : undefined;
        const bonus = entropies && mean(entropies);
        const total = bonus ? sub(loss, mul(bonus, entropyWeight)) : loss;
        const scaled = lossScale === 1 ? total : mul(total, lossScale);
        return [scaled, { loss: total, logProbs, kl, entropy: bonus }];
      };
      const { aux, grads: part } = valueAndGrad(objective, { aux: true })(params);
      return { aux, part };
    });
    const { loss, logProbs, ...extra } = step.aux;
    grads = grads === undefined ? step.part : summed(grads, step.part);
    losses.push(loss);
    scored.push(logProbs);
    extras.push(extra);
  });
  const logProbs = await Promise.all(scored.map(async (values) => Float64Array.from(await values.data())));
  const total = async (scalars: readonly (Tensor | undefined)[]): Promise<number | null> => {
    const there = scalars.filter((scalar) => scalar !== undefined);
    const parts = await Promise.all(there.map((scalar) => scalar.item()));
    for (const scalar of there) scalar.dispose();
    return parts.length === 0 ? null : parts.reduce((sum, part) => sum + part, 0);
  };
  const loss = (await total(losses)) ?? 0;
  const kl = await total(extras.map((extra) => extra.kl));
  const bonus = await total(extras.map((extra) => extra.entropy));
  for (const read of scored) read.dispose();
  return { grads: unscaled(grads ?? {}, lossScale), loss, logProbs, kl, entropy: bonus };
}

interface ForwardTensors {
  readonly loss: Tensor;
  readonly logProbs: Tensor;
  readonly kl?: Tensor;
  readonly entropy?: Tensor;
}

/** log π of a micro-batch's scored tokens [M] and, if wanted, the entropy of the distributions they are from [M]. */
function scoredLogProbs(
  model: Model,
  trained: Params,
  { packed, targets }: MicroBatch,
  withEntropy: boolean,
): { readonly logProbs: Tensor; readonly entropies?: Tensor } {
  const { config, forward } = model;
  const params = forwardParams(model, trained);
  if (!withEntropy) return { logProbs: tokenLogProbs(config, params, packed, targets, forward) };
  const scores = targetLogits(config, params, packed, targets, forward); // [M, V]
  const ids = targets.map((target) => packed.ids[target]);
  const at = tensor(ids, { dtype: "i32", device: scores.device });
  return { logProbs: logProbGather(scores, at), entropies: entropy(scores) };
}

/**
 * Policy loss of every scored token before the update, for the metrics; 0 at expert tokens.
 *
 * Where every ratio is 1 a clipped loss is −A, and nothing is computed.
 *
 * @param logProbs of the first forward
 * @param oldLogProbs what ratios are taken against, where it is not `logProbs`
 */
export async function tokenLosses(
  { params }: Model,
  batches: readonly MicroBatch[],
  logProbs: readonly Float64Array[],
  oldLogProbs: readonly Float64Array[] | undefined,
  options: ObjectiveOptions,
): Promise<Float64Array[]> {
  const { policyLoss: name = "vanilla", clipLow, clipHigh, dualClip } = options;
  const loss = policyLoss(name);
  if (oldLogProbs === undefined && (name === "vanilla" || name === "gspo")) {
    return batches.map(({ advantages }) => advantages.map((advantage) => -advantage));
  }
  const { dtype, device } = Object.values(params)[0];
  return Promise.all(
    batches.map(async ({ advantages, sequences }, index) => {
      const values = scope(() => {
        const column = (numbers: Float64Array) => tensor(numbers, { dtype, device });
        const tokens = {
          newLogProbs: column(logProbs[index]),
          oldLogProbs: column((oldLogProbs ?? logProbs)[index]),
          advantages: column(advantages),
          sequences,
        };
        return loss.losses(tokens, { clipLow, clipHigh, dualClip });
      });
      const read = Float64Array.from(await values.data());
      values.dispose();
      return read;
    }),
  );
}

/** Frees every tensor of a record. */
export function disposeParams(params: Params): void {
  for (const value of Object.values(params)) value.dispose();
}

/** The sum of two gradients, which are given back tensor by tensor: there are never three of them at once. */
function summed(a: Params, b: Params): Params {
  return replaced(a, (value, name) => {
    const total = add(value, b[name]);
    b[name].dispose();
    return total;
  });
}

/** Takes the loss scale out of a gradient again, in f32 and so exactly. */
function unscaled(grads: Params, lossScale: number): Params {
  return lossScale === 1 ? grads : replaced(grads, (value) => mul(value, 1 / lossScale));
}

/** Puts another tensor in the place of each, and gives the old one back before the next is made. */
function replaced(params: Params, make: (value: Tensor, name: string) => Tensor): Params {
  const entries = Object.entries(params).map(([name, value]) => {
    const other = make(value, name);
    value.dispose();
    return [name, other] as const;
  });
  return Object.fromEntries(entries);
}
