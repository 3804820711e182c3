/**
 * Advantages of rollouts and turns, in f64 on the host.
 *
 * Group-relative advantages of GRPO (arXiv 2402.03300) and RLOO (arXiv 2402.14740), and the turn-level advantages of
 * arXiv 2606.16215 eq. 28–32 (details from MatchTIR's public code). PACT adds the two levels; MatchTIR's code
 * averages them. Left out: GAE and learned baselines.
 *
 * NOTE: group statistics must be f64. In f32 the mean of eight rewards of 0.7 is not 0.7, and dividing the
 * residue by an equally tiny deviation makes an advantage out of nothing.
 */
import { AdvantageError } from "./errors.ts";

/** Options of `groupAdvantages`. */
export interface GroupAdvantageOptions {
  /** `grpo` (R − mean)/(std + ε), default, or `rloo` R − mean of the others. */
  readonly estimator?: "grpo" | "rloo";
  /** GRPO only: divide by the sample standard deviation. Default true; false is Dr.GRPO's centring. */
  readonly normByStd?: boolean;
  /** ε_A, default 1e-6. */
  readonly epsilon?: number;
}

/** What a value reached by a single rollout is worth: its raw return (mean 0, std 1) or nothing. */
export type SoloTurn = "raw" | "zero";

/** Options of `turnAdvantages`. */
export interface TurnAdvantageOptions {
  /** Discount γ of later turns, default 0.9. */
  readonly gamma?: number;
  /** ε_A, default 1e-6. */
  readonly epsilon?: number;
  /** Turn indices that one rollout of a group alone reaches: `raw` keeps the return (MatchTIR; default). */
  readonly soloTurn?: SoloTurn;
}

/** Result of `turnAdvantages`; ragged arrays have one entry per turn of the rollout. */
export interface TurnAdvantages {
  /** A^g per rollout. */
  readonly trajectory: readonly number[];
  /** R^l_{k,t} = Σ_{u≥t} γ^{u−t} r_{k,u}. */
  readonly discounted: readonly (readonly number[])[];
  /** A^l_{k,t}. */
  readonly turn: readonly (readonly number[])[];
  /** A = A^g + A^l_t, the advantage of every generated token of turn t. */
  readonly combined: readonly (readonly number[])[];
}

/**
 * Advantage of each rollout relative to its group.
 *
 * GRPO: `(R − mean)/(std + ε)` with the sample deviation (n − 1); `normByStd: false`: `R − mean`; RLOO:
 * `R − mean of the others`. A group of one has mean 0 and std 1. Equal rewards give exactly 0.
 *
 * @param rewards R per rollout
 * @param groups group of each rollout; any numbers, in any order
 * @throws AdvantageError when the lengths differ or a reward is not finite
 * @see arXiv 2402.03300 eq. 3; arXiv 2402.14740
 * @example
 * ```ts
 * groupAdvantages([1, 0, 5], [7, 7, 8], { normByStd: false }); // → [0.5, -0.5, 5]
 * groupAdvantages([0.7, 0.7, 0.7], [0, 0, 0]); // → [0, 0, 0]
 * groupAdvantages([1, 0], [0]); // → throws AdvantageError
 * ```
 */
export function groupAdvantages(
  rewards: readonly number[],
  groups: readonly number[],
  { estimator = "grpo", normByStd = true, epsilon = 1e-6 }: GroupAdvantageOptions = {},
): number[] {
  const result = new Array<number>(rewards.length).fill(0);
  for (const members of membersOf(rewards, groups)) {
    const values = members.map((index) => rewards[index]);
    const advantages =
      estimator === "rloo" || !normByStd ? centred(values, estimator) : normalised(values, epsilon, "raw");
    members.forEach((index, position) => {
      result[index] = advantages[position];
    });
  }
  return result;
}

/**
 * Trajectory and turn advantages of a set of rollouts, and their sum.
 *
 * `A^g_k` normalises `R_k = Σ_t r_{k,t}` over the group. `R^l_{k,t} = Σ_{u≥t} γ^{u−t} r_{k,u}` is normalised over the
 * group's rollouts that reach turn t. `A_{k,t} = A^g_k + A^l_{k,t}`.
 *
 * @param rewards r_{k,t}, ragged: one array per rollout
 * @param groups group (prompt) of each rollout
 * @throws AdvantageError when the lengths differ or a reward is not finite
 * @see arXiv 2606.16215 eq. 28–32; MatchTIR core_algos.py
 * @example
 * ```ts
 * const { trajectory, discounted, combined } = turnAdvantages([[1, 1], [0, 1]], [0, 0], { epsilon: 0 });
 * trajectory; // → [0.7071068, -0.7071068]
 * discounted; // → [[1.9, 1], [0.9, 1]]
 * combined; // → [[1.4142136, 0.7071068], [-1.4142136, -0.7071068]]
 * ```
 */
export function turnAdvantages(
  rewards: readonly (readonly number[])[],
  groups: readonly number[],
  { gamma = 0.9, epsilon = 1e-6, soloTurn = "raw" }: TurnAdvantageOptions = {},
): TurnAdvantages {
  const totals = rewards.map((turns) => turns.reduce((sum, reward) => sum + reward, 0));
  const discounted = rewards.map((turns) => {
    const returns = new Array<number>(turns.length);
    let following = 0;
    for (let turn = turns.length - 1; turn >= 0; turn--) {
      following = turns[turn] + gamma * following;
      returns[turn] = following;
    }
    return returns;
  });
  const trajectory = groupAdvantages(totals, groups, { epsilon });
  const turn = discounted.map((returns) => new Array<number>(returns.length).fill(0));
  for (const members of membersOf(totals, groups)) {
    const longest = Math.max(...members.map((index) => rewards[index].length));
    for (let position = 0; position < longest; position++) {
      const reaching = members.filter((index) => rewards[index].length > position);
      const advantages = normalised(
        reaching.map((index) => discounted[index][position]),
        epsilon,
        soloTurn,
      );
      reaching.forEach((index, order) => {
        turn[index][position] = advantages[order];
      });
    }
  }
  const combined = turn.map((values, index) => values.map((value) => trajectory[index] + value));
  return { trajectory, discounted, turn, combined };
}

/** (v − mean)/(std + ε) with the sample deviation; equal values exactly 0; a single value as `solo` says. */
function normalised(values: readonly number[], epsilon: number, solo: SoloTurn): number[] {
  if (values.length === 1) return [solo === "raw" ? values[0] / (1 + epsilon) : 0];
  if (values.every((value) => value === values[0])) return values.map(() => 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (values.length - 1));
  return values.map((value) => (value - mean) / (deviation + epsilon));
}

function centred(values: readonly number[], estimator: "grpo" | "rloo"): number[] {
  if (values.length === 1) return [values[0]];
  if (values.every((value) => value === values[0])) return values.map(() => 0);
  const sum = values.reduce((total, value) => total + value, 0);
  if (estimator === "rloo") return values.map((value) => value - (sum - value) / (values.length - 1));
  return values.map((value) => value - sum / values.length);
}

function membersOf(rewards: readonly number[], groups: readonly number[]): number[][] {
  if (rewards.length !== groups?.length) {
    throw new AdvantageError(
      `Advantages: received ${rewards.length} rollouts but ${groups?.length ?? "no"} group ids. Pass one group id per rollout.`,
    );
  }
  const members = new Map<number, number[]>();
  rewards.forEach((reward, index) => {
    if (!Number.isFinite(reward)) {
      throw new AdvantageError(
        `Advantages: the reward of rollout ${index} is ${reward}, expected a finite number. Check the reward function.`,
      );
    }
    const group = members.get(groups[index]);
    if (group) group.push(index);
    else members.set(groups[index], [index]);
  });
  return [...members.values()];
}
