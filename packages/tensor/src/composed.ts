/**
 * Operations made of others; their gradients follow from the parts.
 */
import { ValueError } from "./errors.ts";
import { unrecorded } from "./op.ts";
import { div, mul, neg } from "./ops/arithmetic.ts";
import { cast, notEqual, where } from "./ops/logic.ts";
import { logProbGather } from "./ops/logprob.ts";
import { reshape } from "./ops/movement.ts";
import { max, type ReduceOptions, sum } from "./ops/reduce.ts";
import { scope } from "./scope.ts";
import { normalizeAxes, sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Arithmetic mean over axes (default all). */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = normalizeAxes("mean", options.axes, x.rank);
  return scope(() => div(sum(x, options), sizeOf(axes.map((a) => x.shape[a]))));
}

/** Smallest element over axes (default all); elements that tie share the gradient equally. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return scope(() => neg(max(neg(x), options)));
}

/** The same values as a constant: no gradient flows into `x`. A view. */
export function stopGradient(x: Tensor): Tensor {
  return unrecorded(() => reshape(x, x.shape));
}

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Targets with this value count nothing; default −100. */
  ignoreIndex?: number;
  /** `mean` over the counted targets (default), `sum`, or `none`: one loss per target. */
  reduction?: "mean" | "sum" | "none";
}

/**
 * −log softmax(logits)[target]: logits [..., V], targets [...] i32 → a scalar, or [...] with `reduction: "none"`.
 *
 * NOTE: with `mean` and every target ignored the result is NaN (0/0), as in PyTorch.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const reduction = options.reduction ?? "mean";
  if (!["mean", "sum", "none"].includes(reduction)) {
    throw new ValueError(`crossEntropy: reduction "${reduction}" is not known; use "mean", "sum" or "none".`);
  }
  return scope(() => {
    const counted = notEqual(targets, options.ignoreIndex ?? -100);
    const safe = where(counted, targets, 0);
    const weight = cast(counted, logits.dtype);
    const losses = neg(mul(logProbGather(logits, safe), weight));
    if (reduction === "none") return losses;
    return reduction === "sum" ? sum(losses) : div(sum(losses), sum(weight));
  });
}
