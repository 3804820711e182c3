/**
 * Means over the tokens of each rollout, in a flat row of tokens: what losses with one ratio per rollout need.
 */
import { indexAdd, mul, type Tensor, take, tensor, zeros } from "@pact/tensor";
import { BatchError } from "../errors.ts";
import { isSampled } from "../roles.ts";

/** Rollout of each token: 0, 1, … in any order; −1 for a token that belongs to none. */
export type Sequences = ArrayLike<number>;

/**
 * The sequences of tokens that have a role: −1 wherever the policy did not write the token, so that prompts,
 * observations and the renderer's template are in no loss and no mean.
 *
 * @param roles role code of each token (`roleCode`)
 * @param rollouts rollout of each token
 * @throws BatchError when there are not as many of both
 * @example
 * ```ts
 * sampledSequences([roleCode.prompt, roleCode.call, roleCode.observation], [0, 0, 0]); // → [-1, 0, -1]
 * ```
 */
export function sampledSequences(roles: ArrayLike<number>, rollouts: ArrayLike<number>): number[] {
  if (roles.length !== rollouts.length) {
    throw new BatchError(
      `sampledSequences: received ${roles.length} roles for ${rollouts.length} tokens. Pass one role for each token.`,
    );
  }
  return Array.from(rollouts, (rollout, token) => (isSampled(roles[token]) ? rollout : -1));
}

/**
 * Number of tokens of each rollout.
 *
 * @param tokens number of tokens that `sequences` must have
 * @throws BatchError when there is another number of ids, or one is no whole number ≥ −1
 * @example sequenceLengths([0, 0, 2, -1], 4) // [2, 0, 1]
 */
export function sequenceLengths(sequences: Sequences, tokens: number): number[] {
  if (sequences.length !== tokens) {
    throw new BatchError(
      `sequences: received ${sequences.length} ids for ${tokens} tokens. Pass the rollout of each token, −1 for none.`,
    );
  }
  const lengths: number[] = [];
  for (let token = 0; token < tokens; token++) {
    const id = sequences[token];
    if (!Number.isInteger(id) || id < -1) {
      throw new BatchError(
        `sequences: token ${token} has the id ${id}, expected a whole number from −1. Number the rollouts 0, 1, …`,
      );
    }
    while (lengths.length <= id) lengths.push(0);
    if (id >= 0) lengths[id] += 1;
  }
  return lengths;
}

/**
 * For each token the mean of `values` over its rollout; 0 for tokens of none. Tokens of none are in no mean.
 *
 * @param values [M]
 * @returns [M]
 * @throws BatchError as `sequenceLengths`
 * @example sequenceMeans(logRatios, [0, 0, 1])
 */
export function sequenceMeans(values: Tensor, sequences: Sequences): Tensor {
  const lengths = sequenceLengths(sequences, values.size);
  const { dtype, device } = values;
  const none = lengths.length; // one row more, for tokens of none
  const index = tensor(
    Int32Array.from(sequences, (id) => (id < 0 ? none : id)),
    { device },
  );
  const shares = Float64Array.from([...lengths, 0], (length) => (length === 0 ? 0 : 1 / length));
  const totals = indexAdd(zeros([none + 1], { dtype, device }), 0, index, values); // [rollouts + 1]
  return take(mul(totals, tensor(shares, { dtype, device })), index);
}
