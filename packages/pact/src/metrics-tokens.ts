/**
 * Metrics of the scored tokens of a step: entropy, sampler against trainer, loss components, ratios and clipping. Names:
 * metric-table.ts.
 */

import { type MetricValues, mean } from "./counts.ts";
import type { ObjectiveOptions } from "./losses/objective.ts";
import { policyLoss } from "./losses/policy-registry.ts";
import type { MicroBatch } from "./pack.ts";
import { lossTerm } from "./trees.ts";

/**
 * Metrics of the scored tokens of a step.
 *
 * @param logProbs of the first forward of the batch, per micro-batch, in the routed contexts
 * @param policyLosses loss of each token before the update; default −A, which a clipped loss is at ratio 1
 * @param expertLoss loss of an expert token, as in the objective
 * @example
 * ```ts
 * const token = { position: 1, term: lossTerm.traced, rollout: 0, advantage: 1, policyWeight: 1, sftWeight: 0, samplerLogProb: 0 };
 * const branches = [{ ids: [7, 8], scored: [token] }, { ids: [9], scored: [{ ...token, position: 0, rollout: 1 }] }];
 * const trees = [{ prefix: { ids: [5, 6], scored: [] }, branches }];
 * const metrics = tokenMetrics(packMicroBatches(trees, 100), [Float64Array.of(-1, -3)]);
 * [metrics["tokens/step_trained"], metrics["loss/h"]]; // → [2, -2]
 * ```
 */
export function tokenMetrics(
  batches: readonly MicroBatch[],
  logProbs: readonly Float64Array[],
  policyLosses: readonly Float64Array[] = batches.map(({ advantages }) => advantages.map((a) => -a)),
  expertLoss: ObjectiveOptions["expertLoss"] = "nll",
): MetricValues {
  const sampler: number[] = [];
  const differences: number[] = [];
  const gaps: number[] = [];
  const reasoning: number[] = [];
  const calls: number[] = [];
  const answers: number[] = [];
  const experts = new Map<number, number[]>([
    [lossTerm.sftReasoning, reasoning],
    [lossTerm.sftCall, calls],
    [lossTerm.sftAnswer, answers],
  ]);
  const losses = { x: 0, h: 0, sft: 0 };
  // What each component is divided by: the weights of its own tokens.
  const weights = { x: 0, h: 0, sft: 0 };
  let samplerKl = 0;
  batches.forEach((batch, index) => {
    batch.terms.forEach((term, token) => {
      const logProb = logProbs[index][token];
      const expert = experts.get(term);
      if (expert) {
        expert.push(-logProb);
        const p = Math.exp(logProb);
        weights.sft += batch.sftWeights[token];
        losses.sft -= batch.sftWeights[token] * logProb * (expertLoss === "phi" ? p * (1 - p) : 1);
        return;
      }
      sampler.push(-batch.samplerLogProbs[token]);
      const difference = logProb - batch.samplerLogProbs[token];
      const loss = batch.policyWeights[token] * policyLosses[index][token];
      if (term === lossTerm.anchored) {
        differences.push(Math.abs(difference));
        samplerKl += Math.expm1(difference) - difference;
        losses.x += loss;
        weights.x += batch.policyWeights[token];
      } else {
        gaps.push(difference);
        losses.h += loss;
        weights.h += batch.policyWeights[token];
      }
    });
  });
  const own = (part: keyof typeof losses) => (weights[part] === 0 ? null : losses[part] / weights[part]);
  return {
    "policy/entropy": mean(sampler),
    "policy/sampler_difference": mean(differences),
    "policy/sampler_difference_max":
      differences.length === 0 ? null : differences.reduce((a, b) => Math.max(a, b)),
    "policy/sampler_kl": differences.length === 0 ? null : samplerKl / differences.length,
    "trace/gap": mean(gaps),
    "loss/x": differences.length === 0 ? null : losses.x,
    "loss/h": gaps.length === 0 ? null : losses.h,
    "loss/sft": reasoning.length + calls.length === 0 ? null : losses.sft,
    "loss/x_mean": own("x"),
    "loss/h_mean": own("h"),
    "loss/sft_mean": own("sft"),
    "tokens/step_trained": batches.reduce((sum, { targets }) => sum + targets.length, 0),
    "sft/reasoning_nll": mean(reasoning),
    "sft/call_nll": mean(calls),
    "sft/answer_nll": mean(answers),
  };
}

/** What clipping did to the rollout tokens of a batch: `old` is π_old, `new` from its last forward. */
export function clipMetrics(
  batches: readonly MicroBatch[],
  oldLogProbs: readonly Float64Array[],
  newLogProbs: readonly Float64Array[],
  { policyLoss: name = "vanilla", clipLow, clipHigh, dualClip }: ObjectiveOptions,
): MetricValues {
  const newValues: number[] = [];
  const oldValues: number[] = [];
  const advantages: number[] = [];
  const sequences: number[] = [];
  let first = 0;
  batches.forEach((batch, index) => {
    let last = -1;
    batch.terms.forEach((term, token) => {
      if (term !== lossTerm.anchored && term !== lossTerm.traced) return;
      newValues.push(newLogProbs[index][token]);
      oldValues.push(oldLogProbs[index][token]);
      advantages.push(batch.advantages[token]);
      sequences.push(first + batch.sequences[token]);
      last = Math.max(last, batch.sequences[token]);
    });
    first += last + 1;
  });
  if (oldValues.length === 0) return {};
  const tokens = { newLogProbs: newValues, oldLogProbs: oldValues, advantages, sequences };
  const statistics = policyLoss(name).statistics(tokens, { clipLow, clipHigh, dualClip });
  // With an upper bound that nothing reaches, what is left is the lower bound's.
  const low =
    clipLow === undefined
      ? 0
      : policyLoss(name).statistics(tokens, { clipLow, clipHigh: Number.MAX_VALUE, dualClip }).clipFraction;
  // Bounded as in the losses, so that one token can not make the mean infinite.
  const ratios = newValues.map((value, token) =>
    Math.exp(Math.max(-20, Math.min(20, value - oldValues[token]))),
  );
  return {
    "advantage/min": advantages.reduce((a, b) => Math.min(a, b)),
    "advantage/max": advantages.reduce((a, b) => Math.max(a, b)),
    "policy/ratio_mean": mean(ratios),
    "policy/ratio_max": ratios.reduce((a, b) => Math.max(a, b)),
    "policy/approximate_kl": statistics.approximateKl,
    "policy/clip_fraction": statistics.clipFraction,
    "policy/clip_low_fraction": low,
    "policy/clip_high_fraction": statistics.clipFraction - low,
    "policy/dual_clip_fraction": statistics.dualClipFraction,
  };
}
