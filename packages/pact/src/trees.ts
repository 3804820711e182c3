/**
 * What a step trains on: prefix trees whose tokens carry their weights.
 *
 *     z = 0    x → h* → delimiter → { τ_1 … τ_K }     one forward gives L_SFT (on h*, which sees x only) and L^h
 *     z = 1    x → { τ_1 … τ_K }                      L^x
 *     episode  x → expert episode                      plain SFT, CHORD's expert loss
 *
 * A token of τ_k attends to the prefix and its own past; the parts of a split rollout are sequences of their own. Where
 * rollouts see another context than x → h* → delimiter, the SFT sequence x → h* is a tree of its own beside
 * context → { τ_k }. With anchor `mix` a prompt has the trees of both z.
 * Every scored token carries its weights, with the denominators of the whole optimiser batch already inside, so the sum
 * of the micro-batches' losses is the batch's loss however it is split.
 */
import type { ExpertTrace, Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { type ContextConfig, checkLength, showsWholeTrace, tracedContext } from "./contexts.ts";
import type { Dialect } from "./dialect.ts";
import { BatchError } from "./errors.ts";
import { aggregationWeights, rolloutTokenWeights, sftTokenWeights } from "./losses/weights.ts";
import { sftLabel } from "./render.ts";
import { isSampled, roleCode } from "./roles.ts";
import type { Rollout } from "./rollout.ts";
import { type SupervisionConfig, supervisionAt } from "./schedules.ts";

/**
 * Which loss a scored token belongs to.
 *
 * @example
 * ```ts
 * lossTerm.traced; // → 1
 * ```
 */
export const lossTerm = { anchored: 0, traced: 1, sftReasoning: 2, sftCall: 3, sftAnswer: 4 } as const;

/** A token whose log-prob is trained, at a place in a prefix or branch. */
export interface ScoredToken {
  readonly position: number;
  /** One of `lossTerm`. */
  readonly term: number;
  /** Index of the rollout in the batch, −1 for expert tokens. */
  readonly rollout: number;
  readonly advantage: number;
  readonly policyWeight: number;
  readonly sftWeight: number;
  /** The sampler's log-prob, 0 for expert tokens. */
  readonly samplerLogProb: number;
}

/** A run of tokens with the tokens of it that are trained. */
export interface ScoredRun {
  readonly ids: readonly number[];
  readonly scored: readonly ScoredToken[];
  /** Of a part of a split rollout: the place in the rollout of its first token; default 0. */
  readonly offset?: number;
}

/** A prefix and the rollouts that continue it. */
export interface PromptTree {
  /** Index of its prompt in the batch, where there is one. */
  readonly prompt?: number;
  readonly prefix: ScoredRun;
  readonly branches: readonly ScoredRun[];
}

/** What a tree needs of a rollout. */
export type TrainedRollout = Pick<Rollout, "ids" | "roles" | "turnOf" | "samplerLogProbs" | "splits">;

/** What a prompt brings to a training step: its K rollouts with their advantages, and how the gate routed it. */
export interface RoutedPrompt {
  readonly task: Task;
  readonly rollouts: readonly TrainedRollout[];
  /** A per rollout and turn. */
  readonly advantages: readonly (readonly number[])[];
  /** z: true trains L^x, false L^h and the SFT term (and L^x too with anchor `mix`). */
  readonly anchored: boolean;
}

/** The options of `TrainConfig` that shape the trees. */
export type TreeConfig = ContextConfig &
  SupervisionConfig &
  Pick<
    TrainConfig,
    | "anchor"
    | "anchorWeight"
    | "sftWeight"
    | "sftNormaliser"
    | "reasoningTags"
    | "rolloutAverage"
    | "maxRolloutTokens"
    | "maxContextTokens"
  >;

/**
 * The trees of a batch of prompts at a step, weights included.
 *
 * A prompt with z = 1, or without a trace, or with an empty one, has x alone as its prefix.
 *
 * @param prompts all prompts of the optimiser batch
 * @throws ContextLengthError when a prefix and its longest rollout exceed `maxContextTokens`
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const rollout = { ids: [1, 2], roles: [roleCode.answer, roleCode.answer], turnOf: [0, 0], samplerLogProbs: [-1, -1] };
 * const prompt = { task, rollouts: [rollout], advantages: [[2]], anchored: true };
 * const dialect = nativeDialect(codec);
 * const [tree] = buildTrees(dialect, [prompt], 0, defaultConfig);
 * tree.prefix.ids.length === dialect.prompt(task).ids.length; // → true
 * tree.branches[0].scored.map(({ advantage, policyWeight }) => [advantage, policyWeight]); // → [[2, 0.5], [2, 0.5]]
 * const [traced] = buildTrees(dialect, [{ ...prompt, anchored: false }], 0, defaultConfig);
 * traced.prefix.ids.length > tree.prefix.ids.length; // → true
 * ```
 */
export function buildTrees(
  dialect: Dialect,
  prompts: readonly RoutedPrompt[],
  step: number,
  config: TreeConfig,
): PromptTree[] {
  const weights = tokenWeights(prompts, config);
  const starts = firstRollouts(prompts);
  return prompts.flatMap((prompt, index) => {
    const { task } = prompt;
    const x = dialect.prompt(task).ids;
    const grow = (prefix: ScoredRun, term: number, factor = 1): PromptTree[] => {
      const own = weights[index].map((weight) => weight * factor);
      const grown = rolloutTrees(prompt, x, prefix, term, starts[index], own);
      for (const tree of grown) {
        const longest = Math.max(0, ...tree.branches.map((branch) => branch.ids.length));
        checkLength(task, tree.prefix.ids.length + longest, config.maxContextTokens);
      }
      return grown.map((tree) => ({ ...tree, prompt: index }));
    };
    const promptOnly = (factor?: number) => grow({ ids: x, scored: [] }, lossTerm.anchored, factor);
    if (prompt.anchored) return promptOnly();
    const context = tracedContext(dialect, task, step, config);
    const trees: PromptTree[] = [];
    if (task.trace === undefined || showsWholeTrace(config)) {
      const { scored } = supervisedTrace(dialect, task, step, prompts.length, config);
      trees.push(...grow({ ids: context, scored }, lossTerm.traced));
    } else {
      trees.push(...grow({ ids: context, scored: [] }, lossTerm.traced));
      if (config.sftWeight > 0) {
        const prefix = supervisedTrace(dialect, task, step, prompts.length, config);
        checkLength(task, prefix.ids.length, config.maxContextTokens);
        if (prefix.scored.length > 0) trees.push({ prompt: index, prefix, branches: [] });
      }
    }
    return config.anchor === "mix" ? [...trees, ...promptOnly(config.anchorWeight)] : trees;
  });
}

/**
 * The rollouts of the prompts with z = 0 behind their prompts alone, without weights: what their log-probs without the
 * trace are taken from.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const rollout = { ids: [1, 2], roles: [roleCode.answer, roleCode.answer], turnOf: [0, 0], samplerLogProbs: [-1, -1] };
 * const prompt = { task, rollouts: [rollout], advantages: [[2]], anchored: false };
 * const dialect = nativeDialect(codec);
 * const [tree] = promptOnlyTrees(dialect, [prompt]);
 * tree.branches[0].scored.map(({ policyWeight }) => policyWeight); // → [0, 0]
 * promptOnlyTrees(dialect, [{ ...prompt, anchored: true }]); // → []
 * ```
 */
export function promptOnlyTrees(dialect: Dialect, prompts: readonly RoutedPrompt[]): PromptTree[] {
  const starts = firstRollouts(prompts);
  return prompts.flatMap((prompt, index) => {
    if (prompt.anchored) return [];
    const none = prompt.rollouts.map(() => 0);
    const x = dialect.prompt(prompt.task).ids;
    const trees = rolloutTrees(prompt, x, { ids: x, scored: [] }, lossTerm.traced, starts[index], none);
    return trees.map((tree) => ({ ...tree, prompt: index }));
  });
}

/**
 * All that a step with rollouts trains on: its trees and, under `chord`, the expert episodes of its prompts; and the
 * prompt-only trees of the traced prompts where the ratio's denominator asks for them.
 *
 * @example const { trees, plain } = stepTrees(dialect, prompts, step, config);
 */
export function stepTrees(
  dialect: Dialect,
  prompts: readonly RoutedPrompt[],
  step: number,
  config: TreeConfig & Pick<TrainConfig, "method" | "ratioDenominator">,
): { readonly trees: readonly PromptTree[]; readonly plain: readonly PromptTree[] } {
  const trees = buildTrees(dialect, prompts, step, config);
  const episodes =
    config.method === "chord"
      ? prompts.map(({ task }, prompt) => ({
          ...buildEpisode(dialect, task, prompts.length, config.maxContextTokens),
          prompt,
        }))
      : [];
  const plain = config.ratioDenominator === "trace" ? [] : promptOnlyTrees(dialect, prompts);
  return { trees: [...trees, ...episodes], plain };
}

/** Index in the batch of each prompt's first rollout. */
function firstRollouts(prompts: readonly RoutedPrompt[]): number[] {
  let next = 0;
  return prompts.map(({ rollouts }) => {
    next += rollouts.length;
    return next - rollouts.length;
  });
}

/** Weight of the tokens of each prompt's rollouts in L^x or L^h. */
function tokenWeights(prompts: readonly RoutedPrompt[], config: TreeConfig): number[][] {
  const { rolloutAverage } = config;
  const counts = prompts.map(({ rollouts }) =>
    rollouts.map((rollout) => rollout.roles.filter(isSampled).length),
  );
  if (rolloutAverage === "rollout" || rolloutAverage === "token") {
    return counts.map((own) => rolloutTokenWeights(own, prompts.length, rolloutAverage));
  }
  const flat = counts.flat();
  // The norm divides by the longest rollout possible and, as Dr.GRPO, by the number of rollouts.
  const rows = rolloutAverage === "seq-mean-token-sum-norm" ? flat.length : 1;
  const weights = aggregationWeights(flat, rolloutAverage, config.maxRolloutTokens).map((w) => w / rows);
  const starts = firstRollouts(prompts);
  return counts.map((own, index) => weights.slice(starts[index], starts[index] + own.length));
}

/**
 * The rollouts of a prompt behind a prefix that begins with x. A part of a split rollout whose new prompt begins with x, too,
 * is a branch like any other, the rest of that prompt in front; else it is a tree of its own behind its own prompt.
 */
function rolloutTrees(
  { rollouts, advantages }: RoutedPrompt,
  x: readonly number[],
  prefix: ScoredRun,
  term: number,
  first: number,
  weights: readonly number[],
): PromptTree[] {
  const branches: ScoredRun[] = [];
  const others: PromptTree[] = [];
  rollouts.forEach((rollout, index) => {
    const scoredIn = (start: number, end: number): ScoredRun => ({
      // The very tokens that were sampled, not a copy, where the rollout is whole.
      ids: end - start === rollout.ids.length ? rollout.ids : rollout.ids.slice(start, end),
      scored: rollout.roles.slice(start, end).flatMap((role, position): ScoredToken[] => {
        if (!isSampled(role)) return [];
        return [
          {
            position,
            term,
            rollout: first + index,
            advantage: advantages[index][rollout.turnOf[start + position]],
            policyWeight: weights[index],
            sftWeight: 0,
            samplerLogProb: rollout.samplerLogProbs[start + position],
          },
        ];
      }),
      ...(start > 0 && { offset: start }),
    });
    const splits = rollout.splits ?? [];
    branches.push(scoredIn(0, splits[0]?.start ?? rollout.ids.length));
    splits.forEach(({ start, end }, part) => {
      const until = splits[part + 1]?.start ?? rollout.ids.length;
      const own = rollout.ids.slice(start, end);
      if (x.every((id, position) => own[position] === id)) branches.push(scoredIn(start + x.length, until));
      else others.push({ prefix: { ids: own, scored: [] }, branches: [scoredIn(end, until)] });
    });
  });
  return [{ prefix, branches }, ...others];
}

/** x → h* with the tokens that the component-aware SFT term trains at a step. */
function supervisedTrace(
  dialect: Dialect,
  task: Task,
  step: number,
  prompts: number,
  config: TreeConfig,
): ScoredRun {
  const x = dialect.prompt(task).ids;
  if (task.trace === undefined) return { ids: x, scored: [] };
  const { reasoningTags, sftNormaliser } = config;
  const { callWeight, ...active } = supervisionAt(config, step);
  const trace = dialect.trace(task, task.trace, { ...active, reasoningTags });
  const weights = sftTokenWeights(trace.labels, callWeight, sftNormaliser);
  const scored = trace.labels.flatMap((label, index) =>
    label === sftLabel.context
      ? []
      : [expertToken(x.length + index, termOfLabel(label), weights[index] / prompts)],
  );
  return { ids: [...x, ...trace.ids], scored };
}

/**
 * The mean negative log-likelihood of everything the expert wrote, answer included: plain SFT.
 *
 * @param prompts number of prompts of the whole optimiser batch
 * @throws BatchError when the task has no trace
 * @throws ContextLengthError when the episode exceeds `maxContextTokens`
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const dialect = nativeDialect(codec);
 * const { prefix } = buildEpisode(dialect, task, 2, 4096); // one of two prompts
 * prefix.scored.reduce((sum, token) => sum + token.sftWeight, 0); // → 0.5
 * buildEpisode(dialect, task, 2, 10); // → throws ContextLengthError
 * ```
 */
export function buildEpisode(
  dialect: Dialect,
  task: Task,
  prompts: number,
  maxContextTokens: number,
): PromptTree {
  const { ids, labels, roles } = dialect.document(task, traceOf(task));
  checkLength(task, ids.length, maxContextTokens);
  const weights = sftTokenWeights(labels, 1, "count");
  const scored = labels.flatMap((label, position) =>
    label === sftLabel.context
      ? []
      : [expertToken(position, termOfRole(roles[position]), weights[position] / prompts)],
  );
  return { prefix: { ids, scored }, branches: [] };
}

function traceOf(task: Task): ExpertTrace {
  if (task.trace) return task.trace;
  throw new BatchError(`Task ${task.id} has no expert trace, which SFT needs. Generate tasks with traces.`);
}

/** Which part of the component-aware SFT term a label belongs to. */
function termOfLabel(label: number): number {
  return label === sftLabel.reasoning ? lossTerm.sftReasoning : lossTerm.sftCall;
}

/** Which part of an expert episode a token belongs to, for the metrics. */
function termOfRole(role: number): number {
  if (role === roleCode.call) return lossTerm.sftCall;
  return role === roleCode.answer ? lossTerm.sftAnswer : lossTerm.sftReasoning;
}

function expertToken(position: number, term: number, sftWeight: number): ScoredToken {
  return { position, term, rollout: -1, advantage: 0, policyWeight: 0, sftWeight, samplerLogProb: 0 };
}
