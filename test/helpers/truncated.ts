/** Truncated softmax on plain numbers by sorting, the definition that sampling is tested against. */

export interface Truncated {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
}

/** ln of the probability of each id; −∞ outside the support. */
export function truncatedLogProbs(logits: readonly number[], options: Truncated): number[] {
  const { temperature, topK = Number.POSITIVE_INFINITY, topP = 1, minP = 0 } = options;
  const top = Math.max(...logits);
  const weight = logits.map((x) => Math.exp((x - top) / temperature));
  const likelier = (j: number) => logits.filter((x) => x > logits[j]).length;
  const ranked = logits.map((x, j) => x > -Infinity && likelier(j) < topK);
  const total = weight.reduce((sum, w, j) => sum + (ranked[j] ? w : 0), 0);
  const massAbove = (j: number) =>
    weight.reduce((sum, w, other) => sum + (ranked[other] && logits[other] > logits[j] ? w : 0), 0) / total;
  const kept = logits.map((_, j) => ranked[j] && (topP >= 1 || massAbove(j) < topP) && weight[j] >= minP);
  const left = weight.reduce((sum, w, j) => sum + (kept[j] ? w : 0), 0);
  return logits.map((x, j) => (kept[j] ? (x - top) / temperature - Math.log(left) : -Infinity));
}
