/**
 * Trees laid end to end in rows of packed tokens: one forward for each micro-batch.
 *
 * Packed, a tree's prefix is computed once for all of its branches. Unpacked, every rollout and every SFT sequence is a
 * row of its own, with its prefix repeated: slower, and the same loss and gradient up to rounding, which tests check.
 */
import { concatPacked, type Packed, packTree } from "@pact/nn";
import type { TrainConfig } from "./config.ts";
import { BatchError } from "./errors.ts";
import type { PromptTree, ScoredRun, ScoredToken } from "./trees.ts";

/** Packed trees of one forward; arrays over its M scored tokens. */
export interface MicroBatch {
  readonly packed: Packed;
  /** Row in `packed` of each scored token. */
  readonly targets: Int32Array;
  readonly terms: Uint8Array;
  /** Index in the batch of the rollout of each token, −1 for expert tokens; twice with anchor `mix`. */
  readonly rollouts: Int32Array;
  /** Number in this micro-batch of each token's rollout in its context, −1 for expert tokens. */
  readonly sequences: Int32Array;
  readonly advantages: Float64Array;
  readonly policyWeights: Float64Array;
  readonly sftWeights: Float64Array;
  readonly samplerLogProbs: Float64Array;
}

/**
 * The sequences of trees one by one: each scored prefix, and each branch behind its prefix.
 *
 * @example
 * ```ts
 * const token = { position: 1, term: lossTerm.traced, rollout: 0, advantage: 1, policyWeight: 1, sftWeight: 0, samplerLogProb: 0 };
 * const branches = [{ ids: [7, 8], scored: [token] }, { ids: [9], scored: [{ ...token, position: 0, rollout: 1 }] }];
 * const trees = [{ prefix: { ids: [5, 6], scored: [] }, branches }];
 * unpackTrees(trees).map(({ prefix }) => prefix.ids); // → [[5, 6, 7, 8], [5, 6, 9]]
 * ```
 */
export function unpackTrees(trees: readonly PromptTree[]): PromptTree[] {
  return trees.flatMap(({ prefix, branches }) => {
    const sequences = branches.map(
      ({ ids, scored }): ScoredRun => ({
        ids: [...prefix.ids, ...ids],
        scored: scored.map((token) => ({ ...token, position: prefix.ids.length + token.position })),
      }),
    );
    return [prefix, ...sequences]
      .filter(({ scored }) => scored.length > 0)
      .map((sequence) => ({ prefix: sequence, branches: [] }));
  });
}

/**
 * Trees as a run packs them: into micro-batches of at most `tokenBudget` tokens, or each sequence in its own.
 *
 * @throws BatchError when no token of the batch is trained
 * @example
 * ```ts
 * const token = { position: 1, term: lossTerm.traced, rollout: 0, advantage: 1, policyWeight: 1, sftWeight: 0, samplerLogProb: 0 };
 * const branches = [{ ids: [7, 8], scored: [token] }, { ids: [9], scored: [{ ...token, position: 0, rollout: 1 }] }];
 * const trees = [{ prefix: { ids: [5, 6], scored: [] }, branches }];
 * microBatches(trees, { pack: true, tokenBudget: 100 }).length; // → 1
 * microBatches(trees, { pack: false, tokenBudget: 100 }).length; // → 2
 * ```
 */
export function microBatches(
  trees: readonly PromptTree[],
  config: Pick<TrainConfig, "pack" | "tokenBudget">,
): MicroBatch[] {
  return config.pack ? packMicroBatches(trees, config.tokenBudget) : packMicroBatches(unpackTrees(trees), 1);
}

/**
 * Packs trees into micro-batches of at most `tokenBudget` tokens.
 *
 * A tree that does not fit is split between its branches; its prefix is then repeated, and its expert tokens are
 * scored in the first part only. A single branch with its prefix may exceed the budget and then stands alone.
 *
 * @throws BatchError when no token of the batch is trained
 * @example
 * ```ts
 * const token = { position: 1, term: lossTerm.traced, rollout: 0, advantage: 1, policyWeight: 1, sftWeight: 0, samplerLogProb: 0 };
 * const branches = [{ ids: [7, 8], scored: [token] }, { ids: [9], scored: [{ ...token, position: 0, rollout: 1 }] }];
 * const trees = [{ prefix: { ids: [5, 6], scored: [] }, branches }];
 * const [batch] = packMicroBatches(trees, 100);
 * batch.packed.ids; // → [5, 6, 7, 8, 9]
 * batch.targets; // → [3, 4]
 * packMicroBatches(trees, 4).map(({ packed }) => packed.ids.length); // → [4, 3]
 * ```
 */
export function packMicroBatches(trees: readonly PromptTree[], tokenBudget: number): MicroBatch[] {
  const parts: PromptTree[][] = [];
  let current: PromptTree[] = [];
  let used = 0;
  const close = (): void => {
    if (current.length > 0) parts.push(current);
    current = [];
    used = 0;
  };
  for (const tree of trees) {
    for (const piece of splitTree(tree, tokenBudget)) {
      const tokens = treeTokens(piece);
      if (used + tokens > tokenBudget) close();
      current.push(piece);
      used += tokens;
    }
  }
  close();
  const batches = parts.map(pack).filter((batch) => batch.targets.length > 0);
  if (batches.length === 0) {
    throw new BatchError(
      "A batch without a single trained token: no rollout sampled anything and no trace is active. " +
        "Check the rollouts, the schedules and that tasks have traces.",
    );
  }
  return batches;
}

function treeTokens(tree: PromptTree): number {
  return tree.branches.reduce((sum, branch) => sum + branch.ids.length, tree.prefix.ids.length);
}

function splitTree(tree: PromptTree, budget: number): PromptTree[] {
  if (treeTokens(tree) <= budget || tree.branches.length < 2) return [tree];
  const pieces: PromptTree[] = [];
  let branches: ScoredRun[] = [];
  let tokens = tree.prefix.ids.length;
  const close = (): void => {
    const scored = pieces.length === 0 ? tree.prefix.scored : [];
    pieces.push({ prefix: { ids: tree.prefix.ids, scored }, branches });
    branches = [];
    tokens = tree.prefix.ids.length;
  };
  for (const branch of tree.branches) {
    if (branches.length > 0 && tokens + branch.ids.length > budget) close();
    branches.push(branch);
    tokens += branch.ids.length;
  }
  close();
  return pieces;
}

function pack(trees: readonly PromptTree[]): MicroBatch {
  const scored: ScoredToken[] = [];
  const targets: number[] = [];
  const sequences: number[] = [];
  let start = 0;
  let sequence = 0;
  for (const { prefix, branches } of trees) {
    for (const run of [prefix, ...branches]) {
      let isRollout = false;
      for (const token of run.scored) {
        scored.push(token);
        targets.push(start + token.position);
        sequences.push(token.rollout < 0 ? -1 : sequence);
        isRollout ||= token.rollout >= 0;
      }
      start += run.ids.length;
      if (isRollout) sequence += 1;
    }
  }
  const column = (pick: (token: ScoredToken) => number) => Float64Array.from(scored, pick);
  return {
    packed: concatPacked(
      trees.map(({ prefix, branches }) =>
        packTree({ prefix: prefix.ids, branches: branches.map((branch) => branch.ids) }),
      ),
    ),
    targets: Int32Array.from(targets),
    terms: Uint8Array.from(scored, (token) => token.term),
    rollouts: Int32Array.from(scored, (token) => token.rollout),
    sequences: Int32Array.from(sequences),
    advantages: column((token) => token.advantage),
    policyWeights: column((token) => token.policyWeight),
    sftWeights: column((token) => token.sftWeight),
    samplerLogProbs: column((token) => token.samplerLogProb),
  };
}
