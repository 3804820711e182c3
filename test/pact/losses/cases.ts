/**
 * Every loss at one point, for finite differences (f64) and for the agreement of devices. Where a loss stops gradients,
 * `frozen` writes it with the stopped parts as plain numbers: its finite differences are the gradient that is meant.
 */
import { add, exp, maximum, minimum, mul, neg, reshape, sub, sum, type Tensor, tensor } from "@pact/tensor";
import { chordMix, chordPhiLosses } from "../../../packages/pact/src/losses/chord.ts";
import { cispoLosses, reinforceLosses } from "../../../packages/pact/src/losses/cispo.ts";
import {
  distillationAdvantages,
  distillationEstimates,
  distillationKl,
} from "../../../packages/pact/src/losses/distillation.ts";
import { entropyLoss } from "../../../packages/pact/src/losses/entropy.ts";
import { gspoLosses } from "../../../packages/pact/src/losses/gspo.ts";
import { exactKlPenalties, klEstimators, klPenalties } from "../../../packages/pact/src/losses/kl.ts";
import { luffyLosses, shapedRatio } from "../../../packages/pact/src/losses/luffy.ts";
import { pactObjective } from "../../../packages/pact/src/losses/objective.ts";
import { policyLosses } from "../../../packages/pact/src/losses/policy.ts";

export interface LossPoint {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
  /** The loss, a scalar. */
  readonly compute: (x: Tensor) => Tensor;
  /** The same with what it stops as constants; default `compute`. */
  readonly frozen?: (x: Tensor) => Tensor;
}

/** Numbers as a constant like `x`: same device and dtype. */
export const like = (x: Tensor, values: readonly number[], shape: readonly number[] = [values.length]) =>
  tensor(Float64Array.from(values), { shape, dtype: x.dtype, device: x.device });

/** Seven tokens of three rollouts, the last of none: in and beyond the clip on both sides, one for the dual clip. */
export const tokens = {
  new: [-1.0, -0.5, -2.0, -0.4, -0.2, -1.7, -0.9],
  old: [-1.05, -1.2, -1.1, -1.3, -2.0, -1.6, -3.1],
  reference: [-1.2, -0.7, -1.9, -0.6, -0.35, -2.6, -0.8],
  advantages: [0.7, 1.5, -1.2, -0.8, -0.5, 0.9, 4],
  sequences: [0, 0, 1, 1, 1, 2, -1],
  weights: [0.1, 0.3, 0.2, 0.25, 0.15, 0.35, 0],
};
const weighted = (x: Tensor, losses: Tensor) => sum(mul(like(x, tokens.weights), losses));
const old = (x: Tensor) => like(x, tokens.old);
const advantages = (x: Tensor) => like(x, tokens.advantages);
const perToken = (
  name: string,
  losses: (x: Tensor) => Tensor,
  frozen?: (x: Tensor) => Tensor,
): LossPoint => ({
  name,
  shape: [7],
  data: tokens.new,
  compute: (x) => weighted(x, losses(x)),
  frozen: frozen && ((x) => weighted(x, frozen(x))),
});

/** Three positions over five tokens. */
const logits = [0.3, -1.1, 0.8, 1.7, -0.4, 2.1, 0.2, -0.9, 0.5, 1.2, -1.5, 0.7, 0.1, -0.6, 0.9];
const otherLogits = [1.0, 0.4, -0.7, 0.9, -1.3, 0.6, 1.1, 0.3, -0.2, 0.8, 0.5, -1.0, 1.4, 0.2, -0.3];
const overLogits = (name: string, losses: (x: Tensor, other: Tensor) => Tensor): LossPoint => ({
  name,
  shape: [3, 5],
  data: logits,
  compute: (x) => sum(mul(like(x, [0.2, 0.5, 0.3]), losses(x, like(x, otherLogits, [3, 5])))),
});

const clipTo = (ratio: number, low: number, high: number) => Math.max(1 - low, Math.min(1 + high, ratio));
const isExpert = [true, false, true, false, true, false, false];

/** GSPO written per rollout: one ratio, its own token mean. Equal to the token form for one advantage per rollout. */
function gspoByRollout(x: Tensor): Tensor {
  const rollouts = [
    { at: [0, 1], advantage: 0.7 },
    { at: [2, 3, 4], advantage: -1.2 },
    { at: [5], advantage: 0.9 },
  ];
  const differences = sub(x, old(x));
  return rollouts
    .map(({ at, advantage }) => {
      const share = like(
        x,
        tokens.new.map((_, token) => (at.includes(token) ? 1 / at.length : 0)),
      );
      const ratio = exp(sum(mul(share, differences)));
      const clipped = minimum(maximum(ratio, 1 - 0.2), 1 + 0.2);
      return mul(maximum(mul(ratio, -advantage), mul(clipped, -advantage)), 1 / 3);
    })
    .reduce((total, loss) => add(total, loss));
}

export const lossPoints: LossPoint[] = [
  perToken("vanilla", (x) => policyLosses(x, old(x), advantages(x), { clipHigh: 0.28, dualClip: 3 })),
  perToken("vanilla without dual clip", (x) => policyLosses(x, old(x), advantages(x), { dualClip: null })),
  {
    name: "gspo",
    shape: [7],
    data: tokens.new,
    compute: (x) =>
      sum(
        mul(
          like(x, [1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9, 1 / 3, 0]),
          gspoLosses(x, old(x), like(x, [0.7, 0.7, -1.2, -1.2, -1.2, 0.9, 4]), tokens.sequences, {
            clipLow: 0.2,
            clipHigh: 0.2,
          }),
        ),
      ),
    frozen: gspoByRollout,
  },
  perToken(
    "cispo",
    (x) => cispoLosses(x, old(x), advantages(x), { clipLow: 0.3, clipHigh: 0.28 }),
    (x) => {
      const weights = tokens.new.map(
        (value, i) => -clipTo(Math.exp(value - tokens.old[i]), 0.3, 0.28) * tokens.advantages[i],
      );
      return mul(like(x, weights), x);
    },
  ),
  perToken("reinforce", (x) => reinforceLosses(x, advantages(x))),
  ...klEstimators.map((estimator) =>
    perToken(
      `KL ${estimator}`,
      (x) => klPenalties(x, like(x, tokens.reference), estimator),
      estimator.endsWith("+") ? (x) => klPenalties(x, like(x, tokens.reference), "k2") : undefined,
    ),
  ),
  perToken(
    "chord phi",
    (x) => chordPhiLosses(x),
    (x) =>
      mul(
        like(
          x,
          tokens.new.map((value) => Math.exp(value) * (1 - Math.exp(value))),
        ),
        neg(x),
      ),
  ),
  perToken("chord mix", (x) => chordMix(policyLosses(x, old(x), advantages(x)), mul(x, x), 0.1)),
  perToken("luffy shaping", (x) => shapedRatio(x)),
  perToken("luffy", (x) =>
    luffyLosses(x, old(x), advantages(x), tensor(isExpert, { device: x.device }), { gamma: 0.2 }),
  ),
  overLogits("exact KL", (x, other) => exactKlPenalties(x, other)),
  { name: "entropy", shape: [3, 5], data: logits, compute: (x) => entropyLoss(x, like(x, [0.2, 0.5, 0.3])) },
  overLogits("distillation forward", (x, other) => distillationKl(x, other)),
  overLogits("distillation reverse", (x, other) => distillationKl(x, other, { divergence: "reverse" })),
  overLogits("distillation jsd", (x, other) => distillationKl(x, other, { divergence: "jsd", beta: 0.3 })),
  perToken(
    "distillation estimates",
    (x) => distillationEstimates(x, like(x, tokens.reference)),
    (x) => klPenalties(x, like(x, tokens.reference), "k2"),
  ),
  perToken(
    "distillation advantages",
    (x) => reinforceLosses(x, distillationAdvantages(x, like(x, tokens.reference))),
    (x) =>
      mul(
        like(
          x,
          tokens.new.map((value, i) => value - tokens.reference[i]),
        ),
        x,
      ),
  ),
  {
    name: "objective with gspo",
    shape: [7],
    data: tokens.new,
    compute: (x) =>
      pactObjective(
        {
          logProbs: x,
          oldLogProbs: old(x),
          advantages: like(x, [0.7, 0.7, -1.2, -1.2, -1.2, 0.9, 4]),
          policyWeights: like(x, [1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9, 1 / 3, 0]),
          sftWeights: like(x, [0, 0, 0, 0, 0, 0, 1]),
          sequences: tokens.sequences,
        },
        { policyLoss: "gspo", clipLow: 0.2, clipHigh: 0.2, sftWeight: 0.5 },
      ).loss,
    frozen: (x) => add(gspoByRollout(x), sum(mul(like(x, [0, 0, 0, 0, 0, 0, -0.5]), x))),
  },
  {
    name: "objective with phi, k2 and a policy weight",
    shape: [7],
    data: tokens.new,
    compute: (x) => objective(x, "phi"),
    frozen: (x) => {
      const phi = tokens.new.map((value, i) => 0.7 * sftWeights[i] * Math.exp(value) * (1 - Math.exp(value)));
      return add(objective(x, "none"), sum(mul(like(x, phi), neg(x))));
    },
  },
];

const sftWeights = [0, 0, 0, 0, 0, 0.6, 0.4];
function objective(x: Tensor, expertLoss: "phi" | "none"): Tensor {
  return pactObjective(
    {
      logProbs: x,
      oldLogProbs: old(x),
      referenceLogProbs: like(x, tokens.reference),
      advantages: advantages(x),
      policyWeights: like(x, [0.3, 0.2, 0.25, 0.1, 0.15, 0, 0]),
      sftWeights: like(x, sftWeights),
    },
    {
      sftWeight: expertLoss === "phi" ? 0.7 : 0,
      policyWeight: 0.3,
      klCoefficient: 0.2,
      klEstimator: "k2",
      expertLoss: expertLoss === "phi" ? "phi" : "nll",
    },
  ).loss;
}

/** `frozen` and `compute` at a flat list of numbers, as one scalar tensor. */
export const at = (point: LossPoint, values: readonly number[], device: Tensor["device"]) =>
  reshape(tensor(Float64Array.from(values), { device }), point.shape);
