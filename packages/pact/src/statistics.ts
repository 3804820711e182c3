/**
 * Means over a few runs with 95 % intervals by Student's t (W. S. Gosset, Biometrika 6, 1908), and differences paired by
 * seed. They assume that runs of one method scatter normally, which a handful of runs can not show to be wrong.
 */
import type { Estimate } from "@pact/tools-sim";

/** A mean over runs; without an interval for a single run. */
export interface MeanOverRuns {
  readonly mean: number;
  readonly interval: Pick<Estimate, "low" | "high"> | null;
  /** Number of runs. */
  readonly runs: number;
}

/**
 * P(|T| ≤ t) of Student's t with a whole number of degrees of freedom.
 *
 * @see Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4
 * @example studentProbability(1, 1) // 0.5
 */
export function studentProbability(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const square = Math.cos(angle) ** 2;
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? Math.cos(angle) : 1;
  let sum = 0;
  for (let k = isOdd ? 1 : 0; k <= freedom - 2; k += 2) {
    sum += term;
    term *= (square * (k + 1)) / (k + 2);
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

/**
 * The t with P(|T| ≤ t) = probability, by bisection.
 *
 * @param freedom degrees of freedom, at least 1
 * @example studentQuantile(0.95, 2) // 4.30265
 */
export function studentQuantile(probability: number, freedom: number): number {
  let low = 0;
  let high = 1;
  while (studentProbability(high, freedom) < probability) high *= 2;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (studentProbability(middle, freedom) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * The mean of a value over runs with its 95 % interval, mean ± t s/√n.
 *
 * @returns undefined for no runs
 * @example meanOverRuns([0.4, 0.5, 0.6])?.mean // 0.5
 */
export function meanOverRuns(values: readonly number[]): MeanOverRuns | undefined {
  const runs = values.length;
  if (runs === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / runs;
  if (runs === 1) return { mean, interval: null, runs };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const reach = studentQuantile(0.95, runs - 1) * Math.sqrt(squares / (runs - 1) / runs);
  return { mean, interval: { low: mean - reach, high: mean + reach }, runs };
}

/**
 * The mean difference of two methods over the seeds that both have.
 *
 * @returns undefined if they share no seed
 * @example pairedDifference(new Map([[1, 0.5]]), new Map([[1, 0.4]]))?.mean // 0.1
 */
export function pairedDifference(
  values: ReadonlyMap<number, number>,
  baseline: ReadonlyMap<number, number>,
): MeanOverRuns | undefined {
  const differences = [...values].flatMap(([seed, value]) => {
    const other = baseline.get(seed);
    return other === undefined ? [] : [value - other];
  });
  return meanOverRuns(differences);
}
