/**
 * The advantage estimators by name, with one signature: turn rewards in, an advantage for every turn out.
 *
 * Estimators of one advantage per rollout use the sum of its turn rewards and repeat the result over its turns.
 */
import { groupAdvantages, type TurnAdvantageOptions, turnAdvantages } from "./advantages.ts";
import { ConfigError } from "./errors.ts";

/** Names of `advantageRegistry`. */
export type AdvantageName = "grpo" | "dr-grpo" | "rloo" | "turn" | "turn-mean";

/**
 * A_{k,t} of every turn of every rollout, ragged like the rewards.
 *
 * @param rewards r_{k,t}, one array per rollout
 * @param groups group (prompt) of each rollout, in any order
 */
export type AdvantageEstimator = (
  rewards: readonly (readonly number[])[],
  groups: readonly number[],
  options?: TurnAdvantageOptions,
) => number[][];

/**
 * Every advantage estimator by name; all statistics in f64, equal rewards exactly 0.
 *
 * - `grpo`: A^g = (R − mean)/(std + ε), the trajectory advantage alone (arXiv 2402.03300)
 * - `dr-grpo`: R − mean (arXiv 2503.20783)
 * - `rloo`: R − mean of the group's other rollouts (arXiv 2402.14740)
 * - `turn`: A^g + A^l_t, PACT and the paper's MatchTIR (arXiv 2606.16215 eq. 28–32)
 * - `turn-mean`: (A^g + A^l_t)/2, MatchTIR's public code
 *
 * @throws AdvantageError when the lengths differ or a reward is not finite
 * @example
 * ```ts
 * advantageRegistry["dr-grpo"]([[1, 0], [0, 0]], [0, 0]); // → [[0.5, 0.5], [-0.5, -0.5]]
 * ```
 */
export const advantageRegistry: Readonly<Record<AdvantageName, AdvantageEstimator>> = {
  grpo: (rewards, groups, { epsilon } = {}) =>
    overTurns(rewards, groupAdvantages(totals(rewards), groups, { epsilon })),
  "dr-grpo": (rewards, groups) =>
    overTurns(rewards, groupAdvantages(totals(rewards), groups, { normByStd: false })),
  rloo: (rewards, groups) =>
    overTurns(rewards, groupAdvantages(totals(rewards), groups, { estimator: "rloo" })),
  turn: (rewards, groups, options) =>
    turnAdvantages(rewards, groups, options).combined.map((row) => [...row]),
  "turn-mean": (rewards, groups, options) =>
    turnAdvantages(rewards, groups, options).combined.map((row) => row.map((value) => value / 2)),
};

/**
 * The advantage estimator called `name`.
 *
 * @throws ConfigError for an unknown name
 * @example
 * ```ts
 * advantageEstimator("rloo")([[1], [0]], [0, 0]); // → [[1], [-1]]
 * advantageEstimator("gae"); // → throws ConfigError
 * ```
 */
export function advantageEstimator(name: string): AdvantageEstimator {
  if (Object.hasOwn(advantageRegistry, name)) return advantageRegistry[name as AdvantageName];
  throw new ConfigError(
    `advantageEstimator: no estimator "${name}". Take one of ${Object.keys(advantageRegistry).join(", ")}.`,
  );
}

function totals(rewards: readonly (readonly number[])[]): number[] {
  return rewards.map((turns) => turns.reduce((sum, reward) => sum + reward, 0));
}

function overTurns(rewards: readonly (readonly number[])[], advantages: readonly number[]): number[][] {
  return rewards.map((turns, rollout) => turns.map(() => advantages[rollout]));
}
