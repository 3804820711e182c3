/**
 * What the ratio of L^h is taken against (the option `ratioDenominator`): PACT leaves the choice to a reading of eq. 7.
 *
 * `trace` (PACT): π_old under the trace on both sides; 1 before the first update. `behaviour`: π_old of the prompt
 * alone, which sampled the rollout; not 1, and equal to the exponentiated gap of the two contexts. `traceTruncated`:
 * `trace` times min(π_old(·|x, h*)/π_old(·|x), cap), a constant that corrects for where the rollout came from. None is
 * the gradient of the prompt-only policy.
 */
import { ConfigError } from "../errors.ts";
import { requireFinite } from "./finite.ts";

/** Readings of the denominator of r^h. */
export type TraceDenominator = "trace" | "behaviour" | "traceTruncated";

/** Frozen numbers of L^h's tokens. */
export interface FrozenRatio {
  /** The denominator log π_old [M]. */
  readonly oldLogProbs: readonly number[];
  /** Constant factor of each token's advantage [M]; all 1 unless `traceTruncated`. */
  readonly factors: readonly number[];
  /** Mean of |log π_old(·|x, h*) − log π_old(·|x)|: how far the two contexts are apart. To be logged. */
  readonly contextGap: number;
}

/**
 * Denominator and advantage factors of the tokens of L^h, on the host, once for all updates of a batch.
 *
 * @param oldTrace log π_old(τ_n | x, h*, τ_<n) [M]
 * @param oldPrompt log π_old(τ_n | x, τ_<n) [M], by the same training forward
 * @param denominator default `trace`
 * @param cap largest factor of `traceTruncated`, default 2
 * @throws NonFiniteError for a log-prob that is none, ConfigError for unequal lengths, another denominator or cap ≤ 0
 * @see arXiv 2606.16215 eq. 7; truncation as in TIS (Ionides 2008)
 * @example
 * ```ts
 * frozenRatio([-1, -1], [-1.5, -3], "traceTruncated"); // → { oldLogProbs: [-1, -1], factors: [1.6487213, 2], contextGap: 1.25 }
 * frozenRatio([-1], [-1.5], "behaviour").oldLogProbs; // → [-1.5]
 * ```
 */
export function frozenRatio(
  oldTrace: ArrayLike<number>,
  oldPrompt: ArrayLike<number>,
  denominator: TraceDenominator = "trace",
  cap = 2,
): FrozenRatio {
  requireFinite("frozenRatio: oldTrace", oldTrace);
  requireFinite("frozenRatio: oldPrompt", oldPrompt);
  if (oldTrace.length !== oldPrompt.length || !(cap > 0)) {
    throw new ConfigError(
      `frozenRatio: received ${oldTrace.length} and ${oldPrompt.length} tokens and cap ${cap}; ` +
        "expected the same tokens in both contexts and a positive cap. Score the rollout in both.",
    );
  }
  if (!["trace", "behaviour", "traceTruncated"].includes(denominator)) {
    throw new ConfigError(
      `frozenRatio: no denominator "${denominator}". Take one of trace, behaviour, traceTruncated.`,
    );
  }
  const gaps = Array.from(oldTrace, (value, token) => value - oldPrompt[token]);
  return {
    oldLogProbs: Array.from(denominator === "behaviour" ? oldPrompt : oldTrace),
    factors: gaps.map((gap) => (denominator === "traceTruncated" ? Math.min(Math.exp(gap), cap) : 1)),
    contextGap: gaps.reduce((total, gap) => total + Math.abs(gap), 0) / Math.max(1, gaps.length),
  };
}
