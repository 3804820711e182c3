/**
 * What ratios are taken against, frozen once before the first of a batch's updates (the switch `ratioDenominator`).
 *
 * Under `trace` (PACT) that is the training forward's own log-probs in the routed context. The other readings also need
 * the rollouts of traced prompts behind their prompts alone: an extra forward on trees without traces.
 */
import { type Tensor, tensor } from "@pact/tensor";
import type { TrainConfig } from "./config.ts";
import { frozenRatio } from "./losses/denominator.ts";
import type { Model } from "./model.ts";
import type { MicroBatch } from "./pack.ts";
import { lossTerm } from "./trees.ts";
import { type FrozenLogProbs, frozenLogProbs } from "./update.ts";

/** Micro-batches with what their ratios are taken against. */
export interface FrozenBatch {
  /** The batches; under `traceTruncated` the factors are in their advantages. */
  readonly batches: readonly MicroBatch[];
  /** log π_old on the device, to be disposed; undefined: the first forward's own log-probs. */
  readonly old?: FrozenLogProbs;
  /** The same on the host, where it differs from the first forward's. */
  readonly oldValues?: readonly Float64Array[];
  /** Mean |log π_old(τ|x,h*) − log π_old(τ|x)| of traced tokens by the training forward; null if not computed. */
  readonly contextGap: number | null;
  /** Share of traced tokens whose correction the cap cut; null unless `traceTruncated`. */
  readonly truncated: number | null;
}

/**
 * Freezes the denominators of a batch at the parameters as they are.
 *
 * With one update and `trace` nothing is computed: the update's own forward is the denominator.
 *
 * @param plain the traced prompts' rollouts behind their prompts alone (`promptOnlyTrees`); unused under `trace`
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
 * const switches = { innerUpdates: 2, ratioDenominator: "trace", truncation: 2 } as const;
 * (await freezeBatch(model, batches, [], switches)).old?.length; // → 1
 * (await freezeBatch(model, batches, [], { ...switches, innerUpdates: 1 })).old; // → undefined
 * ```
 */
export async function freezeBatch(
  model: Model,
  batches: readonly MicroBatch[],
  plain: readonly MicroBatch[],
  config: Pick<TrainConfig, "innerUpdates" | "ratioDenominator" | "truncation">,
): Promise<FrozenBatch> {
  const nothing = { batches, contextGap: null, truncated: null };
  if (config.ratioDenominator === "trace" || plain.length === 0) {
    return config.innerUpdates > 1 ? { ...nothing, old: frozenLogProbs(model, batches) } : nothing;
  }
  const prompt = await promptLogProbs(model, plain);
  const own = frozenLogProbs(model, batches);
  const values = await Promise.all(own.map(async (frozen) => Float64Array.from(await frozen.data())));
  const corrected = [...batches];
  let [gap, tokens, cut] = [0, 0, 0];
  // Both lists of trees hold the tokens of a rollout in one order; parts of a split one may be in several micro-batches.
  const next = new Map<number, number>();
  batches.forEach((batch, index) => {
    const traced = Array.from(batch.terms.keys()).filter((token) => batch.terms[token] === lossTerm.traced);
    const oldPrompt = traced.map((token) => {
      const rollout = batch.rollouts[token];
      const place = next.get(rollout) ?? 0;
      next.set(rollout, place + 1);
      return prompt.get(rollout)![place];
    });
    const { ratioDenominator, truncation } = config;
    const oldTrace = traced.map((token) => values[index][token]);
    const ratio = frozenRatio(oldTrace, oldPrompt, ratioDenominator, truncation);
    const advantages = batch.advantages.slice();
    traced.forEach((token, place) => {
      values[index][token] = ratio.oldLogProbs[place];
      advantages[token] *= ratio.factors[place];
      if (ratio.factors[place] === truncation) cut += 1;
    });
    corrected[index] = { ...batch, advantages };
    gap += ratio.contextGap * traced.length;
    tokens += traced.length;
  });
  const contextGap = tokens === 0 ? null : gap / tokens;
  if (config.ratioDenominator === "traceTruncated") {
    return { batches: corrected, old: own, contextGap, truncated: tokens === 0 ? null : cut / tokens };
  }
  const old = own.map((frozen, index): Tensor => {
    const { dtype, device } = frozen;
    frozen.dispose();
    return tensor(values[index], { dtype, device });
  });
  return { batches, old, oldValues: values, contextGap, truncated: null };
}

/** log π of the sampled tokens of each rollout behind its prompt alone, by its index in the batch. */
async function promptLogProbs(model: Model, plain: readonly MicroBatch[]): Promise<Map<number, number[]>> {
  const byRollout = new Map<number, number[]>();
  const frozen = frozenLogProbs(model, plain);
  const values = await Promise.all(frozen.map((batch) => batch.data()));
  for (const batch of frozen) batch.dispose();
  plain.forEach(({ rollouts }, index) => {
    rollouts.forEach((rollout, token) => {
      const own = byRollout.get(rollout);
      if (own) own.push(Number(values[index][token]));
      else byRollout.set(rollout, [Number(values[index][token])]);
    });
  });
  return byRollout;
}
