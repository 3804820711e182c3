/**
 * Per-token weights: every average of the objective (over tokens, rollouts, prompts) as a number for each token.
 *
 * A loss is then a plain weighted sum over packed tokens. Each term has its own denominator, so none dilutes
 * another, and a sum does not care how it is split into micro-batches (traps: huggingface/trl#3021, verl#3332).
 * All f64 on the host.
 */
import { BatchError } from "../errors.ts";
import { sftLabel } from "../render.ts";

/** What the SFT term is divided by. */
export type SftNormaliser = "weights" | "count" | "perComponent";

/** How the losses of a padded batch are averaged; names as in verl. */
export type Aggregation =
  | "token-mean"
  | "seq-mean-token-mean"
  | "seq-mean-token-sum"
  | "seq-mean-token-sum-norm";

/**
 * Weight of a token of each rollout in L^x and L^h: token mean inside a rollout, then mean over the prompt's K
 * rollouts, then over prompts: `1 / (tokens · K · prompts)`.
 *
 * With `average: "token"` all tokens of the prompt's rollouts count alike: `1 / (Σ tokens · prompts)`. A rollout
 * without tokens adds 0 but counts in K.
 *
 * @param tokens number of sampled tokens of each rollout of one prompt
 * @param prompts number of prompts of the whole optimiser batch, skipped ones included
 * @throws BatchError for a number of tokens that is none, or no prompts
 * @see arXiv 2606.16215 eq. 5, 8 and 14
 * @example
 * ```ts
 * rolloutTokenWeights([4, 2], 1); // → [0.125, 0.25]
 * rolloutTokenWeights([4, 1], 1, "token"); // → [0.2, 0.2]
 * ```
 */
export function rolloutTokenWeights(
  tokens: readonly number[],
  prompts: number,
  average: "rollout" | "token" = "rollout",
): number[] {
  requireCounts("rolloutTokenWeights", tokens);
  if (!(Number.isInteger(prompts) && prompts > 0)) {
    throw new BatchError(
      `rolloutTokenWeights: prompts is ${prompts}, expected a positive whole number. Count the prompts of the batch.`,
    );
  }
  if (average === "token") {
    const total = tokens.reduce((sum, count) => sum + count, 0);
    return tokens.map(() => (total === 0 ? 0 : 1 / (total * prompts)));
  }
  return tokens.map((count) => (count === 0 ? 0 : 1 / (count * tokens.length * prompts)));
}

/**
 * Weight of every token of one expert trace in L_SFT, `m_n / Z`:
 *
 *     m_n = 1 for active reasoning, λ_a for calls, 0 otherwise
 *     weights       Z = Σ m_n                  (the paper; with R empty, λ_a cancels)
 *     count         Z = number of labelled tokens
 *     perComponent  mean over reasoning + λ_a · mean over calls
 *
 * All weights are 0 when there is nothing to train: the term is skipped, and still counts in the mean over prompts.
 *
 * @param labels one of `sftLabel` for each token
 * @param callWeight λ_a ≥ 0
 * @throws BatchError when λ_a is negative or not finite
 * @see arXiv 2606.16215 eq. 9–11
 * @example
 * ```ts
 * const labels = [sftLabel.reasoning, sftLabel.call, sftLabel.context];
 * sftTokenWeights(labels, 0.5, "weights"); // → [0.6666667, 0.3333333, 0]
 * sftTokenWeights(labels, 0.5, "count"); // → [0.5, 0.25, 0]
 * sftTokenWeights(labels, 0.5, "perComponent"); // → [1, 0.5, 0]
 * ```
 */
export function sftTokenWeights(
  labels: readonly number[],
  callWeight: number,
  normaliser: SftNormaliser,
): number[] {
  if (!(callWeight >= 0 && Number.isFinite(callWeight))) {
    throw new BatchError(
      `sftTokenWeights: callWeight is ${callWeight}, expected a number from 0. Take callWeight(step, horizon).`,
    );
  }
  const reasoning = labels.filter((label) => label === sftLabel.reasoning).length;
  const calls = labels.filter((label) => label === sftLabel.call).length;
  const total = normaliser === "weights" ? reasoning + callWeight * calls : reasoning + calls;
  if (total === 0) return labels.map(() => 0);
  const perReasoning = normaliser === "perComponent" ? 1 / reasoning : 1 / total;
  const perCall = normaliser === "perComponent" ? callWeight / calls : callWeight / total;
  return labels.map((label) => {
    if (label === sftLabel.reasoning) return perReasoning;
    return label === sftLabel.call ? perCall : 0;
  });
}

/**
 * Weight of a token of each row under one of verl's aggregation modes. Rows without tokens are left out of means over
 * rows; `seq-mean-token-sum-norm` divides by `scale` and not by the number of rows.
 *
 * @param tokens number of tokens of each row
 * @param scale divisor of `seq-mean-token-sum-norm`, verl's default is the padded length
 * @throws BatchError for a number of tokens that is none, or when `seq-mean-token-sum-norm` has no positive scale
 * @example
 * ```ts
 * aggregationWeights([3, 1], "token-mean"); // → [0.25, 0.25]
 * aggregationWeights([3, 1], "seq-mean-token-mean"); // → [0.1666667, 0.5]
 * ```
 */
export function aggregationWeights(tokens: readonly number[], mode: Aggregation, scale?: number): number[] {
  requireCounts("aggregationWeights", tokens);
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const rows = tokens.filter((count) => count > 0).length;
  if (mode === "seq-mean-token-sum-norm" && !(scale !== undefined && scale > 0)) {
    throw new BatchError(
      `aggregationWeights: seq-mean-token-sum-norm needs a positive scale, received ${scale}. Pass the longest row.`,
    );
  }
  return tokens.map((count) => {
    if (count === 0) return 0;
    if (mode === "token-mean") return 1 / total;
    if (mode === "seq-mean-token-mean") return 1 / (rows * count);
    return mode === "seq-mean-token-sum" ? 1 / rows : 1 / (scale ?? 1);
  });
}

function requireCounts(name: string, tokens: readonly number[]): void {
  const wrong = tokens.findIndex((count) => !(Number.isInteger(count) && count >= 0));
  if (wrong < 0) return;
  throw new BatchError(
    `${name}: rollout ${wrong} has ${tokens[wrong]} tokens, expected a whole number from 0. Count its sampled tokens.`,
  );
}
