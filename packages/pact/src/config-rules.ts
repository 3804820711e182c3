/**
 * What the options of a training run may be: ranges and choices, and where an option has an effect.
 *
 * A method option that would change nothing is refused, because whoever sets it believes that it does. Exempt are the
 * options of budget, limits and optimiser, which one set of methods shares (`rolloutsPerPrompt` also under sft). Not seen
 * is what cancels: without reasoning in R the normaliser `weights` divides λ_a out again, whatever its value.
 */
import { advantageRegistry } from "./advantage-registry.ts";
import type { TrainConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { policyLoss, policyLossRegistry } from "./losses/policy-registry.ts";
import { methods } from "./methods.ts";

type Name = keyof TrainConfig;

/** Allowed range of each numeric option: [least, most, whole numbers only]. */
const ranges: { readonly [Option in Name]?: readonly [number, number, boolean] } = {
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
  anchorWeight: [1e-6, 1e3, false],
  truncation: [1e-3, 1e3, false],
  sftWeight: [0, 1e6, false],
  callWeightStart: [0, 1e3, false],
  callWeightEnd: [0, 1e3, false],
  chordWeight: [0, 1, false],
  clipLow: [0, 1, false],
  clipHigh: [0, 1e3, false],
  klCoefficient: [0, 1e3, false],
  entropyWeight: [0, 1e3, false],
  innerUpdates: [1, 1e3, true],
  learningRate: [0, 10, false],
  warmupSteps: [0, 1e9, true],
  finalLearningRate: [0, 1, false],
  beta1: [0, 0.999999, false],
  beta2: [0, 0.999999, false],
  weightDecay: [0, 10, false],
  clipNorm: [1e-6, 1e9, false],
  tokenBudget: [1, 1e9, true],
  loraRank: [0, 1e4, true],
  loraAlpha: [0, 1e6, false],
  checkpointEvery: [0, 1e9, true],
  gradientNormsEvery: [0, 1e9, true],
};

/** Allowed values of the other options; of `traceComponents`, of each element. */
const choices: { readonly [Option in Name]?: readonly unknown[] } = {
  method: Object.keys(methods),
  reward: ["matchtir", "outcome", "ftrl", "toolrl"],
  advantage: Object.keys(advantageRegistry),
  soloTurn: ["raw", "zero"],
  anchor: ["gate", "mix", "none"],
  ratioDenominator: ["trace", "behaviour", "traceTruncated"],
  traceContext: ["full", "safe", "scheduled"],
  traceComponents: ["reasoning", "calls", "observations"],
  traceRendering: ["turns", "reference"],
  traceDelimiter: ["again", "question"],
  sftNormaliser: ["weights", "count", "perComponent"],
  reasoningSchedule: ["segment", "token", "fixed", "none"],
  callSchedule: ["scale", "token", "fixed", "none"],
  reasoningTags: ["exclude", "include"],
  chordVariant: ["phi", "mu"],
  policyLoss: Object.keys(policyLossRegistry),
  rolloutAverage: ["rollout", "token", "token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"],
  klEstimator: ["k1", "k2", "k3", "k3+"],
  pack: [true, false],
  precision: ["f32", "f16"],
  activationCheckpointing: [true, false],
};

/** Most layer names in loraTargets, and what one looks like. */
const mostTargets = 10_000;
const layerName = /^[\w.]{1,200}$/;

/** What an option needs to have an effect, in words and as a test. */
interface Need {
  readonly words: string;
  readonly holds: (config: TrainConfig) => boolean;
}

const training: Need = { words: "a method that trains", holds: (c) => methods[c.method].phases.length > 0 };
const rollouts: Need = {
  words: "a method that trains on rollouts",
  holds: (c) => methods[c.method].phases.includes("explore"),
};
const traced: Need = {
  words: "prompts trained behind their trace (method pact, and anchorProbability below 1 or another anchor)",
  holds: (c) => rollouts.holds(c) && (c.anchor !== "gate" || c.anchorProbability < 1),
};
const shown = also(traced, "some traceComponents", (c) => c.traceComponents.length > 0);
const supervised = also(traced, "sftWeight above 0", (c) => c.sftWeight > 0);
const penalised = also(rollouts, "klCoefficient above 0", (c) => c.klCoefficient > 0);
const adapted: Need = { words: "loraRank above 0", holds: (c) => c.loraRank > 0 };
const chord: Need = { words: "method chord", holds: (c) => c.method === "chord" };
const moving: Need = {
  words: "ratios other than 1: innerUpdates above 1, or ratioDenominator behaviour",
  holds: (c) =>
    rollouts.holds(c) && (c.innerUpdates > 1 || (shown.holds(c) && c.ratioDenominator === "behaviour")),
};

function also(need: Need, words: string, holds: Need["holds"]): Need {
  return { words: `${words}, and ${need.words}`, holds: (c) => need.holds(c) && holds(c) };
}

function clipped(name: "clipLow" | "clipHigh" | "dualClip"): Need {
  return also(moving, "a policyLoss that takes it", (c) =>
    Object.hasOwn(policyLoss(c.policyLoss).defaults, name),
  );
}

const turnwise = also(rollouts, "advantage turn or turn-mean", (c) => c.advantage.startsWith("turn"));

/** What each option needs; options that are not listed always have an effect, or are exempt. */
const needs: { readonly [Option in Name]?: Need } = {
  reward: rollouts,
  advantage: rollouts,
  gamma: also(turnwise, "maxTurns above 1", (c) => c.maxTurns > 1),
  soloTurn: turnwise,
  advantageEpsilon: also(
    rollouts,
    "an advantage divided by a deviation",
    (c) => !/rloo|dr-/.test(c.advantage),
  ),
  anchor: rollouts,
  anchorProbability: also(rollouts, "anchor gate", (c) => c.anchor === "gate"),
  anchorWeight: also(rollouts, "anchor mix", (c) => c.anchor === "mix"),
  ratioDenominator: shown,
  truncation: also(shown, "ratioDenominator traceTruncated", (c) => c.ratioDenominator === "traceTruncated"),
  traceContext: also(shown, "reasoning among the traceComponents", (c) =>
    c.traceComponents.includes("reasoning"),
  ),
  traceComponents: traced,
  traceRendering: shown,
  traceDelimiter: also(shown, "traceRendering turns", (c) => c.traceRendering === "turns"),
  sftWeight: traced,
  sftNormaliser: also(supervised, "a callSchedule other than none", (c) => c.callSchedule !== "none"),
  reasoningSchedule: supervised,
  callSchedule: supervised,
  callWeightStart: also(supervised, "a callSchedule other than none", (c) => c.callSchedule !== "none"),
  callWeightEnd: also(supervised, "callSchedule scale", (c) => c.callSchedule === "scale"),
  reasoningTags: also(
    supervised,
    "a reasoningSchedule other than none",
    (c) => c.reasoningSchedule !== "none",
  ),
  chordVariant: chord,
  chordWeight: also(chord, "chordVariant phi", (c) => c.chordVariant === "phi"),
  policyLoss: moving,
  rolloutAverage: rollouts,
  clipLow: clipped("clipLow"),
  clipHigh: clipped("clipHigh"),
  dualClip: clipped("dualClip"),
  klCoefficient: rollouts,
  klEstimator: penalised,
  entropyWeight: rollouts,
  innerUpdates: training,
  pack: training,
  tokenBudget: { words: "pack true", holds: (c) => c.pack },
  activationCheckpointing: training,
  loraRank: training,
  loraAlpha: adapted,
  loraTargets: adapted,
};

/** Combinations that can not be, and what to do. */
const contradictions: readonly [holds: (c: TrainConfig) => boolean, message: string][] = [
  [
    (c) => supervised.holds(c) && c.reasoningSchedule === "none" && c.callSchedule === "none",
    "reasoningSchedule and callSchedule are both none, which leaves the SFT term without a token. " +
      "To train without it, set sftWeight to 0 instead.",
  ],
  [
    (c) => c.traceContext === "scheduled" && !(supervised.holds(c) && c.reasoningSchedule === "segment"),
    "traceContext scheduled shows the reasoning of the step's level, so it needs reasoningSchedule segment and " +
      "sftWeight above 0. Set them, or take traceContext safe.",
  ],
  [
    (c) => c.policyLoss === "reinforce" && c.ratioDenominator === "behaviour",
    "policyLoss reinforce has no ratio, so ratioDenominator behaviour changes nothing. Take trace or traceTruncated.",
  ],
  [
    (c) => c.loraRank > 0 && c.loraAlpha === 0,
    "loraAlpha is 0, so the adapters of loraRank count for nothing. Leave loraAlpha out, which makes it the rank.",
  ],
  [
    (c) => c.steps > 0 && c.steps < methods[c.method].phases.length,
    "a method of several phases needs at least one step for each. Raise steps.",
  ],
];

/**
 * Checks names and values one by one.
 *
 * @throws ConfigError for an unknown option, or a value out of its range or choices
 */
export function checkValues(options: Partial<TrainConfig>, defaults: TrainConfig): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(defaults, name)) {
      throw new ConfigError(
        `Unknown training option "${name}". Known options: ${Object.keys(defaults).join(", ")}.`,
      );
    }
    if (name === "steps" && options.method === "vanilla" && value === 0) continue;
    checkValue(name as Name, value);
  }
}

function checkValue(name: Name, value: unknown): void {
  const allowed = choices[name];
  if (name === "traceComponents") {
    const isSubset =
      Array.isArray(value) &&
      value.every((part) => allowed?.includes(part)) &&
      new Set(value).size === value.length;
    if (isSubset) return;
    throw new ConfigError(
      `Option ${name} must be a list of ${allowed?.join(", ")}, each at most once, received ${shownAs(value)}.`,
    );
  }
  if (name === "loraTargets") {
    const isList =
      Array.isArray(value) &&
      value.length <= mostTargets &&
      value.every((target) => typeof target === "string" && layerName.test(target)) &&
      new Set(value).size === value.length;
    if (isList) return;
    throw new ConfigError(
      `Option loraTargets must be a list of layer names, each at most once, received ${shownAs(value).slice(0, 200)}. ` +
        'Give for example ["q_proj", "v_proj"].',
    );
  }
  if (allowed) {
    if (allowed.includes(value)) return;
    throw new ConfigError(`Option ${name} must be one of ${allowed.join(", ")}, received ${shownAs(value)}.`);
  }
  if (name === "dualClip") {
    if (value === null || (typeof value === "number" && value > 1 && Number.isFinite(value))) return;
    throw new ConfigError(`Option dualClip must be null or a number above 1, received ${shownAs(value)}.`);
  }
  const range = ranges[name];
  if (!range) throw new ConfigError(`Option ${name} has no declared range. Add it to config-rules.ts.`);
  const [least, most, whole] = range;
  const isInside = typeof value === "number" && value >= least && value <= most;
  if (isInside && (!whole || Number.isInteger(value))) return;
  throw new ConfigError(
    `Option ${name} must be a${whole ? " whole" : ""} number from ${least} to ${most}, received ${shownAs(value)}.`,
  );
}

/**
 * Checks that the options agree with the method and each other, and that each of them has an effect.
 *
 * An option given with the value it would have anyway is never refused, so a saved configuration can be read back.
 *
 * @param options as given
 * @param own what they would be if none were given
 * @throws ConfigError naming the option and what to do
 */
export function checkEffects(options: Partial<TrainConfig>, own: TrainConfig, config: TrainConfig): void {
  const given = (Object.keys(options) as Name[]).filter((name) => !isEqual(options[name], own[name]));
  const { fixed } = methods[config.method];
  for (const name of given) {
    if (!Object.hasOwn(fixed, name)) continue;
    throw new ConfigError(
      `Method "${config.method}" fixes ${name} to ${shownAs(fixed[name])}, but it is ${shownAs(config[name])}. ` +
        'Leave it out, or use method "pact".',
      name,
    );
  }
  for (const name of given) {
    const need = needs[name];
    if (need === undefined || need.holds(config)) continue;
    throw new ConfigError(
      `Option ${name} is ${shownAs(config[name])}, which has no effect: it needs ${need.words}. ` +
        "Leave it out, or set what it needs.",
      name,
    );
  }
  for (const [holds, message] of contradictions) if (holds(config)) throw new ConfigError(message);
}

function isEqual(a: unknown, b: unknown): boolean {
  return shownAs(a) === shownAs(b);
}

/** A value in a message; of what no option can be, only its kind. */
function shownAs(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(shownAs).join(", ")}]`;
  return (typeof value === "object" && value !== null) || typeof value === "function"
    ? typeof value
    : String(value);
}
