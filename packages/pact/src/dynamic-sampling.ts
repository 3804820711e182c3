/**
 * Dynamic sampling of DAPO (Yu et al. 2025, arXiv 2503.14476 eq. 11): groups in which every rollout did equally well
 * bring no advantage, so they are dropped and others sampled in their place, a limited number of times.
 *
 * NOTE: pass the declared measure of success (solved or not, answer F1), not the shaped training reward: shaping
 * makes rewards differ where success does not, and a mean hides which ones do (OpenRLHF#1270, verl-recipe#125).
 */
import { AdvantageError } from "./errors.ts";

/** What became of the groups sampled so far. */
export interface DynamicSample {
  /** Group ids to train on, in order of first appearance, at most `wanted`. A group is kept whole or not at all. */
  readonly kept: readonly number[];
  /** Group ids without a difference in success. */
  readonly dropped: readonly number[];
  /** Groups still missing. */
  readonly missing: number;
  /** Whether to sample `missing` more groups; false when there are enough, or the rounds are used up. */
  readonly sampleAgain: boolean;
}

/**
 * Which groups to keep after a round of sampling, and whether to sample again.
 *
 * Call it with all rollouts so far; while `sampleAgain`, sample `missing` new groups (new ids) and call it again with
 * `round + 1`. After `maxRounds` rounds training goes on with what was kept, which may be nothing: a batch is never
 * filled with groups that teach nothing, and never waits without end.
 *
 * @param success measure of success of each rollout
 * @param groups group of each rollout, in any order
 * @param wanted number of groups of a batch
 * @param round 1 for the first round of sampling
 * @param maxRounds default 3
 * @throws AdvantageError when lengths differ, a success is not finite, or a count is not a positive whole number
 * @example
 * ```ts
 * dynamicSample([1, 0, 1, 1], [0, 0, 1, 1], { wanted: 2, round: 1 }); // → { kept: [0], dropped: [1], missing: 1, sampleAgain: true }
 * ```
 */
export function dynamicSample(
  success: readonly number[],
  groups: readonly number[],
  { wanted, round, maxRounds = 3 }: { wanted: number; round: number; maxRounds?: number },
): DynamicSample {
  for (const [name, value] of Object.entries({ wanted, round, maxRounds })) {
    if (!(Number.isInteger(value) && value > 0)) {
      throw new AdvantageError(
        `dynamicSample: ${name} is ${value}, expected a positive whole number. The first round is 1.`,
      );
    }
  }
  const informative = informativeGroups(success, groups);
  const kept = [...informative].flatMap(([id, differs]) => (differs ? [id] : [])).slice(0, wanted);
  const dropped = [...informative].flatMap(([id, differs]) => (differs ? [] : [id]));
  const missing = wanted - kept.length;
  return { kept, dropped, missing, sampleAgain: missing > 0 && round < maxRounds };
}

/** Whether each group's rollouts differ in success, by group id in order of first appearance. */
function informativeGroups(success: readonly number[], groups: readonly number[]): Map<number, boolean> {
  if (success.length !== groups.length) {
    throw new AdvantageError(
      `dynamicSample: received ${success.length} rollouts but ${groups.length} group ids. Pass one group id per rollout.`,
    );
  }
  const first = new Map<number, number>();
  const differs = new Map<number, boolean>();
  success.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      throw new AdvantageError(
        `dynamicSample: the success of rollout ${index} is ${value}, expected a finite number. Check the measure.`,
      );
    }
    const id = groups[index];
    if (!first.has(id)) first.set(id, value);
    differs.set(id, differs.get(id) === true || value !== first.get(id));
  });
  return differs;
}
