/**
 * The nine methods that arXiv 2606.16215 compares, as named sets of option values of one trainer.
 *
 * What the paper only names is read as docs/algorithms/pact.md says: GRPO, FTRL and ToolRL are L^x with another reward
 * and the trajectory advantage, MatchTIR is L^x with PACT's reward and advantage. All share one budget: steps and
 * prompts per step.
 */
import type { TrainConfig } from "./config.ts";
import { policyLoss } from "./losses/policy-registry.ts";
import { expertShare } from "./schedules.ts";
import type { UpdateOptions } from "./update.ts";

/** Name of a method. */
export type Method =
  | "vanilla"
  | "sft"
  | "grpo"
  | "ftrl"
  | "toolrl"
  | "chord"
  | "matchtir"
  | "sft-matchtir"
  | "pact";

/** What a step learns from: `imitate` expert episodes, or `explore` with rollouts. */
export type Phase = "imitate" | "explore";

/** A method: what it does, in which phases, and the options that make it what it is. */
export interface MethodDefinition {
  readonly summary: string;
  /** Equal parts of the run, in order; none: nothing is trained. */
  readonly phases: readonly Phase[];
  /** Options that may not differ under this method. */
  readonly fixed: Partial<TrainConfig>;
}

const promptOnly = { anchor: "gate", anchorProbability: 1 } as const;

/**
 * Every method by name.
 *
 * @example
 * ```ts
 * methods.grpo.fixed.reward; // → "outcome"
 * ```
 */
export const methods: Readonly<Record<Method, MethodDefinition>> = {
  vanilla: { summary: "no training: the base policy", phases: [], fixed: {} },
  sft: {
    summary: "negative log-likelihood of everything the expert wrote, answer included; no rollouts",
    phases: ["imitate"],
    fixed: {},
  },
  grpo: {
    summary: "L^x with the outcome reward (answer F1) and the trajectory advantage",
    phases: ["explore"],
    fixed: { ...promptOnly, reward: "outcome", advantage: "grpo" },
  },
  ftrl: {
    summary: "L^x with FTRL's training reward and the trajectory advantage",
    phases: ["explore"],
    fixed: { ...promptOnly, reward: "ftrl", advantage: "grpo" },
  },
  toolrl: {
    summary: "L^x with ToolRL's reward of calls and the trajectory advantage",
    phases: ["explore"],
    fixed: { ...promptOnly, reward: "toolrl", advantage: "grpo" },
  },
  chord: {
    summary: "(1 − μ) of GRPO + μ of CHORD's loss on the expert episode",
    phases: ["explore"],
    fixed: { ...promptOnly, reward: "outcome", advantage: "grpo" },
  },
  matchtir: {
    summary: "L^x with the turn rewards and turn advantages that PACT takes over",
    phases: ["explore"],
    fixed: { ...promptOnly, reward: "matchtir", advantage: "turn" },
  },
  "sft-matchtir": {
    summary: "half of the steps sft, then matchtir",
    phases: ["imitate", "explore"],
    fixed: { ...promptOnly, reward: "matchtir", advantage: "turn" },
  },
  pact: {
    summary: "the gate between L^h + β L_SFT and L^x; every option is open",
    phases: ["explore"],
    fixed: {},
  },
};

/**
 * What a step learns from. Of an odd number of steps the first phase has one more.
 *
 * @param step 0 ≤ step < steps
 * @example
 * ```ts
 * [1, 2].map((step) => phaseAt({ method: "sft-matchtir", steps: 4 }, step)); // → ["imitate", "explore"]
 * ```
 */
export function phaseAt({ method, steps }: Pick<TrainConfig, "method" | "steps">, step: number): Phase {
  const { phases } = methods[method];
  return phases[Math.floor((step * phases.length) / steps)];
}

/**
 * The objective of a step: how the terms that its trees bring are weighted and what each token's loss is.
 *
 * @example
 * ```ts
 * const { policyWeight, sftWeight } = objectiveAt(trainConfig({ method: "chord" }), 0);
 * policyWeight; // → 0.9
 * sftWeight; // → 0.1
 * ```
 */
export function objectiveAt(config: TrainConfig, step: number): UpdateOptions {
  if (phaseAt(config, step) === "imitate") return { sftWeight: 1 };
  const taken = Object.keys(policyLoss(config.policyLoss).defaults) as (
    | "clipLow"
    | "clipHigh"
    | "dualClip"
  )[];
  const options = {
    ...Object.fromEntries(taken.map((name) => [name, config[name]])),
    policyLoss: config.policyLoss,
    sftWeight: config.sftWeight,
    klCoefficient: config.klCoefficient,
    klEstimator: config.klEstimator,
    entropyWeight: config.entropyWeight,
  };
  if (config.method !== "chord") return options;
  const share = expertShare(config, step);
  const expertLoss = config.chordVariant === "phi" ? "phi" : "nll";
  return { ...options, policyWeight: 1 - share, sftWeight: share, expertLoss };
}
