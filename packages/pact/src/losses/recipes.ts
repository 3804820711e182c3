/**
 * Named reinforcement-learning objectives: an advantage, a policy loss with its clip, and an aggregation. What tells
 * them apart is in the table below and nowhere else.
 *
 * Left out: the KL penalty (add `klPenalties`), and rewards.
 */
import { mul, sum, type Tensor, tensor } from "@pact/tensor";
import { type AdvantageName, advantageEstimator } from "../advantage-registry.ts";
import { ConfigError } from "../errors.ts";
import type { ClipOptions } from "./policy.ts";
import { type PolicyLoss, type PolicyLossName, policyLoss } from "./policy-registry.ts";
import { type Sequences, sequenceLengths } from "./sequences.ts";
import { type Aggregation, aggregationWeights } from "./weights.ts";

/** One objective. */
export interface PolicyRecipe {
  readonly advantage: AdvantageName;
  /** By name, or one of your own. */
  readonly policyLoss: PolicyLossName | PolicyLoss;
  readonly clip: ClipOptions;
  readonly aggregation: Aggregation;
  /** With `seq-mean-token-sum-norm`: also divide by the number of rollouts. */
  readonly perRollout?: boolean;
  /** Whether groups without a difference in success are to be dropped first (`dynamicSample`). */
  readonly dynamicSampling?: boolean;
  /** Where the combination is from. */
  readonly source: string;
}

/** Names of `policyRecipes`. */
export type PolicyRecipeName =
  | "reinforce"
  | "rloo"
  | "grpo"
  | "dr-grpo"
  | "dapo"
  | "gspo"
  | "cispo"
  | "matchtir";

const ppoClip = { clipLow: 0.2, clipHigh: 0.2, dualClip: null } as const;

/**
 * Every recipe by name.
 *
 * @example
 * ```ts
 * policyRecipes.dapo.clip.clipHigh; // → 0.28
 * ```
 */
export const policyRecipes: Readonly<Record<PolicyRecipeName, PolicyRecipe>> = {
  reinforce: {
    advantage: "dr-grpo",
    policyLoss: "reinforce",
    clip: {},
    aggregation: "seq-mean-token-sum",
    source: "Williams 1992, with the group's mean reward as baseline",
  },
  rloo: {
    advantage: "rloo",
    policyLoss: "reinforce",
    clip: {},
    aggregation: "seq-mean-token-sum",
    source: "arXiv 2402.14740",
  },
  grpo: {
    advantage: "grpo",
    policyLoss: "vanilla",
    clip: ppoClip,
    aggregation: "seq-mean-token-mean",
    source: "arXiv 2402.03300 eq. 3",
  },
  "dr-grpo": {
    advantage: "dr-grpo",
    policyLoss: "vanilla",
    clip: ppoClip,
    aggregation: "seq-mean-token-sum-norm",
    perRollout: true,
    source: "arXiv 2503.20783; divisor of huggingface/trl @f2cd57710",
  },
  dapo: {
    advantage: "grpo",
    policyLoss: "vanilla",
    clip: { clipLow: 0.2, clipHigh: 0.28, dualClip: null },
    aggregation: "token-mean",
    dynamicSampling: true,
    source: "arXiv 2503.14476 eq. 8–12",
  },
  gspo: {
    advantage: "grpo",
    policyLoss: "gspo",
    clip: { clipLow: 3e-4, clipHigh: 4e-4 },
    aggregation: "seq-mean-token-mean",
    source: "arXiv 2507.18071 eq. 5",
  },
  cispo: {
    advantage: "grpo",
    policyLoss: "cispo",
    clip: { clipLow: 1, clipHigh: 0.2 },
    aggregation: "token-mean",
    source: "arXiv 2506.13585 eq. 4",
  },
  matchtir: {
    advantage: "turn",
    policyLoss: "vanilla",
    clip: { clipLow: 0.2, clipHigh: 0.2, dualClip: 3 },
    aggregation: "seq-mean-token-mean",
    source: "arXiv 2606.16215 eq. 5 and 28–32",
  },
};

/** Rollouts of one batch and their M sampled tokens, flat. */
export interface PolicyBatch {
  /** r_{k,t}, one array per rollout; a rollout with one reward has one turn. */
  readonly rewards: readonly (readonly number[])[];
  /** Group (prompt) of each rollout. */
  readonly groups: readonly number[];
  /** Rollout of each token, −1 for a token that must not count. */
  readonly sequences: Sequences;
  /** Turn of each token within its rollout; default all 0. */
  readonly turns?: ArrayLike<number>;
  /** log π_old [M]. */
  readonly oldLogProbs: Tensor;
  /** Divisor of `seq-mean-token-sum-norm`: the longest rollout possible. */
  readonly maxLength?: number;
}

/** A recipe applied to a batch. */
export interface PreparedPolicy {
  /** A of every token [M], 0 outside rollouts. */
  readonly advantages: readonly number[];
  /** Weight of every token [M], 0 outside rollouts: carries all denominators. */
  readonly weights: readonly number[];
  /** `Σ w ℓ`, a scalar, differentiable with respect to log π_θ [M]. */
  loss(newLogProbs: Tensor): Tensor;
}

/**
 * Prepares a recipe's advantages and weights (f64, host); `loss` can then be called for each update of the batch.
 *
 * @throws ConfigError for an unknown recipe; AdvantageError or BatchError for rewards, groups or tokens that do not fit
 * @example
 * ```ts
 * const oldLogProbs = tensor([-1, -1, -1]); // two tokens of the first rollout, one of the second
 * const batch = { rewards: [[1], [0]], groups: [0, 0], sequences: [0, 0, 1], oldLogProbs };
 * const objective = policyObjective("rloo", batch);
 * objective.advantages; // → [1, 1, -1]
 * objective.weights; // → [0.5, 0.5, 0.5]
 * await objective.loss(oldLogProbs).item(); // → 0.5
 * ```
 */
export function policyObjective(recipe: PolicyRecipeName | PolicyRecipe, batch: PolicyBatch): PreparedPolicy {
  const chosen = typeof recipe === "string" ? policyRecipe(recipe) : recipe;
  const { rewards, groups, sequences, turns, oldLogProbs, maxLength } = batch;
  const perTurn = advantageEstimator(chosen.advantage)(rewards, groups);
  const lengths = sequenceLengths(sequences, oldLogProbs.size);
  while (lengths.length < rewards.length) lengths.push(0); // rollouts without a token
  const rows = chosen.perRollout ? rewards.length : 1;
  const perRollout = aggregationWeights(lengths, chosen.aggregation, maxLength).map(
    (weight) => weight / rows,
  );
  const spread = (valueOf: (rollout: number, token: number) => number) =>
    Array.from(sequences, (rollout, token) => (rollout < 0 ? 0 : valueOf(rollout, token)));
  const advantages = spread((rollout, token) => {
    const value = perTurn[rollout]?.[turns?.[token] ?? 0];
    if (value !== undefined) return value;
    throw new ConfigError(
      `policyObjective: token ${token} is of rollout ${rollout}, turn ${turns?.[token] ?? 0}, which has no reward. ` +
        "Pass one reward for each turn of each rollout.",
    );
  });
  const weights = spread((rollout) => perRollout[rollout]);
  const surrogate = typeof chosen.policyLoss === "string" ? policyLoss(chosen.policyLoss) : chosen.policyLoss;
  const { dtype, device } = oldLogProbs;
  const onDevice = (values: readonly number[]) => tensor(Float64Array.from(values), { dtype, device });
  return {
    advantages,
    weights,
    loss(newLogProbs) {
      const tokens = { newLogProbs, oldLogProbs, advantages: onDevice(advantages), sequences };
      return sum(mul(onDevice(weights), surrogate.losses(tokens, chosen.clip)));
    },
  };
}

/**
 * The recipe called `name`.
 *
 * @throws ConfigError for an unknown name
 * @example
 * ```ts
 * policyRecipe("gspo").aggregation; // → "seq-mean-token-mean"
 * policyRecipe("ppo"); // → throws ConfigError
 * ```
 */
export function policyRecipe(name: string): PolicyRecipe {
  if (Object.hasOwn(policyRecipes, name)) return policyRecipes[name as PolicyRecipeName];
  throw new ConfigError(
    `policyRecipe: no recipe "${name}". Take one of ${Object.keys(policyRecipes).join(", ")}.`,
  );
}
