/**
 * What the kinds with a clipped surrogate share: clipping options, the weights that turn a padded batch into a weighted
 * sum, and that sum per prompt.
 */
import { rolloutTokenWeights } from "@pact/pact";
import type { Attrs, Batch } from "./batch.ts";

/** Clipping options of a case. */
export function clipOptions({ clipLow, clipHigh, dualClip }: Attrs) {
  return {
    clipLow: clipLow as number,
    clipHigh: clipHigh as number,
    dualClip: typeof dualClip === "number" ? dualClip : null,
  };
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

/** Weighted token values summed per prompt and freed of the mean over prompts. */
export function perPrompt(
  batch: Batch,
  prompts: readonly number[],
  weights: readonly number[],
  values: ArrayLike<number>,
): number[] {
  const count = new Set(prompts).size;
  const totals = new Array<number>(count).fill(0);
  weights.forEach((weight, i) => {
    if (weight !== 0) totals[prompts[Math.floor(i / batch.columns)]] += weight * values[i] * count;
  });
  return totals;
}
