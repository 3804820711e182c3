/**
 * Every training option with its default.
 *
 * Defaults are this project's small-scale settings; the paper's values (Qwen3, arXiv 2606.16215) stand beside those
 * that differ. What values are allowed, and where an option has an effect, is in config-rules.ts. Left out: what belongs
 * to the command line (device, folders) and to the environment (task dials).
 */
import type { AdvantageName } from "./advantage-registry.ts";
import { checkEffects, checkValues } from "./config-rules.ts";
import type { TraceDenominator } from "./losses/denominator.ts";
import type { KlEstimator } from "./losses/kl.ts";
import { type PolicyLossName, policyLoss } from "./losses/policy-registry.ts";
import { type Method, methods } from "./methods.ts";

/** A part of the expert trace that the context of L^h may show. */
export type TraceComponent = "reasoning" | "calls" | "observations";

/** Options of a training run. */
export interface TrainConfig {
  /** What is trained: a named set of the options below (`methods`). */
  readonly method: Method;
  /** Seed of every random stream of the run. */
  readonly seed: number;
  /** Optimiser batches S; also the horizon of every schedule. 0 under `vanilla`. */
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

  /** `matchtir` (similarity of calls and answer F1 by turn, the paper), `outcome` (answer F1), `ftrl` or `toolrl`. */
  readonly reward: "matchtir" | "outcome" | "ftrl" | "toolrl";
  /** `turn` A^g + A^l (the paper), `turn-mean` half of it (MatchTIR's code), `grpo` A^g, `dr-grpo` or `rloo`. */
  readonly advantage: AdvantageName;
  /** γ, discount of later turns in the turn advantage. */
  readonly gamma: number;
  /** ε_A, added to the deviation that divides an advantage. */
  readonly advantageEpsilon: number;
  /** Turn indices that a single rollout reaches keep their `raw` return (MatchTIR) or get `zero`. */
  readonly soloTurn: "raw" | "zero";
  /** λ_pen ≥ 0 of reward `matchtir`: a call that matches no reference call is worth −λ_pen. Paper: 0. */
  readonly unmatchedCallPenalty: number;

  /** `gate` trains L^x alone with probability q (the paper), `mix` L^h + w L^x for all prompts, `none` L^h for all. */
  readonly anchor: "gate" | "mix" | "none";
  /** q, probability that a prompt trains L^x alone. Paper: 0.4. */
  readonly anchorProbability: number;
  /** w, weight of L^x under anchor `mix`. */
  readonly anchorWeight: number;
  /** Denominator of r^h: `trace` (the paper), `behaviour` π_old(·|x), or `traceTruncated` (a capped correction). */
  readonly ratioDenominator: TraceDenominator;
  /** Largest factor of `traceTruncated`. */
  readonly truncation: number;
  /** Reasoning of h* in the context of L^h: `full`, `safe` (cut to L4) or `scheduled` (the level of the step). */
  readonly traceContext: "full" | "safe" | "scheduled";
  /** Parts of h* in the context of L^h, each at most once; with none, L^h is L^x. */
  readonly traceComponents: readonly TraceComponent[];
  /** h* as earlier `turns` and a delimiter, or as a `reference` at the end of the user turn. */
  readonly traceRendering: "turns" | "reference";
  /** What stands between h* and the rollout: `again` (`<|again|>`) or `question` (the question once more). */
  readonly traceDelimiter: "again" | "question";

  /** β_SFT, weight of the component-aware SFT term. Paper: 0.1. */
  readonly sftWeight: number;
  /** What the SFT term is divided by: `weights` (Σ m, the paper), `count` or `perComponent`. */
  readonly sftNormaliser: "weights" | "count" | "perComponent";
  /** `segment` anneals the reasoning prefix L4 → L0, `token` by tokens, `fixed` stays at L4, `none` trains none. */
  readonly reasoningSchedule: "segment" | "token" | "fixed" | "none";
  /** `scale` anneals λ_a, `token` trains a shrinking prefix of the calls, `fixed` keeps λ_a, `none` trains none. */
  readonly callSchedule: "scale" | "token" | "fixed" | "none";
  /** λ_a at step 0 and the value it falls to by step S, one past the last step. Paper: 0.8 → 0.2. */
  readonly callWeightStart: number;
  readonly callWeightEnd: number;
  /** Reasoning tags in the SFT mask: `exclude` (the paper, literally) or `include` (with an active prefix). */
  readonly reasoningTags: "exclude" | "include";
  /** CHORD's expert loss: `phi` (weighted by p(1 − p), fixed μ) or `mu` (plain, μ falls from 0.9 to 0.05). */
  readonly chordVariant: "phi" | "mu";
  /** μ of CHORD `phi`. */
  readonly chordWeight: number;

  /** `vanilla` (clipped, the paper), `gspo`, `cispo` or `reinforce`. */
  readonly policyLoss: PolicyLossName;
  /** Mean over a `rollout`'s tokens, then rollouts (the paper); over all tokens of a prompt (`token`); or as verl. */
  readonly rolloutAverage:
    | "rollout"
    | "token"
    | "token-mean"
    | "seq-mean-token-sum"
    | "seq-mean-token-sum-norm";
  /** ε of the clipped ratio, downwards and upwards; the defaults are those of `policyLoss`. */
  readonly clipLow: number;
  readonly clipHigh: number;
  /** Dual clip c > 1 for negative advantages, or null for none. */
  readonly dualClip: number | null;
  /** Weight of the estimate of KL to the frozen initial model, same context on both sides. Paper: 0.001. */
  readonly klCoefficient: number;
  /** `k1`, `k2`, `k3`, or `k3+` (the value of k3, the gradient of k2). */
  readonly klEstimator: Extract<KlEstimator, "k1" | "k2" | "k3" | "k3+">;
  /** Weight of the entropy bonus over rollout tokens. */
  readonly entropyWeight: number;
  /** Optimiser updates per batch of rollouts; with 1 every ratio to the same context is exactly 1. */
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
  /** One packed prefix tree per prompt, or (false) every sequence by itself: the same gradient up to rounding. */
  readonly pack: boolean;
  /** Packed tokens of one forward; a batch above it is split, with the same gradient up to rounding. */
  readonly tokenBudget: number;
  /** `f16`: weights, activations and the cache of sampling in f16, f32 master weights, a scaled loss; docs/memory.md. */
  readonly precision: "f32" | "f16";
  /** Keep only each block's input for the backward pass, which computes the block again: the same bits in less memory. */
  readonly activationCheckpointing: boolean;
  /**
   * Width of the LoRA adapters that are trained beside a frozen base, at most the smaller side of each layer; 0: no adapters,
   * all parameters are trained.
   */
  readonly loraRank: number;
  /** The adapters' product counts loraAlpha / loraRank times. Default: the rank, once. */
  readonly loraAlpha: number;
  /** Layers with adapters, by last or full name, e.g. `q_proj`; empty: every linear layer of the blocks. */
  readonly loraTargets: readonly string[];
  /** Save a checkpoint after every so many steps; 0: only at the end. */
  readonly checkpointEvery: number;
  /** Log the gradient norms of L^h, L^x and SFT apart every n steps (0: never); costs a backward each. */
  readonly gradientNormsEvery: number;
}

/**
 * Small-scale defaults.
 *
 * @example
 * ```ts
 * [defaultConfig.method, defaultConfig.anchorProbability]; // → ["pact", 0.4]
 * ```
 */
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
  reward: "matchtir",
  advantage: "turn",
  gamma: 0.9,
  advantageEpsilon: 1e-6,
  soloTurn: "raw",
  unmatchedCallPenalty: 0.5,
  anchor: "gate",
  anchorProbability: 0.4,
  anchorWeight: 1,
  ratioDenominator: "trace",
  truncation: 2,
  traceContext: "full",
  traceComponents: ["reasoning", "calls", "observations"],
  traceRendering: "turns",
  traceDelimiter: "again",
  sftWeight: 10,
  sftNormaliser: "weights",
  reasoningSchedule: "segment",
  callSchedule: "scale",
  callWeightStart: 0.8,
  callWeightEnd: 0.2,
  reasoningTags: "include",
  chordVariant: "phi",
  chordWeight: 0.1,
  policyLoss: "vanilla",
  rolloutAverage: "rollout",
  clipLow: 0.2,
  clipHigh: 0.2,
  dualClip: 3,
  klCoefficient: 0,
  klEstimator: "k3",
  entropyWeight: 0,
  innerUpdates: 1,
  learningRate: 1e-3,
  warmupSteps: 3,
  finalLearningRate: 0.3,
  beta1: 0.9,
  beta2: 0.95,
  weightDecay: 0,
  clipNorm: 1,
  pack: true,
  tokenBudget: 4096,
  precision: "f32",
  activationCheckpointing: false,
  loraRank: 0,
  loraAlpha: 0,
  loraTargets: [],
  checkpointEvery: 10,
  gradientNormsEvery: 0,
};

/**
 * A complete, checked configuration from the options that differ from the defaults.
 *
 * The method's fixed options are filled in, as are the clip of another policy loss and `loraAlpha`; `vanilla` has 0 steps
 * whatever is given. A configuration that this returned is accepted again, unchanged.
 *
 * @throws ConfigError for an unknown option, a value out of range, options that contradict each other or the method, or
 *   one without effect; it names the option and what to do
 * @example
 * ```ts
 * const config = trainConfig({ method: "matchtir", steps: 20, learningRate: 3e-4 });
 * config.anchorProbability; // → 1
 * trainConfig({ stepz: 20 } as object); // → throws ConfigError
 * ```
 */
export function trainConfig(options: Partial<TrainConfig> = {}): TrainConfig {
  checkValues(options, defaultConfig);
  const { method = defaultConfig.method, policyLoss: loss = defaultConfig.policyLoss } = options;
  const { clipLow, clipHigh, dualClip } = policyLoss(loss).defaults;
  const own: TrainConfig = {
    ...defaultConfig,
    clipLow: clipLow ?? defaultConfig.clipLow,
    clipHigh: clipHigh ?? defaultConfig.clipHigh,
    dualClip: dualClip ?? null,
    loraAlpha: options.loraRank ?? defaultConfig.loraAlpha,
    ...methods[method].fixed,
  };
  const config = { ...own, ...options, ...(method === "vanilla" ? { steps: 0 } : {}) };
  checkEffects(options, own, config);
  return config;
}
