/**
 * What the kinds with a clipped surrogate share: clipping options, the weights that turn a padded batch into a weighted
 * sum, and that sum per prompt.
 */
import { callWeight, rolloutTokenWeights, type SftNormaliser } from "@pact/pact";
import { type Attrs, type Batch, choiceOf, numberOf } from "./batch.ts";

/** Clipping options of a case with a plain clipped surrogate; 0.2 and no dual clip where it says nothing. */
export function clipOptions(attrs: Attrs) {
  return {
    clipLow: numberOf(attrs, "clipLow") ?? 0.2,
    clipHigh: numberOf(attrs, "clipHigh") ?? 0.2,
    dualClip: numberOf(attrs, "dualClip") ?? null,
  };
}

/** How a case averages its rollouts; inside each rollout first unless it says otherwise. */
export function average(attrs: Attrs): "rollout" | "token" {
  return choiceOf(attrs, "average", ["rollout", "token"], "rollout");
}

/** The SFT normaliser of a case; the paper's unless it says otherwise. */
export function normaliser(attrs: Attrs): SftNormaliser {
  return choiceOf(attrs, "normaliser", ["weights", "count", "perComponent"], "weights");
}

/** λ_a of a case, or that of its step. */
export function sftLambda(attrs: Attrs): number {
  const given = numberOf(attrs, "lambda");
  if (given !== undefined) return given;
  const [start, end] = [numberOf(attrs, "lambdaStart"), numberOf(attrs, "lambdaEnd")];
  return callWeight(numberOf(attrs, "step") ?? 0, numberOf(attrs, "horizon") ?? 1, start, end);
}

/** Weight of each token of a padded batch in the surrogate: token means, rollout means, prompt means. */
export function surrogateWeights(
  batch: Batch,
  prompts: readonly number[],
  average: "rollout" | "token",
): number[] {
  const distinct = [...new Set(prompts)];
  const perRow = new Array<number>(batch.rows).fill(0);
  for (const prompt of distinct) {
    const members = prompts.flatMap((p, row) => (p === prompt ? [row] : []));
    const weights = rolloutTokenWeights(
      members.map((row) => batch.tokens[row]),
      distinct.length,
      average,
    );
    members.forEach((row, i) => {
      perRow[row] = weights[i];
    });
  }
  return batch.perToken(perRow);
}

/** Weighted token values summed per prompt, in order of the prompts' ids, and freed of the mean over prompts. */
export function perPrompt(
  batch: Batch,
  prompts: readonly number[],
  weights: readonly number[],
  values: ArrayLike<number>,
): number[] {
  const ids = [...new Set(prompts)].sort((a, b) => a - b);
  const totals = ids.map(() => 0);
  weights.forEach((weight, i) => {
    const prompt = ids.indexOf(prompts[Math.floor(i / batch.columns)]);
    if (weight !== 0) totals[prompt] += weight * values[i] * ids.length;
  });
  return totals;
}
