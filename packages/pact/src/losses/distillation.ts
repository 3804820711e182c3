/**
 * Self-distillation from the policy that sees the trace to the policy that sees the prompt alone (OPSD, SDPO), and any
 * other teacher–student pair. The teacher is a constant: no gradient flows into it.
 *
 * Forward, reverse and generalised Jensen–Shannon divergence from logits as in GKD (Agarwal et al. 2023,
 * arXiv 2306.13649 §2); per-token estimates on tokens that the student sampled for when logits are too many.
 */
import {
  add,
  clamp,
  exp,
  klDivergence,
  log,
  logSoftmax,
  maximum,
  mul,
  stopGradient,
  sub,
  sum,
  type Tensor,
} from "@pact/tensor";
import { ConfigError } from "../errors.ts";
import { type KlEstimator, klPenalties } from "./kl.ts";

/** `forward` KL(teacher ‖ student), `reverse` KL(student ‖ teacher), `jsd` between them. */
export type Divergence = "forward" | "reverse" | "jsd";

/** Options of `distillationKl`. */
export interface DistillationOptions {
  /** Default `forward`. */
  readonly divergence?: Divergence;
  /** β of `jsd`, 0 < β < 1: the teacher's share of the mixture; default 0.5. */
  readonly beta?: number;
}

/**
 * Divergence of student and teacher at every position, over the whole vocabulary:
 *
 *     forward  KL(T ‖ S)     the student covers everything the teacher might say
 *     reverse  KL(S ‖ T)     the student avoids what the teacher would not say
 *     jsd      β KL(T ‖ M) + (1 − β) KL(S ‖ M),  M = β T + (1 − β) S;  at most ln 2 for β = 1/2
 *
 * @param studentLogits prompt-only context [M, V], differentiable
 * @param teacherLogits context with the trace [M, V], of the same tokens; not differentiated
 * @returns [M]
 * @throws ConfigError for another divergence, or β outside 0 … 1
 * @see arXiv 2306.13649 §2
 * @example
 * ```ts
 * const [student, teacher] = [tensor([[0, 0]]), tensor([[Math.log(3), 0]])];
 * await distillationKl(student, teacher).data(); // → [0.1308120]
 * await distillationKl(student, teacher, { divergence: "reverse" }).data(); // → [0.1438410]
 * ```
 */
export function distillationKl(
  studentLogits: Tensor,
  teacherLogits: Tensor,
  { divergence = "forward", beta = 0.5 }: DistillationOptions = {},
): Tensor {
  const teacher = stopGradient(teacherLogits);
  if (divergence === "forward") return klDivergence(teacher, studentLogits);
  if (divergence === "reverse") return klDivergence(studentLogits, teacher);
  if (divergence !== "jsd") {
    throw new ConfigError(
      `distillationKl: no divergence "${divergence}". Take one of forward, reverse, jsd.`,
    );
  }
  if (!(beta > 0 && beta < 1)) {
    throw new ConfigError(
      `distillationKl: beta is ${beta}, expected a number between 0 and 1; the limits are forward and reverse. Default 0.5.`,
    );
  }
  // Tokens of no probability have −∞; e^−10⁴ is 0 just as well, and its differences are numbers.
  const logTeacher = clamp(logSoftmax(teacher), { min: -1e4 }); // [M, V]
  const logStudent = clamp(logSoftmax(studentLogits), { min: -1e4 });
  const [first, second] = [add(logTeacher, Math.log(beta)), add(logStudent, Math.log(1 - beta))];
  const largest = stopGradient(maximum(first, second));
  const logMixture = add(largest, log(add(exp(sub(first, largest)), exp(sub(second, largest)))));
  const towards = (logP: Tensor) => sum(mul(exp(logP), sub(logP, logMixture)), { axes: -1 });
  return add(mul(towards(logTeacher), beta), mul(towards(logStudent), 1 - beta));
}

/**
 * Estimate of KL(student ‖ teacher) at every token that the student sampled, from two log-probs.
 *
 * @param studentLogProbs [M], differentiable
 * @param teacherLogProbs [M] of the same tokens; not differentiated
 * @param estimator default `k3+`: its value is not negative and its mean gradient is that of the exact KL
 * @returns [M]
 * @throws ConfigError for an unknown estimator
 * @example
 * ```ts
 * await distillationEstimates(tensor([-1, -2]), tensor([-1, -1]), "k2").data(); // → [0, 0.5]
 * ```
 */
export function distillationEstimates(
  studentLogProbs: Tensor,
  teacherLogProbs: Tensor,
  estimator: KlEstimator = "k3+",
): Tensor {
  return klPenalties(studentLogProbs, teacherLogProbs, estimator);
}

/**
 * Distillation as an advantage: `A_n = log π_T − log π_S`, a constant, at every token that the student sampled. With the
 * loss `reinforce` its mean gradient is that of KL(student ‖ teacher).
 *
 * @param studentLogProbs [M]
 * @param teacherLogProbs [M]
 * @returns [M], not differentiable
 * @example
 * ```ts
 * await distillationAdvantages(tensor([-1, -2]), tensor([-1, -1])).data(); // → [0, 1]
 * ```
 */
export function distillationAdvantages(studentLogProbs: Tensor, teacherLogProbs: Tensor): Tensor {
  return stopGradient(sub(teacherLogProbs, studentLogProbs));
}
