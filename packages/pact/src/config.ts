/**
 * Every training option with its default, and the checks that run before anything else.
 *
 * Defaults are this project's small-scale settings; the paper's values (Qwen3, arXiv 2606.16215) stand beside those
 * that differ. Left out: what belongs to the command line (device, folders) and to the environment (task dials).
 */
import { ConfigError } from "./errors.ts";

/**
 * What is trained: `pact` (gate, L^h, L^x, component SFT), `matchtir` (L^x alone, the gate fixed at q = 1) or `sft`
 * (negative log-likelihood of the whole expert episode, answer included, no rollouts).
 */
export type Method = "pact" | "matchtir" | "sft";

/** Options of a training run. */
export interface TrainConfig {
  readonly method: Method;
  /** Seed of every random stream of the run. */
  readonly seed: number;
  /** Optimiser batches S; also the horizon of every schedule. */
  readonly steps: number;
  /** Prompts per step. Paper: 256. */
  readonly promptsPerStep: number;
  /** K, rollouts per prompt. Paper: 8. */
  readonly rolloutsPerPrompt: number;

  /** Most assistant turns of a rollout. Paper: 10. */
  readonly maxTurns: number;
  /** Most sampled tokens of one assistant turn. */
  readonly maxTurnTokens: number;
  /** Most tokens of a rollout after its prompt, observations included. */
  readonly maxRolloutTokens: number;
  /** Most tokens of prompt, trace and rollout together; longer tasks are skipped and counted, never cut. */
  readonly maxContextTokens: number;

  /** γ, discount of later turns in the turn advantage. */
  readonly gamma: number;
  /** ε_A, added to the deviation that divides an advantage. */
  readonly advantageEpsilon: number;
  /** Turn indices that a single rollout reaches keep their `raw` return (MatchTIR) or get `zero`. */
  readonly soloTurn: "raw" | "zero";
  /** λ_pen ≥ 0: a call that matches no reference call is worth −λ_pen. Paper: 0. */
  readonly unmatchedCallPenalty: number;

  /** q, probability that a prompt trains L^x alone. Paper: 0.4. */
  readonly anchorProbability: number;
  /** β_SFT, weight of the component-aware SFT term. Paper: 0.1. */
  readonly sftWeight: number;
  /** What the SFT term is divided by: `weights` (Σ m, the paper), `count` or `perComponent`. */
  readonly sftNormaliser: "weights" | "count" | "perComponent";
  /** `segment` anneals the reasoning prefix L4 → L0, `fixed` stays at L4, `none` trains no reasoning. */
  readonly reasoningSchedule: "segment" | "fixed" | "none";
  /** `scale` anneals λ_a, `fixed` keeps its start, `none` trains no calls. */
  readonly callSchedule: "scale" | "fixed" | "none";
  /** λ_a at step 0 and the value it falls to by step S, one past the last step. Paper: 0.8 → 0.2. */
  readonly callWeightStart: number;
  readonly callWeightEnd: number;
  /** Reasoning tags in the SFT mask: `exclude` (the paper, literally) or `include` (with an active prefix). */
  readonly reasoningTags: "exclude" | "include";
  /** What stands between h* and the rollout: `again` (`<|again|>`) or `question` (the question once more). */
  readonly traceDelimiter: "again" | "question";

  /** ε of the clipped ratio, downwards and upwards. */
  readonly clipLow: number;
  readonly clipHigh: number;
  /** Dual clip c > 1 for negative advantages, or null for none. */
  readonly dualClip: number | null;
  /** Weight of the k3 estimate of KL to the frozen initial model, same context on both sides. Paper: 0.001. */
  readonly klCoefficient: number;
  /** Optimiser updates per batch of rollouts; with 1 every ratio is exactly 1. */
  readonly innerUpdates: number;

  /** Peak learning rate. Paper: 1e-6 (a pre-trained model of billions of parameters). */
  readonly learningRate: number;
  /** Warm-up steps; the rate then falls linearly to `finalLearningRate` · peak. */
  readonly warmupSteps: number;
  readonly finalLearningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
  /** Largest global gradient norm. */
  readonly clipNorm: number;
  /** Packed tokens of one forward; a batch above it is split, with the same gradient up to rounding. */
  readonly tokenBudget: number;
  /** Save a checkpoint after every so many steps; 0: only at the end. */
  readonly checkpointEvery: number;
  /** Log the gradient norms of L^h, L^x and SFT apart every n steps (0: never); costs a backward each. */
  readonly gradientNormsEvery: number;
}

/** Small-scale defaults. */
export const defaultConfig: TrainConfig = {
  method: "pact",
  seed: 1,
  steps: 30,
  promptsPerStep: 16,
  rolloutsPerPrompt: 4,
  maxTurns: 6,
  maxTurnTokens: 96,
  maxRolloutTokens: 400,
  maxContextTokens: 1536,
  gamma: 0.9,
  advantageEpsilon: 1e-6,
  soloTurn: "raw",
  unmatchedCallPenalty: 0.5,
  anchorProbability: 0.4,
  sftWeight: 10,
  sftNormaliser: "weights",
  reasoningSchedule: "segment",
  callSchedule: "scale",
  callWeightStart: 0.8,
  callWeightEnd: 0.2,
  reasoningTags: "include",
  traceDelimiter: "again",
  clipLow: 0.2,
  clipHigh: 0.2,
  dualClip: 3,
  klCoefficient: 0,
  innerUpdates: 1,
  learningRate: 1e-3,
  warmupSteps: 3,
  finalLearningRate: 0.3,
  beta1: 0.9,
  beta2: 0.95,
  weightDecay: 0,
  clipNorm: 1,
  tokenBudget: 4096,
  checkpointEvery: 10,
  gradientNormsEvery: 0,
};

/** Allowed range of each numeric option: [least, most, whole numbers only]. */
const RANGES: { readonly [Name in keyof TrainConfig]?: readonly [number, number, boolean] } = {
  seed: [0, Number.MAX_SAFE_INTEGER, true],
  steps: [1, 1e9, true],
  promptsPerStep: [1, 1e6, true],
  rolloutsPerPrompt: [1, 1e4, true],
  maxTurns: [1, 1e4, true],
  maxTurnTokens: [1, 1e6, true],
  maxRolloutTokens: [1, 1e7, true],
  maxContextTokens: [2, 1e7, true],
  gamma: [0, 1, false],
  advantageEpsilon: [1e-12, 1, false],
  unmatchedCallPenalty: [0, 1e3, false],
  anchorProbability: [0, 1, false],
  sftWeight: [0, 1e6, false],
  callWeightStart: [0, 1e3, false],
  callWeightEnd: [0, 1e3, false],
  clipLow: [0, 1, false],
  clipHigh: [0, 1e3, false],
  klCoefficient: [0, 1e3, false],
  innerUpdates: [1, 1e3, true],
  learningRate: [0, 10, false],
  warmupSteps: [0, 1e9, true],
  finalLearningRate: [0, 1, false],
  beta1: [0, 0.999999, false],
  beta2: [0, 0.999999, false],
  weightDecay: [0, 10, false],
  clipNorm: [1e-6, 1e9, false],
  tokenBudget: [1, 1e9, true],
  checkpointEvery: [0, 1e9, true],
  gradientNormsEvery: [0, 1e9, true],
};

const CHOICES: { readonly [Name in keyof TrainConfig]?: readonly string[] } = {
  method: ["pact", "matchtir", "sft"],
  soloTurn: ["raw", "zero"],
  sftNormaliser: ["weights", "count", "perComponent"],
  reasoningSchedule: ["segment", "fixed", "none"],
  callSchedule: ["scale", "fixed", "none"],
  reasoningTags: ["exclude", "include"],
  traceDelimiter: ["again", "question"],
};

/**
 * A complete, checked configuration from the defaults and the options that differ.
 *
 * `matchtir` is the same trainer with every prompt anchored, so its gate probability is set to 1.
 *
 * @throws ConfigError for an unknown option, a value out of range, or options that contradict each other
 * @example trainConfig({ method: "matchtir", steps: 20, learningRate: 3e-4 })
 */
export function trainConfig(options: Partial<TrainConfig> = {}): TrainConfig {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(defaultConfig, name)) {
      throw new ConfigError(
        `Unknown training option "${name}". Known options: ${Object.keys(defaultConfig).join(", ")}.`,
      );
    }
  }
  const config: TrainConfig = { ...defaultConfig, ...options };
  for (const name of Object.keys(defaultConfig) as (keyof TrainConfig)[]) checkOption(name, config[name]);
  if (config.method === "matchtir") {
    if (options.anchorProbability !== undefined && options.anchorProbability !== 1) {
      throw new ConfigError(
        `Method "matchtir" trains L^x alone, but anchorProbability is ${options.anchorProbability}. ` +
          'Leave it out, or use method "pact".',
      );
    }
    return { ...config, anchorProbability: 1 };
  }
  if (config.method === "pact" && config.sftWeight > 0 && config.anchorProbability < 1) {
    if (config.reasoningSchedule === "none" && config.callSchedule === "none") {
      throw new ConfigError(
        "reasoningSchedule and callSchedule are both none, which leaves the SFT term without a token. " +
          "Set sftWeight to 0 to train without it.",
      );
    }
  }
  return config;
}

function checkOption(name: keyof TrainConfig, value: unknown): void {
  const choices = CHOICES[name];
  if (choices) {
    if (typeof value !== "string" || !choices.includes(value)) {
      throw new ConfigError(
        `Option ${name} must be one of ${choices.join(", ")}, received ${String(value)}.`,
      );
    }
    return;
  }
  if (name === "dualClip") {
    if (value === null || (typeof value === "number" && value > 1 && Number.isFinite(value))) return;
    throw new ConfigError(`Option dualClip must be null or a number above 1, received ${String(value)}.`);
  }
  const range = RANGES[name];
  if (!range) throw new ConfigError(`Option ${name} has no declared range. Add it to RANGES in config.ts.`);
  const [least, most, whole] = range;
  if (
    typeof value !== "number" ||
    !(value >= least && value <= most) ||
    (whole && !Number.isInteger(value))
  ) {
    throw new ConfigError(
      `Option ${name} must be a${whole ? " whole" : ""} number from ${least} to ${most}, received ${String(value)}.`,
    );
  }
}
