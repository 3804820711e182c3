/**
 * Health checks of a training run: what its metrics say when something goes wrong, the likely cause, and the settings to
 * change. Each check warns once in a run, at the first step at which it applies.
 *
 * Everything is a function of the values of metrics.jsonl so far, so a run that was stopped and goes on warns as one that
 * never was. Thresholds are ours: far outside what the healthy runs of docs/log.md show. NaN and infinity are no warning
 * but an error (nonfinite.ts).
 */
import type { TrainConfig } from "./config.ts";
import type { StepMetrics } from "./run-sink.ts";

/** A check: when it applies, why that happens, and what to change. */
export interface HealthCheck {
  readonly name: string;
  /** The likely cause, and what to do about it. */
  readonly advice: string;
  /** The settings that the advice names. */
  readonly settings: readonly (keyof TrainConfig)[];
  /** What is wrong now, or undefined. */
  readonly find: (series: SeriesOf) => string | undefined;
}

/** Values of a metric so far, steps without a value left out. */
export interface Series {
  /** The first five. */
  readonly first: readonly number[];
  /** The last `recentLimit`, the newest at the end. */
  readonly recent: readonly number[];
  readonly count: number;
}
type SeriesOf = (metric: string) => Series;

/** Values of a metric that are kept for the checks. */
const recentLimit = 20;

/**
 * Every check, in the order of their warnings.
 *
 * @example healthChecks.map(({ name }) => name)
 */
export const healthChecks: readonly HealthCheck[] = [
  {
    name: "groups without variance",
    advice:
      "the tasks are all too easy or all too hard for the policy, or too few rollouts are compared: raise rolloutsPerPrompt, " +
      "take tasks of another difficulty, or a reward with more levels (reward)",
    settings: ["rolloutsPerPrompt", "reward"],
    find: (series) =>
      holds(series("reward/zero_variance"), 5, (share) => share >= 0.8)
        ? `${percent(last(series("reward/zero_variance")))} of the groups have one reward for all rollouts, and 80 % or more for 5 steps: no advantage, nothing to learn`
        : undefined,
  },
  {
    name: "entropy collapse",
    advice:
      "the policy repeats itself and explores no more: lower learningRate or innerUpdates, raise entropyWeight or klCoefficient, " +
      "and go on from an earlier checkpoint",
    settings: ["learningRate", "innerUpdates", "entropyWeight", "klCoefficient"],
    find(series) {
      const entropy = series("policy/entropy");
      const start = mean(entropy.first.slice(0, 3));
      const now = mean(entropy.recent.slice(-3));
      return entropy.count >= 4 && now < 0.02 && now < 0.3 * start
        ? `policy/entropy fell from ${number(start)} to ${number(now)} nats`
        : undefined;
    },
  },
  {
    name: "ratio blow-up",
    advice:
      "the policy moves too far on one batch of rollouts: lower learningRate or innerUpdates; where ratioDenominator is " +
      "behaviour the trace itself makes the ratio: take trace, or traceTruncated",
    settings: ["learningRate", "innerUpdates", "ratioDenominator"],
    find(series) {
      const ratio = series("policy/ratio_max");
      if (ratio.count > 0 && last(ratio) > 100) return `the largest ratio is ${number(last(ratio))}`;
      const clipped = series("policy/clip_fraction");
      return holds(clipped, 3, (share) => share > 0.5)
        ? `clipping cut ${percent(last(clipped))} of the tokens, and more than half for 3 steps`
        : undefined;
    },
  },
  {
    name: "everything truncated",
    advice:
      "a limit ends the rollouts before the policy does: raise maxTurnTokens (stop/turn_tokens), maxRolloutTokens " +
      "(stop/rollout_tokens) or maxTurns (stop/max_turns); if texts have no end at all, start from a policy that was imitated first (sft)",
    settings: ["maxTurnTokens", "maxRolloutTokens", "maxTurns"],
    find(series) {
      if (!holds(series("rollout/truncated"), 3, (share) => share >= 0.9)) return undefined;
      const limits = ["stop/turn_tokens", "stop/rollout_tokens", "stop/max_turns"];
      const shares = limits.map((name) => series(name).recent.at(-1) ?? 0);
      const most = limits[shares.indexOf(Math.max(...shares))];
      return `${percent(last(series("rollout/truncated")))} of the rollouts are cut off, most by ${most}`;
    },
  },
  {
    name: "no valid call",
    advice:
      "the policy does not write calls that parse: imitate expert episodes first (method sft or sft-matchtir), or train with " +
      "traces (anchorProbability below 1); look at rollout/malformed and at the rollouts themselves",
    settings: ["method", "anchorProbability"],
    find: (series) =>
      holds(series("rollout/calls"), 3, (calls) => calls === 0)
        ? `no rollout made a call for 3 steps (rollout/malformed ${number(series("rollout/malformed").recent.at(-1) ?? 0)})`
        : undefined,
  },
  {
    name: "gradient spike",
    advice:
      "one batch pulls far more than the others: lower clipNorm or learningRate, raise promptsPerStep, and look at the " +
      "rollouts of this step",
    settings: ["clipNorm", "learningRate", "promptsPerStep"],
    find(series) {
      const norms = series("gradient/norm");
      const before = norms.recent.slice(0, -1);
      const usual = median(before);
      return before.length >= 5 && last(norms) > 10 * usual
        ? `gradient/norm is ${number(last(norms))}, usually ${number(usual)}`
        : undefined;
    },
  },
  {
    name: "call spam",
    advice:
      "calls that match nothing cost nothing, so more of them pay: raise unmatchedCallPenalty, or lower maxTurns",
    settings: ["unmatchedCallPenalty", "maxTurns"],
    find(series) {
      const [calls, solved] = [series("rollout/calls"), series("solve/f1")];
      const [callsBefore, callsNow] = beforeAndNow(calls);
      const [solvedBefore, solvedNow] = beforeAndNow(solved);
      return callsNow >= callsBefore + 1 && callsNow >= 1.5 * callsBefore && solvedNow <= solvedBefore
        ? `calls per rollout rose from ${number(callsBefore)} to ${number(callsNow)}, solve/f1 went from ${number(solvedBefore)} to ${number(solvedNow)}`
        : undefined;
    },
  },
  {
    name: "reasoning fades",
    advice:
      "nothing rewards reasoning and it costs tokens: keep it in the SFT term (reasoningSchedule fixed, or a larger sftWeight), " +
      "or raise maxTurnTokens if turns are cut",
    settings: ["reasoningSchedule", "sftWeight", "maxTurnTokens"],
    find(series) {
      const think = series("rollout/think");
      const start = mean(think.first.slice(0, 3));
      const now = mean(think.recent.slice(-3));
      return think.count >= 6 && start >= 0.2 && now < 0.25 * start
        ? `the share of turns that open with <think> fell from ${percent(start)} to ${percent(now)}`
        : undefined;
    },
  },
  {
    name: "sampler and trainer disagree",
    advice:
      "in one context they differ by rounding alone (about 1e-6 in f32), so a kernel or driver is wrong: run `pact doctor`, update " +
      "the driver, or train with --device cpu; ratios and rewards are not to be trusted",
    settings: [],
    find(series) {
      const difference = series("policy/sampler_difference");
      return difference.count > 0 && last(difference) > 1e-3
        ? `log-probs of sampled tokens differ by ${number(last(difference))} on average`
        : undefined;
    },
  },
];

/**
 * Looks at the lines of a run one by one.
 *
 * @example
 * const health = new Health();
 * for (const line of lines) for (const warning of health.observe(line)) console.warn(warning);
 */
export class Health {
  readonly #series = new Map<string, { first: number[]; recent: number[]; count: number }>();
  readonly #warned = new Set<string>();

  /**
   * Takes the next line.
   *
   * @returns the warnings of checks that apply for the first time, as sentences for a person
   */
  observe({ values }: Pick<StepMetrics, "values">): string[] {
    for (const [name, value] of Object.entries(values)) {
      if (value === null) continue;
      const series = this.#series.get(name) ?? { first: [], recent: [], count: 0 };
      this.#series.set(name, series);
      if (series.first.length < 5) series.first.push(value);
      series.recent.push(value);
      if (series.recent.length > recentLimit) series.recent.shift();
      series.count += 1;
    }
    // A metric without a value now says nothing about now.
    const of: SeriesOf = (name) =>
      typeof values[name] === "number" ? (this.#series.get(name) ?? noValues) : noValues;
    return healthChecks.flatMap(({ name, advice, find }) => {
      if (this.#warned.has(name)) return [];
      const found = find(of);
      if (found === undefined) return [];
      this.#warned.add(name);
      return [`${name}: ${found}. Likely cause: ${advice}.`];
    });
  }
}

const noValues: Series = { first: [], recent: [], count: 0 };

/** The last `steps` values all satisfy something. */
function holds({ recent }: Series, steps: number, test: (value: number) => boolean): boolean {
  return recent.length >= steps && recent.slice(-steps).every(test);
}

/** Means of five steps: those ten steps ago (or the first five), and the last. NaN before there are ten. */
function beforeAndNow({ recent, count }: Series): [before: number, now: number] {
  if (count < 10) return [Number.NaN, Number.NaN];
  return [mean(recent.slice(-15).slice(0, 5)), mean(recent.slice(-5))];
}

function last({ recent }: Series): number {
  return recent[recent.length - 1];
}

/** NaN of nothing, which no comparison holds for. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function number(value: number): string {
  return String(Number(value.toPrecision(3)));
}
