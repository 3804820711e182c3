/** Comparing counts with the distribution they should follow. */

/** Pearson's χ² = Σ (count − expected)²/expected. */
export function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
}
