/**
 * Losses on logits: cross-entropy with ignored and masked targets, and the Kullback–Leibler divergence. Composed of
 * operations, so that derivatives of any order follow; neither forms a quotient of exponentials that could overflow.
 */
import { requireOptions, requireTensors } from "./arguments.ts";
import { computeType } from "./dtype.ts";
import { DTypeError, ShapeError, ValueError } from "./errors.ts";
import { div, mul, neg, sub } from "./ops/arithmetic.ts";
import { cast } from "./ops/cast.ts";
import { checkIndex } from "./ops/index-checks.ts";
import { equal, isFinite, logicalAnd, logicalNot, logicalOr, notEqual, where } from "./ops/logic.ts";
import { logProbGather } from "./ops/logprob.ts";
import { exp } from "./ops/math.ts";
import { sum } from "./ops/reduce.ts";
import { logSoftmax } from "./ops/softmax.ts";
import { scope } from "./scope.ts";
import { formatSpec, sameShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Targets with this value count nothing; default −100. */
  ignoreIndex?: number;
  /**
   * Which targets count, in the targets' shape: bool, or weights in the logits' dtype (1 counts, 0 does not; others
   * weigh). Default: all count. Targets under 0 may hold any number.
   */
  mask?: Tensor;
  /** `mean` over the counted targets (default), `sum`, or `none`: one loss per target. */
  reduction?: "mean" | "sum" | "none";
}

const reductions = ["mean", "sum", "none"];

function checkMask(logits: Tensor, targets: Tensor, mask: Tensor): void {
  requireTensors("crossEntropy", ["logits", "mask"], [logits, mask]);
  if (!sameShape(mask.shape, targets.shape)) {
    throw new ShapeError(
      `crossEntropy: mask is ${formatSpec(mask)}, expected the targets' shape, ${formatSpec(targets)}. Stretch it: expand(mask, targets.shape).`,
    );
  }
  if (mask.dtype !== "bool" && mask.dtype !== logits.dtype) {
    throw new DTypeError(
      `crossEntropy: mask is ${formatSpec(mask)}, expected bool or the logits' dtype, ${logits.dtype}. Convert it: cast(mask, "${logits.dtype}").`,
    );
  }
}

/**
 * Cross-entropy −ln softmax(logits)[target] in nats: logits [..., V], targets [...] i32 → a scalar, or [...] with
 * `reduction: "none"`. The mean is Σ w·ℓ / Σ w over targets of weight w: 1, 0 for ignored ones, or what `mask` says
 * (PyTorch's cross_entropy with ignore_index).
 *
 * NOTE: where nothing counts, the mean is 0 with gradient 0 (PyTorch: NaN), so that a batch without targets changes
 * nothing.
 *
 * @throws ShapeError unless targets and mask are logits' shape without V, DTypeError unless targets are i32 and mask is
 * bool or of logits' dtype, ValueError for another reduction and, on cpu, a target outside 0 … V − 1 that counts.
 * @example
 * ```ts
 * const targets = tensor([0, -100], { dtype: "i32" });
 * await crossEntropy(zeros([2, 4]), targets).item(); // → 1.3862944
 * const mask = tensor([true, false]);
 * await crossEntropy(zeros([2, 4]), targets, { mask, reduction: "none" }).data(); // → [1.3862944, 0]
 * ```
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  requireTensors("crossEntropy", ["logits", "targets"], [logits, targets]);
  requireOptions("crossEntropy", options, ["ignoreIndex", "mask", "reduction"]);
  const { ignoreIndex = -100, mask, reduction = "mean" } = options;
  checkIndex("crossEntropy", targets, logits.shape.at(-1) ?? 0, "targets");
  if (!reductions.includes(reduction)) {
    throw new ValueError(
      `crossEntropy: reduction is "${reduction}", expected ${reductions.map((r) => `"${r}"`).join(", ")}. For the mean leave it out: crossEntropy(logits, targets).`,
    );
  }
  if (mask) checkMask(logits, targets, mask);
  return scope(() => {
    const named = notEqual(targets, ignoreIndex);
    const counted = mask ? logicalAnd(named, mask.dtype === "bool" ? mask : notEqual(mask, 0)) : named; // [...]
    // f16 ends at 65,504, which sums and counts soon pass; only the result is rounded to it.
    const dtype = computeType(logits.dtype);
    const ones = cast(counted, dtype);
    const weights = mask && mask.dtype !== "bool" ? mul(ones, cast(mask, dtype)) : ones; // [...]
    const losses = neg(logProbGather(cast(logits, dtype), where(counted, targets, 0))); // [...]
    // Chosen, not multiplied by 0: a position that does not count may hold infinities.
    const weighed = mul(where(counted, losses, 0), weights); // [...]
    if (reduction === "none") return cast(weighed, logits.dtype);
    if (reduction === "sum") return cast(sum(weighed), logits.dtype);
    const total = sum(weights);
    return cast(div(sum(weighed), where(equal(total, 0), 1, total)), logits.dtype);
  });
}

/**
 * Kullback–Leibler divergence KL(P ‖ Q) = Σ p (ln p − ln q) over the last axis, with p = softmax(logitsP) and
 * q = softmax(logitsQ): [..., V] twice → [...], in nats. Terms with p = 0 are 0; p > 0 where q = 0 makes it infinite.
 *
 * @throws ShapeError unless the shapes are equal, DTypeError unless both are floats of one dtype.
 * @example
 * ```ts
 * await klDivergence(tensor([0, 0]), tensor([0, 0])).item(); // → 0
 * await klDivergence(tensor([[0, 0]]), tensor([[0, 1]])).data(); // → [0.1201145]
 * ```
 */
export function klDivergence(logitsP: Tensor, logitsQ: Tensor): Tensor {
  requireTensors("klDivergence", ["logitsP", "logitsQ"], [logitsP, logitsQ]);
  if (!sameShape(logitsP.shape, logitsQ.shape)) {
    throw new ShapeError(
      `klDivergence: logitsP is ${formatSpec(logitsP)}, logitsQ is ${formatSpec(logitsQ)}; expected one shape [..., V]. ` +
        "Stretch one: expand(logitsQ, logitsP.shape).",
    );
  }
  return scope(() => {
    const dtype = computeType(logitsP.dtype);
    const logP = logSoftmax(cast(logitsP, dtype));
    const p = exp(logP);
    // Where p is 0 an infinite difference would make 0·∞. NOTE: SwiftShader's e^−∞ is not quite 0.
    const absent = logicalOr(equal(p, 0), logicalNot(isFinite(logP)));
    const difference = where(absent, 0, sub(logP, logSoftmax(cast(logitsQ, dtype))));
    return cast(sum(mul(p, difference), { axes: -1 }), logitsP.dtype);
  });
}
