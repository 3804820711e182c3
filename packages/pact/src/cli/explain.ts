/** `pact explain <run> <rollout>`: where the loss of one training rollout comes from, token by token. */
import { resolve } from "node:path";
import { init } from "@pact/tensor";
import { ExplainError } from "../errors.ts";
import {
  agrees,
  bothContexts,
  type ContextLogProbs,
  explainStep,
  roundingShare,
  type StepExplanation,
  type TermName,
  type TokenLoss,
} from "../explain.ts";
import { requirePrecision, startModel, weightsOfCheckpoint } from "../model.ts";
import { type Role, roles } from "../roles.ts";
import { checkpointName, type StoredCheckpoint } from "./checkpoints.ts";
import { type ExplainOptions, explainOptions, explainPositionals } from "./explain-options.ts";
import { promptsOf, type RecordedStep, type RecordedWeights, readStep, weightsOf } from "./explain-run.ts";
import { explanationLines } from "./explain-table.ts";
import { notedKernels, repeatWithKernels } from "./kernel-table.ts";
import { parseOptions, takePositional, UsageError } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { painter } from "./terminal.ts";
import { loadParams } from "./train-parts.ts";

/** A token as it is shown; those of the environment have no loss. */
export interface ExplainedToken
  extends Partial<Omit<TokenLoss, "prompt" | "rollout" | "id" | "position" | "terms" | "clip">> {
  /** Place in the rollout after its prompt, or of an expert token in x → h*. */
  readonly position: number;
  readonly id: number;
  readonly text: string;
  readonly role: Role;
  /** log π(·|x). */
  readonly prompt?: number;
  /** log π(·|x, h*). */
  readonly trace?: number;
  readonly clip: TokenLoss["clip"];
  readonly terms: TokenLoss["terms"];
}

/** What `--json` prints. */
export interface Explanation {
  readonly run: string;
  readonly line: number;
  readonly step: number;
  readonly taskId: string;
  readonly rollout: number;
  readonly reward: number;
  readonly solveF1: number;
  readonly stop: string;
  /** z of its prompt. */
  readonly anchored: boolean;
  /** Steps done before the parameters that were used; exact if that is `step`. */
  readonly parametersOfStep: number;
  readonly device: string;
  /** What a reader must know: other parameters, another device. */
  readonly notes: readonly string[];
  readonly tokens: readonly ExplainedToken[];
  /** Expert tokens of its prompt with a loss. */
  readonly expert: readonly ExplainedToken[];
  /** What each term adds in this rollout, in its prompt (trace and K rollouts), and in the whole step. */
  readonly terms: readonly {
    readonly term: TermName;
    readonly rollout: number;
    readonly prompt: number;
    readonly step: number;
  }[];
  /** Sum over the step, and of the sizes. */
  readonly total: number;
  readonly size: number;
  readonly logged: number | null;
  readonly agreement: "agrees" | "differs" | "other parameters" | "not logged";
  /** Largest difference that counts as rounding, as a share of max(1, size). */
  readonly rounding: number;
}

/**
 * Runs the command.
 *
 * @returns 0, or 1 if the sum is not the logged loss though it should be
 * @throws UsageError for a wrong command line, ExplainError for what the run lacks
 * @example process.exitCode = await explain(["runs/first", "401"]);
 */
export async function explain(args: readonly string[]): Promise<number> {
  const [run, rollout] = explainPositionals;
  const first = takePositional("pact explain", run, args);
  const second = takePositional("pact explain", rollout, first.rest);
  const options = parseOptions("pact explain", explainOptions, second.rest);
  if (first.word === undefined || second.word === undefined)
    throw new UsageError(
      `pact explain: give the run folder and the rollout, e.g. pact explain runs/first 401. See \`pact explain --help\`.`,
    );
  const progress = createProgress(process.stderr);
  const explanation = await explainRollout(
    resolve(first.word),
    second.word,
    options,
    (line) => progress.line(line),
    progress,
  ).finally(() => progress.close());
  if (options.json) process.stdout.write(`${JSON.stringify(explanation)}\n`);
  else {
    const { columns } = process.stdout;
    const lines = explanationLines(explanation, painter(process.stdout), {
      columns,
      withExpert: options.expert,
    });
    process.stdout.write(`${lines.join("\n")}\n`);
  }
  return explanation.agreement === "differs" ? 1 : 0;
}

/**
 * Explains a training rollout of a run folder.
 *
 * @param note receives what a person should know while it works
 * @param progress shows how far a large model is read
 * @example (await explainRollout("runs/first", "401", { device: "cpu" }, console.error)).agreement // "agrees"
 */
export async function explainRollout(
  folder: string,
  selector: string,
  options: Pick<ExplainOptions, "device"> & Partial<Pick<ExplainOptions, "model" | "data">>,
  note: (line: string) => void,
  progress?: Progress,
): Promise<Explanation> {
  const recorded = await readStep(folder, selector);
  const prompts = promptsOf(recorded, options);
  const weights = await weightsOf(folder, recorded, options, note);
  const { config } = recorded;
  const own = recorded.rollouts[recorded.chosen];
  const { step } = own;
  const { config: shape, dialect } = weights.start;
  if (recorded.rollouts.some(({ ids }) => ids.some((id) => id >= shape.vocabSize)))
    throw new ExplainError(
      `rollouts.jsonl has token ids beyond the model's ${shape.vocabSize}: it is of another model.`,
    );
  const wanted = options.device === "run" ? recorded.run.device.kind : options.device;
  const device = await init({ device: wanted === "webgpu" ? "webgpu" : "cpu", log: () => {} });
  using _device = { [Symbol.dispose]: () => device.destroy() };
  requirePrecision(config, device);
  const kernels = weights.before?.kernels ?? notedKernels(recorded.run.device.kernels);
  const otherKernels = repeatWithKernels(device, kernels);
  const base = await loadParams(weights.start, config, progress);
  const load = (stored?: StoredCheckpoint) =>
    startModel(shape, base, config, stored && weightsOfCheckpoint(shape, stored));
  const { model, reference } = load(weights.before);
  const inputs = {
    config,
    step,
    dialect,
    model,
    prompts,
    reference: config.klCoefficient > 0 ? reference : undefined,
    next: weights.after && weights.doneBefore === step ? load(weights.after).model : undefined,
  };
  const explained = await explainStep(inputs);
  const place = Math.floor(recorded.chosen / config.rolloutsPerPrompt);
  const contexts = await bothContexts({ ...inputs, prompts: [prompts[place]] });
  const textOf = (id: number) => dialect.decode([id]);
  const isExact = weights.doneBefore === step;
  return {
    run: folder,
    line: own.line,
    step,
    taskId: own.taskId,
    rollout: own.rollout,
    reward: own.reward,
    solveF1: own.solveF1,
    stop: own.stop,
    anchored: own.anchored,
    parametersOfStep: weights.doneBefore,
    device: device.kind,
    notes: notesOf(recorded, weights, device.kind, otherKernels),
    tokens: rolloutTokens(recorded, explained, contexts[own.rollout], textOf),
    expert: expertTokens(explained, place, textOf),
    terms: termsOf(explained, recorded.chosen, place),
    total: explained.total,
    size: explained.size,
    logged: recorded.logged ?? null,
    agreement: agreementOf(explained, recorded.logged, isExact),
    rounding: roundingShare,
  };
}

/** What must be said before any number. */
function notesOf(
  { run, rollouts }: RecordedStep,
  weights: RecordedWeights,
  device: string,
  otherKernels: string | undefined,
): string[] {
  const { step } = rollouts[0];
  const { doneBefore } = weights;
  const which =
    doneBefore === 0 ? "the model the run started from" : `checkpoints/${checkpointName(doneBefore)}`;
  const notes = [
    doneBefore === step
      ? `parameters: ${which}, those before this step's update`
      : `NOTE: there is no checkpoints/${checkpointName(step)}; parameters: ${which}. Log-probs, ratios and losses below differ from those of the ` +
        "run. Train with --checkpoint-every 1 to have every step.",
  ];
  if (device !== run.device.kind)
    notes.push(`NOTE: computed on ${device}, the run on ${run.device.kind}: other rounding.`);
  else if (otherKernels !== undefined) notes.push(`NOTE: ${otherKernels}: other rounding.`);
  return notes;
}

function agreementOf(
  explained: StepExplanation,
  logged: number | undefined,
  isExact: boolean,
): Explanation["agreement"] {
  if (logged === undefined) return "not logged";
  if (!isExact) return "other parameters";
  return agrees(explained, logged) ? "agrees" : "differs";
}

/** Every token of the chosen rollout; under anchor `mix` those with a loss appear once per context. */
function rolloutTokens(
  { rollouts, chosen }: RecordedStep,
  { tokens }: StepExplanation,
  contexts: readonly ContextLogProbs[],
  textOf: (id: number) => string,
): ExplainedToken[] {
  const { ids, roles: codes } = rollouts[chosen];
  const both = new Map(contexts.map((own) => [own.position, own]));
  const scored = tokens.filter(({ rollout }) => rollout === chosen);
  return ids.flatMap((id, position): ExplainedToken[] => {
    const shared = { position, id, text: textOf(id), role: roles[codes[position]] };
    const own = scored.filter((token) => token.position === position);
    if (own.length === 0) return [{ ...shared, clip: "none", terms: [] }];
    const { prompt, trace } = both.get(position) ?? {};
    return own.map(({ prompt: _prompt, rollout: _rollout, ...token }) => ({
      ...token,
      ...shared,
      prompt,
      trace,
    }));
  });
}

const expertRoles: Readonly<Partial<Record<TermName, Role>>> = {
  "sft/reasoning": "reasoning",
  "sft/call": "call",
  "sft/answer": "answer",
};

function expertTokens(
  { tokens }: StepExplanation,
  place: number,
  textOf: (id: number) => string,
): ExplainedToken[] {
  return tokens
    .filter(({ rollout, prompt }) => rollout < 0 && prompt === place)
    .map(({ prompt: _prompt, rollout: _rollout, ...token }) => ({
      ...token,
      text: textOf(token.id),
      role: expertRoles[token.terms[0].term] ?? "reasoning",
    }));
}

function termsOf({ tokens }: StepExplanation, chosen: number, place: number): Explanation["terms"] {
  const sums = new Map<TermName, { rollout: number; prompt: number; step: number }>();
  for (const { rollout, prompt, terms } of tokens)
    for (const { term, contribution } of terms) {
      const sum = sums.get(term) ?? { rollout: 0, prompt: 0, step: 0 };
      sum.step += contribution;
      if (prompt === place) sum.prompt += contribution;
      if (rollout === chosen) sum.rollout += contribution;
      sums.set(term, sum);
    }
  return [...sums].map(([term, sum]) => ({ term, ...sum }));
}
