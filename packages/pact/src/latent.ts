/**
 * The latent-trace view of arXiv 2606.16215, exact: a model small enough to enumerate every trace h and rollout τ.
 *
 *     π(τ|x) = Σ_h p(h|x) π(τ|x,h)    ⇒    log π(τ|x) ≥ log p(h*|x) + log π(τ|x,h*)
 *
 * Traces and rollouts have two tokens each, drawn from tables of logits, so sums over all of them are exact. The
 * difference is −log p(h*|τ,x): the bound is tight where the rollout leaves no doubt about the trace.
 *
 * NOTE: it motivates PACT, it does not guarantee it. L_SFT and L^h weigh the two terms differently, which breaks the
 * bound; and where A < 0, lowering a lower bound need not lower the likelihood.
 */
import {
  add,
  logSoftmax,
  logSumExp,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  valueAndGrad,
} from "@pact/tensor";
import { ConfigError } from "./errors.ts";

/** Logits of the model, softmax over the last axis; H and T are the vocabularies of traces and rollouts. */
export type LatentTables = {
  /** p(h1 | x) [H]. */
  readonly traceFirst: Tensor;
  /** p(h2 | x, h1) [H, H]. */
  readonly traceSecond: Tensor;
  /** π(τ1 | x, h) [H, H, T]. */
  readonly rolloutFirst: Tensor;
  /** π(τ2 | x, h, τ1) [H, H, T, T]. */
  readonly rolloutSecond: Tensor;
};

/** Every quantity of the view. Trace (h1, h2) has index h1·H + h2, rollout (τ1, τ2) index τ1·T + τ2. */
export type LatentView = {
  /** log p(h|x) [H²]. */
  readonly logTrace: Tensor;
  /** log π(τ|x,h) [T², H²]. */
  readonly logTauGivenTrace: Tensor;
  /** log π(τ|x) [T²]. */
  readonly logTau: Tensor;
  /** log p(h|x) + log π(τ|x,h) [T², H²], at most log π(τ|x). */
  readonly bound: Tensor;
  /** log p(h|τ,x) [T², H²]. */
  readonly logPosterior: Tensor;
  /** log π(τ|x) − bound = −log p(h|τ,x) ≥ 0 [T², H²]. */
  readonly gap: Tensor;
};

/** Gradients with respect to each table. */
export type LatentGradients = {
  readonly logTau: LatentTables;
  readonly bound: LatentTables;
};

/**
 * Likelihoods, bound, posterior and gap of every rollout and trace; differentiable with respect to the tables.
 *
 * @throws ConfigError for tables whose shapes do not fit
 * @see arXiv 2606.16215, latent-trace view
 * @example
 * ```ts
 * // Two traces and two rollouts in each of two tokens; every table uniform but p(h1 | x) = (3/4, 1/4).
 * const tables = {
 *   traceFirst: tensor([Math.log(3), 0]),
 *   traceSecond: zeros([2, 2]),
 *   rolloutFirst: zeros([2, 2, 2]),
 *   rolloutSecond: zeros([2, 2, 2, 2]),
 * };
 * const { logTrace, logTau, bound, gap } = latentView(tables);
 * await exp(logTrace).data(); // → [0.375, 0.375, 0.125, 0.125]
 * await exp(slice(logTau, [0], [1])).data(); // → [0.25]
 * await exp(slice(bound, [0, 0], [1, 4])).data(); // → [0.09375, 0.09375, 0.03125, 0.03125]
 * await exp(neg(slice(gap, [0, 0], [1, 4]))).data(); // → [0.375, 0.375, 0.125, 0.125]
 * ```
 */
export function latentView(tables: LatentTables): LatentView {
  const [H, T] = vocabularies(tables);
  const pairs = add(unsqueeze(logSoftmax(tables.traceFirst), 1), logSoftmax(tables.traceSecond));
  const logTrace = reshape(pairs, [H * H]);
  const steps = add(unsqueeze(logSoftmax(tables.rolloutFirst), 3), logSoftmax(tables.rolloutSecond));
  const logTauGivenTrace = transpose(reshape(steps, [H * H, T * T]), 0, 1); // [τ, h]
  const bound = add(logTauGivenTrace, logTrace); // [τ, h]
  const logTau = logSumExp(bound, { axes: 1 }); // [τ]
  const logPosterior = sub(bound, unsqueeze(logTau, 1));
  return { logTrace, logTauGivenTrace, logTau, bound, logPosterior, gap: sub(unsqueeze(logTau, 1), bound) };
}

/**
 * Gradients of log π(τ|x) and of its bound by trace h.
 *
 * They are related: `∇ log π(τ|x) = Σ_h p(h|τ,x) ∇ bound_h` (Fisher's identity). One trace's gradient points the right
 * way as far as that trace explains the rollout.
 *
 * @param rollout index of τ, from 0 to T² − 1
 * @param trace index of h, from 0 to H² − 1
 * @throws ConfigError for tables whose shapes do not fit, or an index outside
 * @example
 * ```ts
 * const tables = {
 *   traceFirst: zeros([2]),
 *   traceSecond: zeros([2, 2]),
 *   rolloutFirst: zeros([2, 2, 2]),
 *   rolloutSecond: zeros([2, 2, 2, 2]),
 * };
 * const { logTau, bound } = latentGradients(tables, 0, 0);
 * await logTau.traceFirst.data(); // → [0, 0]
 * await bound.traceFirst.data(); // → [0.5, -0.5]
 * latentGradients(tables, 4, 0); // → throws ConfigError
 * ```
 */
export function latentGradients(tables: LatentTables, rollout: number, trace: number): LatentGradients {
  const [H, T] = vocabularies(tables);
  const isIndex = (value: number, count: number) => Number.isInteger(value) && value >= 0 && value < count;
  if (!isIndex(rollout, T * T) || !isIndex(trace, H * H)) {
    throw new ConfigError(
      `latentGradients: received rollout ${rollout} and trace ${trace}, expected whole numbers below ${T * T} and ${H * H}. ` +
        "The index of (a, b) is a · vocabulary + b.",
    );
  }
  const logTau = (p: LatentTables) => sum(slice(latentView(p).logTau, [rollout], [rollout + 1]));
  const bound = (p: LatentTables) =>
    sum(slice(latentView(p).bound, [rollout, trace], [rollout + 1, trace + 1]));
  return { logTau: valueAndGrad(logTau)(tables).grads, bound: valueAndGrad(bound)(tables).grads };
}

/** H and T, checked against every shape. */
function vocabularies({
  traceFirst,
  traceSecond,
  rolloutFirst,
  rolloutSecond,
}: LatentTables): [number, number] {
  const H = traceFirst.shape[0];
  const T = rolloutSecond.shape.at(-1) ?? 0;
  const expected: [string, Tensor, number[]][] = [
    ["traceFirst", traceFirst, [H]],
    ["traceSecond", traceSecond, [H, H]],
    ["rolloutFirst", rolloutFirst, [H, H, T]],
    ["rolloutSecond", rolloutSecond, [H, H, T, T]],
  ];
  for (const [name, table, shape] of expected) {
    if (table.shape.join() !== shape.join()) {
      throw new ConfigError(
        `latent tables: ${name} has shape [${table.shape}], expected [${shape}]. Logits over ${H} trace and ${T} rollout tokens.`,
      );
    }
  }
  return [H, T];
}
