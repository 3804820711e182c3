/**
 * The loss of a training step, taken apart again: for every token with a loss its log-probs, ratio, advantage, clip, and
 * what each term of the objective adds. The contributions of all tokens add up to `loss/total` of the step.
 *
 * It is computed with the trainer's own parts (trees, packing, denominators, losses), from the rollouts that a run has
 * recorded and the parameters before the step's update; of several updates on a batch it is the first that is logged.
 * Left out: gradients, and how a step's tasks and rollouts are read back (cli/explain-run.ts).
 */
import { targetLogits } from "@pact/nn";
import { entropy, scope, tensor } from "@pact/tensor";
import type { TrainConfig } from "./config.ts";
import { freezeBatch } from "./denominators.ts";
import type { Dialect } from "./dialect.ts";
import { ExplainError } from "./errors.ts";
import { klPenalties } from "./losses/kl.ts";
import { policyLoss } from "./losses/policy-registry.ts";
import { objectiveAt } from "./methods.ts";
import { forwardParams, type Model } from "./model.ts";
import { type MicroBatch, microBatches } from "./pack.ts";
import {
  buildTrees,
  lossTerm,
  type PromptTree,
  promptOnlyTrees,
  type RoutedPrompt,
  stepTrees,
} from "./trees.ts";
import { frozenLogProbs, tokenLosses, type UpdateOptions } from "./update.ts";

/** A term of the objective: L^x, L^h, the parts of the SFT term, the KL penalty, the entropy bonus. */
export type TermName = "x" | "h" | "sft/reasoning" | "sft/call" | "sft/answer" | "kl" | "entropy";

/** What one term adds to the loss at one token: `weight · value`. */
export interface Contribution {
  readonly term: TermName;
  /** Coefficient of the term times the token's share in its mean. */
  readonly weight: number;
  /** The loss, penalty or entropy of the token. */
  readonly value: number;
  readonly contribution: number;
}

/** What a clip does at a token: nothing, cut the ratio, or cap the loss of a negative advantage. */
export type ClipState = "none" | "clipped" | "dual";

/** A token with a loss; under anchor `mix` a token of a rollout has two. */
export interface TokenLoss {
  /** Index of its prompt in the step. */
  readonly prompt: number;
  /** Index of its rollout in the step, −1 for a token that the expert wrote. */
  readonly rollout: number;
  /** Place in the rollout, or in x → h* (or x → the expert's episode). */
  readonly position: number;
  readonly id: number;
  /** log π before the update, in the context the token is trained in. */
  readonly logProb: number;
  /** log of what the ratio is taken against; the same number under `ratioDenominator` trace. */
  readonly oldLogProb: number;
  /** The importance ratio that enters the loss: of the token, or of its rollout under gspo; 1 for expert tokens. */
  readonly ratio: number;
  /** A, the correction of `traceTruncated` included; 0 for expert tokens. */
  readonly advantage: number;
  readonly clip: ClipState;
  readonly terms: readonly Contribution[];
  /** The ratio after the step's updates and what the clip would do then, where `next` was given. */
  readonly after?: { readonly ratio: number; readonly clip: ClipState };
}

/** A step taken apart. */
export interface StepExplanation {
  readonly tokens: readonly TokenLoss[];
  /** Sum of all contributions: the objective before the update. */
  readonly total: number;
  /** Sum of the contributions' sizes: what rounding of the total is to be measured by. */
  readonly size: number;
}

/** What a step is computed from. */
export interface StepInputs {
  readonly config: TrainConfig;
  /** 0-based. */
  readonly step: number;
  readonly dialect: Dialect;
  /** The model before the step's update. */
  readonly model: Model;
  /** The model at the start of the run; needed with a KL term. */
  readonly reference?: Model;
  /** The model after the step, to see what the step did to each ratio. */
  readonly next?: Model;
  /** Every prompt of the step, in order, with its rollouts. */
  readonly prompts: readonly RoutedPrompt[];
}

const termNames: readonly [number, TermName][] = [
  [lossTerm.anchored, "x"],
  [lossTerm.traced, "h"],
  [lossTerm.sftReasoning, "sft/reasoning"],
  [lossTerm.sftCall, "sft/call"],
  [lossTerm.sftAnswer, "sft/answer"],
];
const nameOfTerm = new Map(termNames);

/**
 * Takes the loss of a step with rollouts apart.
 *
 * @throws ExplainError when a KL term has no reference model, or the step was packed otherwise than its trees say
 * @example
 * const { tokens, total } = await explainStep({ config, step: 3, dialect, model, prompts });
 * tokens.flatMap(({ terms }) => terms).reduce((sum, { contribution }) => sum + contribution, 0) === total
 */
export async function explainStep(inputs: StepInputs): Promise<StepExplanation> {
  const { config, step, dialect, model, prompts, reference, next } = inputs;
  const objective = objectiveAt(config, step);
  if (objective.klCoefficient && !reference)
    throw new ExplainError("the step has a KL term: the model that the run started from is needed too.");
  const { trees, plain } = stepTrees(dialect, prompts, step, config);
  const plainBatches = plain.length === 0 ? [] : microBatches(plain, config);
  const frozen = await freezeBatch(model, microBatches(trees, config), plainBatches, config);
  for (const old of frozen.old ?? []) old.dispose();
  const { batches } = frozen;
  const logProbs = await valuesOf(model, batches);
  const oldLogProbs = frozen.oldValues ?? logProbs;
  const later = next && (await valuesOf(next, batches));
  const [losses, penalties, entropies] = await Promise.all([
    tokenLosses(model, batches, logProbs, frozen.oldValues, objective),
    penaltiesOf(logProbs, batches, model, reference, objective),
    objective.entropyWeight ? entropiesOf(model, batches) : undefined,
  ]);
  const places = placesOf(trees);
  const tokens: TokenLoss[] = [];
  batches.forEach((batch, index) => {
    const states = ratiosOf(batch, logProbs[index], oldLogProbs[index], objective);
    const after = later && ratiosOf(batch, later[index], oldLogProbs[index], objective);
    batch.terms.forEach((code, token) => {
      const place = places[tokens.length];
      const id = batch.packed.ids[batch.targets[token]];
      if (place?.term !== code || place.id !== id)
        throw new ExplainError("the scored tokens of the batch are not those of its trees.");
      const logProb = logProbs[index][token];
      const terms: Contribution[] = [];
      const add = (term: TermName, weight: number, value: number): void => {
        terms.push({ term, weight, value, contribution: weight * value });
      };
      const share = batch.policyWeights[token];
      if (place.rollout < 0) {
        const p = Math.exp(logProb);
        const value = -logProb * (objective.expertLoss === "phi" ? p * (1 - p) : 1);
        add(nameOfTerm.get(code)!, objective.sftWeight * batch.sftWeights[token], value);
      } else {
        add(nameOfTerm.get(code)!, (objective.policyWeight ?? 1) * share, losses[index][token]);
        if (penalties) add("kl", objective.klCoefficient! * share, penalties[index][token]);
        if (entropies) add("entropy", -objective.entropyWeight! * share, entropies[index][token]);
      }
      const { prompt, rollout, position } = place;
      const own = { prompt, rollout, position, id, logProb, oldLogProb: oldLogProbs[index][token] };
      const advantage = batch.advantages[token];
      tokens.push({ ...own, ...states[token], advantage, terms, ...(after && { after: after[token] }) });
    });
  });
  const all = tokens.flatMap(({ terms }) => terms.map(({ contribution }) => contribution));
  const total = all.reduce((sum, contribution) => sum + contribution, 0);
  return { tokens, total, size: all.reduce((sum, contribution) => sum + Math.abs(contribution), 0) };
}

/**
 * Whether a sum of contributions is the logged loss: the trainer adds in the device's precision (f32), this file in f64.
 *
 * @example agrees({ total: 1.0000001, size: 4 }, 1) // true
 */
export function agrees({ total, size }: Pick<StepExplanation, "total" | "size">, logged: number): boolean {
  return Math.abs(total - logged) <= roundingShare * Math.max(1, size);
}

/** Largest difference to the logged loss that counts as rounding, as a share of the contributions' sizes. */
export const roundingShare = 1e-5;

/** log π of each sampled token of a rollout, in both contexts. */
export interface ContextLogProbs {
  /** Place in the rollout. */
  readonly position: number;
  /** log π(·|x). */
  readonly prompt: number;
  /** log π(·|x, h*); undefined for a task without a trace. */
  readonly trace: number | undefined;
}

/**
 * log π of the sampled tokens of a prompt's rollouts, behind the prompt alone and behind the trace as the step shows it,
 * whichever of them the gate chose for training.
 *
 * @returns per rollout of the prompt
 * @example const [first] = await bothContexts({ ...inputs, prompts: [prompt] });
 */
export async function bothContexts({
  config,
  step,
  dialect,
  model,
  prompts,
}: Omit<StepInputs, "reference">): Promise<ContextLogProbs[][]> {
  const count = prompts.flatMap(({ rollouts }) => rollouts).length;
  const open = prompts.map((prompt) => ({ ...prompt, anchored: false }));
  const inContext = async (trees: readonly PromptTree[]): Promise<Map<number, number>[]> => {
    const found = Array.from({ length: count }, () => new Map<number, number>());
    const batches = microBatches(trees, config);
    const values = (await valuesOf(model, batches)).flatMap((batch) => [...batch]);
    placesOf(trees).forEach(({ rollout, position }, token) => {
      if (rollout >= 0) found[rollout].set(position, values[token]);
    });
    return found;
  };
  const alone = await inContext(promptOnlyTrees(dialect, open));
  const traced = open.every(({ task }) => task.trace)
    ? await inContext(buildTrees(dialect, open, step, { ...config, anchor: "none" }))
    : undefined;
  return alone.map((own, rollout) =>
    [...own].map(([position, prompt]) => ({ position, prompt, trace: traced?.[rollout].get(position) })),
  );
}

async function valuesOf(model: Model, batches: readonly MicroBatch[]): Promise<Float64Array[]> {
  const frozen = frozenLogProbs(model, batches);
  const values = await Promise.all(frozen.map(async (batch) => Float64Array.from(await batch.data())));
  for (const batch of frozen) batch.dispose();
  return values;
}

async function penaltiesOf(
  logProbs: readonly Float64Array[],
  batches: readonly MicroBatch[],
  { params }: Model,
  reference: Model | undefined,
  { klCoefficient, klEstimator }: UpdateOptions,
): Promise<Float64Array[] | undefined> {
  if (!klCoefficient || !reference) return undefined;
  const { dtype, device } = Object.values(params)[0];
  const frozen = await valuesOf(reference, batches);
  return Promise.all(
    frozen.map(async (values, index) => {
      const column = (numbers: Float64Array) => tensor(numbers, { dtype, device });
      const penalties = scope(() => klPenalties(column(logProbs[index]), column(values), klEstimator));
      const read = Float64Array.from(await penalties.data());
      penalties.dispose();
      return read;
    }),
  );
}

async function entropiesOf(model: Model, batches: readonly MicroBatch[]): Promise<Float64Array[]> {
  return Promise.all(
    batches.map(async ({ packed, targets }) => {
      const values = scope(() =>
        entropy(targetLogits(model.config, forwardParams(model), packed, targets, model.forward)),
      );
      const read = Float64Array.from(await values.data());
      values.dispose();
      return read;
    }),
  );
}

/** Where a scored token stands. */
interface Place {
  readonly prompt: number;
  readonly rollout: number;
  readonly position: number;
  readonly id: number;
  readonly term: number;
}

/** The scored tokens of trees in the order in which any packing keeps them. */
function placesOf(trees: readonly PromptTree[]): Place[] {
  return trees.flatMap(({ prompt = 0, prefix, branches }) =>
    [prefix, ...branches].flatMap(({ ids, scored, offset = 0 }) =>
      scored.map(({ position, term, rollout }) => {
        return { prompt, rollout, position: offset + position, id: ids[position], term };
      }),
    ),
  );
}

/** Ratio and clip state of each token of a micro-batch. */
function ratiosOf(
  { rollouts, sequences, advantages }: MicroBatch,
  logProbs: Float64Array,
  oldLogProbs: Float64Array,
  { policyLoss: name = "vanilla", clipLow, clipHigh, dualClip }: UpdateOptions,
): { ratio: number; clip: ClipState }[] {
  const loss = policyLoss(name);
  const sums = new Map<number, { sum: number; count: number }>();
  sequences.forEach((sequence, token) => {
    const { sum, count } = sums.get(sequence) ?? { sum: 0, count: 0 };
    sums.set(sequence, { sum: sum + logProbs[token] - oldLogProbs[token], count: count + 1 });
  });
  return Array.from(rollouts, (rollout, token) => {
    if (rollout < 0) return { ratio: 1, clip: "none" };
    const { sum, count } = sums.get(sequences[token])!;
    const logRatio = loss.ratio === "sequence" ? sum / count : logProbs[token] - oldLogProbs[token];
    const { clipFraction, dualClipFraction } = loss.statistics(
      { newLogProbs: [logRatio], oldLogProbs: [0], advantages: [advantages[token]], sequences: [0] },
      { clipLow, clipHigh, dualClip },
    );
    const clip = dualClipFraction > 0 ? "dual" : clipFraction > 0 ? "clipped" : "none";
    return { ratio: Math.exp(logRatio), clip };
  });
}
