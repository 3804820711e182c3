/**
 * How often tasks are solved, from several attempts at each: the mean (avg@k), pass@k and pass^k, with 95 % intervals over
 * tasks. Estimators and their sources: tools-sim's pass.ts and interval.ts.
 */
import { type Estimate, estimate, passAtK, passHatK } from "@pact/tools-sim";

/** An estimate of pass@k or pass^k. */
export interface PassEstimate extends Estimate {
  readonly k: number;
  /** Tasks with at least k finished attempts: those it is estimated from. */
  readonly tasks: number;
}

/** Success over tasks. */
export interface SuccessScores {
  /** Share of successes, a task's own being the mean of its attempts; the same as pass@1 and pass^1. */
  readonly success: Estimate;
  /** Chance that at least one of k attempts succeeds, for k = 1, 2, … */
  readonly passAtK: readonly PassEstimate[];
  /** Chance that each of k attempts succeeds. */
  readonly passHatK: readonly PassEstimate[];
}

/**
 * Success of groups of tasks; of several groups the unweighted mean of their means.
 *
 * @param groups which attempts succeeded, by group and task; no group and no task may be empty
 * @param attempts the greatest k
 * @example successScores([[[true, false], [true, true]]], 2).passAtK[1].mean // 1
 */
export function successScores(
  groups: readonly (readonly (readonly boolean[])[])[],
  attempts: number,
): SuccessScores {
  const share = (own: readonly boolean[]) => own.filter(Boolean).length / own.length;
  const pass = (measure: typeof passAtK): PassEstimate[] => {
    const estimates: PassEstimate[] = [];
    for (let k = 1; k <= attempts; k++) {
      const able = groups.map((tasks) => tasks.filter((own) => own.length >= k));
      if (able.some((tasks) => tasks.length === 0)) break;
      const values = able.map((tasks) =>
        tasks.map((own) => measure(own.length, own.filter(Boolean).length, k)),
      );
      estimates.push({ k, tasks: values.flat().length, ...estimate(values) });
    }
    return estimates;
  };
  return {
    success: estimate(groups.map((tasks) => tasks.map(share))),
    passAtK: pass(passAtK),
    passHatK: pass(passHatK),
  };
}
