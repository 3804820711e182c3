/**
 * 95 % intervals of means over tasks, by the percentile bootstrap: tasks are drawn anew with replacement, since tasks are
 * what a benchmark samples; attempts at one task are not independent and stay together.
 *
 * Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 13. Where every task has the same
 * extreme value, 0 or 1, resampling sees no spread; there the bound is that of C. Clopper and E. Pearson (Biometrika 26,
 * 1934) for n successes in n trials, (0.025)^(1/n) from 1 or the same from 0.
 */
import { OptionError } from "./errors.ts";
import { Random } from "./rng.ts";

/** A mean with its 95 % interval. */
export interface Estimate {
  mean: number;
  low: number;
  high: number;
}

const resamples = 2000;

/**
 * The mean of values in [0, 1], one a task, with its interval; of several groups the unweighted mean of their means, each
 * group resampled by itself. The same values in the same order give the same interval.
 *
 * @throws OptionError if there is no group or an empty one
 * @example
 * ```ts
 * estimate([[0, 1, 1, 1]]).mean; // → 0.75
 * ```
 */
export function estimate(groups: readonly (readonly number[])[]): Estimate {
  if (groups.length === 0 || groups.some((values) => values.length === 0))
    throw new OptionError("estimate: needs at least one group of tasks, none of them empty");
  const center = mean(groups.map(mean));
  const all = groups.flat();
  for (const extreme of [0, 1]) {
    if (all.some((value) => value !== extreme)) continue;
    const reach = 1 - 0.025 ** (1 / all.length);
    return extreme === 0 ? { mean: 0, low: 0, high: reach } : { mean: 1, low: 1 - reach, high: 1 };
  }
  const random = new Random("bootstrap");
  const means = Float64Array.from({ length: resamples }, () =>
    mean(
      groups.map((values) => {
        let sum = 0;
        for (let i = 0; i < values.length; i++) sum += values[random.int(values.length)];
        return sum / values.length;
      }),
    ),
  ).sort();
  // Order statistics that leave 2.5 % on either side.
  return { mean: center, low: means[0.025 * resamples], high: means[0.975 * resamples - 1] };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
