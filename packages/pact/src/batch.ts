/**
 * Training batches: one prefix tree per prompt, laid end to end in rows of packed tokens.
 *
 *     z = 0    x → h* → delimiter → { τ_1 … τ_K }     one forward gives L_SFT (on h*, which sees x only) and L^h
 *     z = 1    x → { τ_1 … τ_K }                      L^x
 *     sft      x → expert episode                      negative log-likelihood of the episode
 *
 * A token of τ_k attends to the prefix and its own past. Every scored token carries its weights, with the denominators
 * of the whole optimiser batch already inside, so the sum of the micro-batches' losses is the batch's loss however it
 * is split. Left out: reduced contexts (`safe`, `scheduled`, missing components), for which h* would be a branch.
 */
import { concatPacked, type Packed, packTree } from "@pact/nn";
import type { ExpertTrace, Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { BatchError, ContextLengthError } from "./errors.ts";
import { rolloutTokenWeights, sftTokenWeights } from "./losses/weights.ts";
import { renderDelimiter, renderDocument, renderPrompt, renderTrace, sftLabel } from "./render.ts";
import { isSampled, roleCode } from "./roles.ts";
import type { Rollout } from "./rollout.ts";
import { callWeight, prefixLevel } from "./schedules.ts";
import type { TokenCodec } from "./tokens.ts";

/** Which loss a scored token belongs to. */
export const lossTerm = { anchored: 0, traced: 1, sftReasoning: 2, sftCall: 3, sftAnswer: 4 } as const;

/** A token whose log-prob is trained, at a place in a prefix or branch. */
export interface ScoredToken {
  readonly position: number;
  /** One of `lossTerm`. */
  readonly term: number;
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
}

/** One prompt's share of a batch: a prefix and the rollouts that continue it. */
export interface PromptTree {
  readonly prefix: ScoredRun;
  readonly branches: readonly ScoredRun[];
}

/** Packed trees of one forward; arrays over its M scored tokens. */
export interface MicroBatch {
  readonly packed: Packed;
  /** Row in `packed` of each scored token. */
  readonly targets: Int32Array;
  readonly terms: Uint8Array;
  readonly advantages: Float64Array;
  readonly policyWeights: Float64Array;
  readonly sftWeights: Float64Array;
  readonly samplerLogProbs: Float64Array;
}

/** What a prompt brings to a training step: its K rollouts with their advantages, and how the gate routed it. */
export interface RoutedPrompt {
  readonly task: Task;
  readonly rollouts: readonly Rollout[];
  /** A per rollout and turn. */
  readonly advantages: readonly (readonly number[])[];
  /** z: true trains L^x, false L^h and the SFT term. */
  readonly anchored: boolean;
}

/** The options of `TrainConfig` that shape a batch. */
export type BatchConfig = Pick<
  TrainConfig,
  | "steps"
  | "sftNormaliser"
  | "reasoningSchedule"
  | "callSchedule"
  | "callWeightStart"
  | "callWeightEnd"
  | "reasoningTags"
  | "traceDelimiter"
  | "maxContextTokens"
>;

/**
 * The tree of one prompt at a step, weights included.
 *
 * A prompt with z = 1, or without a trace, or with an empty one, has x alone as its prefix.
 *
 * @param prompts number of prompts of the whole optimiser batch
 * @throws ContextLengthError when prefix and longest rollout exceed `maxContextTokens`
 * @example buildTree(codec, { task, rollouts, advantages, anchored: false }, step, prompts.length, config)
 */
export function buildTree(
  codec: TokenCodec,
  routed: RoutedPrompt,
  step: number,
  prompts: number,
  config: BatchConfig,
): PromptTree {
  const prefix = routed.anchored
    ? { ids: renderPrompt(codec, routed.task).ids, scored: [] }
    : tracedPrefix(codec, routed.task, step, prompts, config);
  const counts = routed.rollouts.map((rollout) => rollout.roles.filter(isSampled).length);
  const weights = rolloutTokenWeights(counts, prompts);
  const term = routed.anchored ? lossTerm.anchored : lossTerm.traced;
  const branches = routed.rollouts.map((rollout, index): ScoredRun => {
    const scored = rollout.roles.flatMap((role, position): ScoredToken[] => {
      if (!isSampled(role)) return [];
      return [
        {
          position,
          term,
          advantage: routed.advantages[index][rollout.turnOf[position]],
          policyWeight: weights[index],
          sftWeight: 0,
          samplerLogProb: rollout.samplerLogProbs[position],
        },
      ];
    });
    return { ids: rollout.ids, scored };
  });
  const longest = Math.max(0, ...branches.map((branch) => branch.ids.length));
  checkLength(routed.task, prefix.ids.length + longest, config.maxContextTokens);
  return { prefix, branches };
}

function tracedPrefix(
  codec: TokenCodec,
  task: Task,
  step: number,
  prompts: number,
  config: BatchConfig,
): ScoredRun {
  const x = renderPrompt(codec, task).ids;
  if (task.trace === undefined) return { ids: x, scored: [] };
  const segment = config.reasoningSchedule === "segment";
  const trace = renderTrace(codec, task.trace, {
    level: config.reasoningSchedule === "none" ? 0 : segment ? prefixLevel(step, config.steps) : 4,
    calls: config.callSchedule !== "none",
    reasoningTags: config.reasoningTags,
  });
  const lambda =
    config.callSchedule === "scale"
      ? callWeight(step, config.steps, config.callWeightStart, config.callWeightEnd)
      : config.callWeightStart;
  const weights = sftTokenWeights(trace.labels, lambda, config.sftNormaliser);
  const delimiter = renderDelimiter(codec, task, trace, config.traceDelimiter);
  const scored = trace.labels.flatMap((label, index) =>
    label === sftLabel.context
      ? []
      : [expertToken(x.length + index, termOfLabel(label), weights[index] / prompts)],
  );
  return { ids: [...x, ...trace.ids, ...delimiter.ids], scored };
}

/**
 * Tokens of a prompt, its trace and a rollout of the configured length: what must fit into `maxContextTokens` before
 * anything is sampled, so that no context is ever cut.
 */
export function contextTokens(
  codec: TokenCodec,
  task: Task,
  config: Pick<TrainConfig, "maxRolloutTokens" | "traceDelimiter">,
): number {
  const prompt = renderPrompt(codec, task).ids.length;
  if (task.trace === undefined) return prompt + config.maxRolloutTokens;
  const trace = renderTrace(codec, task.trace, { level: 0 });
  const delimiter = renderDelimiter(codec, task, trace, config.traceDelimiter);
  const tree = prompt + trace.ids.length + delimiter.ids.length + config.maxRolloutTokens;
  return Math.max(tree, renderDocument(codec, { task, episode: task.trace }).ids.length);
}

/**
 * A prompt of plain SFT: the mean negative log-likelihood of everything the expert wrote, answer included.
 *
 * @throws BatchError when the task has no trace
 * @throws ContextLengthError when the episode exceeds `maxContextTokens`
 */
export function buildEpisode(
  codec: TokenCodec,
  task: Task,
  prompts: number,
  maxContextTokens: number,
): PromptTree {
  const { ids, labels, roles } = renderDocument(codec, { task, episode: traceOf(task) });
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
function termOfLabel(label: number): ScoredToken["term"] {
  return label === sftLabel.reasoning ? lossTerm.sftReasoning : lossTerm.sftCall;
}

/** Which part of an expert episode a token belongs to, for the metrics. */
function termOfRole(role: number): ScoredToken["term"] {
  if (role === roleCode.call) return lossTerm.sftCall;
  return role === roleCode.answer ? lossTerm.sftAnswer : lossTerm.sftReasoning;
}

function expertToken(position: number, term: ScoredToken["term"], sftWeight: number): ScoredToken {
  return { position, term, advantage: 0, policyWeight: 0, sftWeight, samplerLogProb: 0 };
}

function checkLength(task: Task, tokens: number, limit: number): void {
  if (tokens <= limit) return;
  throw new ContextLengthError(
    `Task ${task.id} needs a context of ${tokens} tokens, the limit is ${limit}. ` +
      "Raise maxContextTokens, or lower maxRolloutTokens; contexts are never cut.",
  );
}

/**
 * Packs trees into micro-batches of at most `tokenBudget` tokens.
 *
 * A tree that does not fit is split between its branches; its prefix is then repeated, and its expert tokens are
 * scored in the first part only. A single branch with its prefix may exceed the budget and then stands alone.
 *
 * @throws BatchError when no token of the batch is trained
 * @example packMicroBatches(trees, 8192).length
 */
export function packMicroBatches(trees: readonly PromptTree[], tokenBudget: number): MicroBatch[] {
  const parts: PromptTree[][] = [];
  let current: PromptTree[] = [];
  let used = 0;
  const close = (): void => {
    if (current.length > 0) parts.push(current);
    current = [];
    used = 0;
  };
  for (const tree of trees) {
    for (const piece of splitTree(tree, tokenBudget)) {
      const tokens = treeTokens(piece);
      if (used + tokens > tokenBudget) close();
      current.push(piece);
      used += tokens;
    }
  }
  close();
  const batches = parts.map(pack).filter((batch) => batch.targets.length > 0);
  if (batches.length === 0) {
    throw new BatchError(
      "A batch without a single trained token: no rollout sampled anything and no trace is active. " +
        "Check the rollouts, the schedules and that tasks have traces.",
    );
  }
  return batches;
}

function treeTokens(tree: PromptTree): number {
  return tree.branches.reduce((sum, branch) => sum + branch.ids.length, tree.prefix.ids.length);
}

function splitTree(tree: PromptTree, budget: number): PromptTree[] {
  if (treeTokens(tree) <= budget || tree.branches.length < 2) return [tree];
  const pieces: PromptTree[] = [];
  let branches: ScoredRun[] = [];
  let tokens = tree.prefix.ids.length;
  const close = (): void => {
    const scored = pieces.length === 0 ? tree.prefix.scored : [];
    pieces.push({ prefix: { ids: tree.prefix.ids, scored }, branches });
    branches = [];
    tokens = tree.prefix.ids.length;
  };
  for (const branch of tree.branches) {
    if (branches.length > 0 && tokens + branch.ids.length > budget) close();
    branches.push(branch);
    tokens += branch.ids.length;
  }
  close();
  return pieces;
}

function pack(trees: readonly PromptTree[]): MicroBatch {
  const scored: ScoredToken[] = [];
  const targets: number[] = [];
  let start = 0;
  for (const { prefix, branches } of trees) {
    for (const run of [prefix, ...branches]) {
      for (const token of run.scored) {
        scored.push(token);
        targets.push(start + token.position);
      }
      start += run.ids.length;
    }
  }
  const column = (pick: (token: ScoredToken) => number) => Float64Array.from(scored, pick);
  return {
    packed: concatPacked(
      trees.map(({ prefix, branches }) =>
        packTree({ prefix: prefix.ids, branches: branches.map((branch) => branch.ids) }),
      ),
    ),
    targets: Int32Array.from(targets),
    terms: Uint8Array.from(scored, (token) => token.term),
    advantages: column((token) => token.advantage),
    policyWeights: column((token) => token.policyWeight),
    sftWeights: column((token) => token.sftWeight),
    samplerLogProbs: column((token) => token.samplerLogProb),
  };
}
