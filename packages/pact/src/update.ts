/**
 * Gradients of the objective over micro-batches: forward in the routed context, accumulate, read back what is logged.
 *
 * Old log-probs (arXiv 2606.16215 §method; details in `oldLogProbs`) come from this same forward with this same packing, never from the
 * sampler: the sampler saw no trace, and its kernels round differently.
 */
import { type Params, type TransformerConfig, tokenLogProbs } from "@pact/nn";
import { add, scope, sqrt, square, stopGradient, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import type { MicroBatch } from "./batch.ts";
import { type ObjectiveOptions, pactObjective } from "./losses/objective.ts";

/** A model: its configuration and parameters. */
export interface Model {
  readonly config: TransformerConfig;
  readonly params: Params;
}

/** Gradient of a whole batch and what it was computed from. */
export interface BatchGradient {
  /** Sum over micro-batches; the caller disposes them. */
  readonly grads: Params;
  readonly loss: number;
  /** log π_θ of the scored tokens of each micro-batch, before the update. */
  readonly logProbs: readonly Float64Array[];
}

/** Frozen log-probs of each micro-batch's scored tokens [M], on the device. */
export type FrozenLogProbs = readonly Tensor[];

/**
 * log π of every scored token in its routed context, frozen: π_old for several updates on one batch, or the KL
 * reference. The caller disposes the tensors.
 */
export function frozenLogProbs({ config, params }: Model, batches: readonly MicroBatch[]): FrozenLogProbs {
  return batches.map((batch) => tokenLogProbs(config, params, batch.packed, batch.targets));
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
 */
export async function batchGradient(
  { config, params }: Model,
  batches: readonly MicroBatch[],
  options: ObjectiveOptions,
  { old, reference }: { readonly old?: FrozenLogProbs; readonly reference?: FrozenLogProbs } = {},
): Promise<BatchGradient> {
  let grads: Params | undefined;
  const losses: Tensor[] = [];
  const scored: Tensor[] = [];
  batches.forEach((batch, index) => {
    const device = Object.values(params)[0].device;
    const { dtype } = Object.values(params)[0];
    const column = (values: Float64Array) => tensor(values, { dtype, device });
    const step = scope(() => {
      const fixed = {
        advantages: column(batch.advantages),
        policyWeights: column(batch.policyWeights),
        sftWeights: column(batch.sftWeights),
        referenceLogProbs: reference?.[index],
      };
      const objective = (theta: Params): [Tensor, Tensor] => {
        const logProbs = tokenLogProbs(config, theta, batch.packed, batch.targets); // [M]
        const oldLogProbs = old ? old[index] : stopGradient(logProbs);
        return [pactObjective({ ...fixed, logProbs, oldLogProbs }, options).loss, logProbs];
      };
      const { value, aux, grads: part } = valueAndGrad(objective, { aux: true })(params);
      return { value, aux, grads: grads === undefined ? part : addParams(grads, part) };
    });
    if (grads) disposeParams(grads);
    grads = step.grads;
    losses.push(step.value);
    scored.push(step.aux);
  });
  const logProbs = await Promise.all(scored.map(async (values) => Float64Array.from(await values.data())));
  const parts = await Promise.all(losses.map((loss) => loss.item()));
  for (const read of [...losses, ...scored]) read.dispose();
  return { grads: grads ?? {}, loss: parts.reduce((total, part) => total + part, 0), logProbs };
}

/**
 * Global gradient norm of one term of the objective alone, for logging; costs a forward and backward.
 *
 * @param keep terms (`lossTerm`) whose tokens keep their weights
 */
export async function termGradientNorm(
  model: Model,
  batches: readonly MicroBatch[],
  options: ObjectiveOptions,
  keep: readonly number[],
): Promise<number> {
  const masked = batches.map((batch): MicroBatch => {
    const only = (weights: Float64Array) =>
      weights.map((weight, token) => (keep.includes(batch.terms[token]) ? weight : 0));
    return { ...batch, policyWeights: only(batch.policyWeights), sftWeights: only(batch.sftWeights) };
  });
  const { grads } = await batchGradient(model, masked, { ...options, klCoefficient: 0 });
  const squared = scope(() =>
    Object.values(grads)
      .map((gradient) => sum(square(gradient)))
      .reduce(add),
  );
  const norm = scope(() => sqrt(squared));
  const value = await norm.item();
  disposeParams(grads);
  squared.dispose();
  norm.dispose();
  return value;
}

/** Frees every tensor of a record. */
export function disposeParams(params: Params): void {
  for (const value of Object.values(params)) value.dispose();
}

function addParams(a: Params, b: Params): Params {
  return Object.fromEntries(Object.entries(a).map(([name, value]) => [name, add(value, b[name])]));
}
