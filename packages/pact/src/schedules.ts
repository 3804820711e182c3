/**
 * Everything that changes with the step: λ_a(s), the reasoning-prefix level, the gate, CHORD's μ, the learning rate.
 *
 * arXiv 2606.16215 eq. 11 (λ_a) and 13 (gate). The paper gives the order L4 … L0 without a formula; the level's
 * formula and token-level annealing are this project's readings.
 */
import type { PrefixLevel } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";

/**
 * Weight of tool-call tokens at step s: `λ_a(s) = start − (start − end) · min(s/S, 1)`.
 *
 * @param step s ≥ 0
 * @param horizon S > 0, normally the total number of steps
 * @see arXiv 2606.16215 eq. 11
 * @example
 * ```ts
 * callWeight(12, 24); // → 0.5
 * ```
 */
export function callWeight(step: number, horizon: number, start = 0.8, end = 0.2): number {
  checkHorizon("callWeight", step, horizon);
  return start - (start - end) * Math.min(step / horizon, 1);
}

/**
 * Reasoning-prefix level at step s: `4 − min(4, ⌊5 s / S⌋)`, a fifth of the run on each of L4, L3, L2, L1, L0.
 *
 * @example
 * ```ts
 * [0, 5, 23].map((step) => prefixLevel(step, 24)); // → [4, 3, 0]
 * ```
 */
export function prefixLevel(step: number, horizon: number): PrefixLevel {
  checkHorizon("prefixLevel", step, horizon);
  return (4 - Math.min(4, Math.floor((5 * step) / horizon))) as PrefixLevel;
}

/**
 * Share of tokens that token-level annealing keeps at step s: `1 − min(s/S, 1)`.
 *
 * @example
 * ```ts
 * tokenShare(6, 24); // → 0.75
 * ```
 */
export function tokenShare(step: number, horizon: number): number {
  checkHorizon("tokenShare", step, horizon);
  return 1 - Math.min(step / horizon, 1);
}

/** What the component-aware SFT term supervises at a step. */
export interface Supervision {
  /** Reasoning prefix R by segments. */
  readonly level: PrefixLevel;
  /** Share of each turn's R that is active, from its start; 1 unless reasoning anneals by tokens. */
  readonly reasoningShare: number;
  /** Whether calls are supervised. */
  readonly calls: boolean;
  /** Share of each turn's call tokens that is active, from their start; 1 unless calls anneal by tokens. */
  readonly callShare: number;
  /** λ_a(s). */
  readonly callWeight: number;
}

/** The options of `TrainConfig` that `supervisionAt` follows. */
export type SupervisionConfig = Pick<
  TrainConfig,
  "steps" | "reasoningSchedule" | "callSchedule" | "callWeightStart" | "callWeightEnd"
>;

/**
 * What the SFT term supervises at step s under the two schedules (arXiv 2606.16215, Tables 4 and 6).
 *
 * @example
 * ```ts
 * supervisionAt(defaultConfig, 0); // → { level: 4, reasoningShare: 1, calls: true, callShare: 1, callWeight: 0.8 }
 * ```
 */
export function supervisionAt(config: SupervisionConfig, step: number): Supervision {
  const { steps, reasoningSchedule, callSchedule, callWeightStart, callWeightEnd } = config;
  const level = reasoningSchedule === "segment" ? prefixLevel(step, steps) : 4;
  return {
    level: reasoningSchedule === "none" ? 0 : level,
    reasoningShare: reasoningSchedule === "token" ? tokenShare(step, steps) : 1,
    calls: callSchedule !== "none",
    callShare: callSchedule === "token" ? tokenShare(step, steps) : 1,
    callWeight:
      callSchedule === "scale" ? callWeight(step, steps, callWeightStart, callWeightEnd) : callWeightStart,
  };
}

/**
 * The gate z of a prompt: true (1, prompt-only anchoring) iff its uniform draw in [0, 1) is below q.
 *
 * One draw per prompt and step, shared by the prompt's K rollouts.
 *
 * @see arXiv 2606.16215 eq. 13
 * @example
 * ```ts
 * isAnchored(0.13, 0.4); // → true
 * ```
 */
export function isAnchored(uniform: number, anchorProbability: number): boolean {
  return uniform < anchorProbability;
}

/** Settings of `chordMu`. */
export interface ChordMuOptions {
  /** Steps of linear warm-up from 0 to the peak; default 0. */
  readonly warmup?: number;
  /** Steps of the cosine from peak to valley; default 200. */
  readonly decay?: number;
  /** Largest μ, default 0.9. */
  readonly peak?: number;
  /** μ from then on, default 0.05. */
  readonly valley?: number;
}

/**
 * CHORD's μ at step s, the share of the supervised loss: `peak · s/warmup` during warm-up, then
 * `valley + (peak − valley) (1 + cos(π (s − warmup)/decay))/2`, then `valley`.
 *
 * @param step s ≥ 0
 * @throws ConfigError for a negative step, warm-up or decay, or a peak or valley outside 0 … 1
 * @see arXiv 2508.11408 §4; modelscope/Trinity-RFT @04143305 (formula)
 * @example
 * ```ts
 * [0, 100, 200].map((step) => chordMu(step)); // → [0.9, 0.475, 0.05]
 * ```
 */
export function chordMu(step: number, options: ChordMuOptions = {}): number {
  const { warmup = 0, decay = 200, peak = 0.9, valley = 0.05 } = options;
  const isShare = (value: number) => value >= 0 && value <= 1;
  if (!(step >= 0 && warmup >= 0 && decay >= 0 && isShare(peak) && isShare(valley))) {
    throw new ConfigError(
      `chordMu: received step ${step}, warmup ${warmup}, decay ${decay}, peak ${peak}, valley ${valley}; ` +
        "expected counts of steps from 0, and shares from 0 to 1. Correct the one outside.",
    );
  }
  if (step < warmup) return (step / warmup) * peak;
  if (step >= warmup + decay) return valley;
  return valley + ((peak - valley) * (1 + Math.cos((Math.PI * (step - warmup)) / decay))) / 2;
}

/**
 * μ of method chord at step s: the fixed one of `phi`, or for `mu` the schedule 0.9 → 0.05 over the whole run.
 *
 * @example
 * ```ts
 * expertShare({ chordVariant: "phi", chordWeight: 0.1, steps: 20 }, 3); // → 0.1
 * expertShare({ chordVariant: "mu", chordWeight: 0.1, steps: 20 }, 10); // → 0.475
 * ```
 */
export function expertShare(
  { chordVariant, chordWeight, steps }: Pick<TrainConfig, "chordVariant" | "chordWeight" | "steps">,
  step: number,
): number {
  return chordVariant === "phi" ? chordWeight : chordMu(step, { decay: steps });
}

/**
 * Learning rate at a step: linear warm-up, then linear decay to `finalFraction` of the peak.
 *
 * @param step 0-based; the first step already has rate peak/(warmupSteps + 1) > 0
 * @example
 * ```ts
 * learningRate({ step: 0, steps: 11, peak: 1e-3, warmupSteps: 0, finalFraction: 0.3 }); // → 1e-3
 * learningRate({ step: 10, steps: 11, peak: 1, warmupSteps: 0, finalFraction: 0.3 }); // → 0.3
 * ```
 */
export function learningRate(options: {
  step: number;
  steps: number;
  peak: number;
  warmupSteps: number;
  finalFraction: number;
}): number {
  const { step, steps, peak, warmupSteps, finalFraction } = options;
  checkHorizon("learningRate", step, steps);
  const warm = Math.min(1, (step + 1) / (warmupSteps + 1));
  const progress = Math.min(1, Math.max(0, (step - warmupSteps) / Math.max(1, steps - 1 - warmupSteps)));
  return peak * warm * (1 - (1 - finalFraction) * progress);
}

function checkHorizon(name: string, step: number, horizon: number): void {
  if (!(step >= 0) || !(horizon > 0)) {
    throw new ConfigError(
      `${name}: expected step ≥ 0 and a positive horizon, received step ${step} and horizon ${horizon}. ` +
        "Pass the 0-based step and the total number of steps.",
    );
  }
}
