/**
 * Reads back what `pact explain` needs of a run folder: one training rollout, all rollouts of its step, the step's logged
 * loss, its tasks, and the weights before the step. Defensively: a folder may be damaged or come from elsewhere.
 */
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Task } from "@pact/tools-sim";
import { type TrainConfig, trainConfig } from "../config.ts";
import { ExplainError } from "../errors.ts";
import { trainedRollout } from "../records.ts";
import { type Json, numberOf, objectOf, textOf } from "../report/read-run.ts";
import { roles } from "../roles.ts";
import type { RolloutSplit, RunConfig } from "../run-sink.ts";
import type { RoutedPrompt, TrainedRollout } from "../trees.ts";
import { type ModelFolder, readModelFolder } from "./base-policy.ts";
import { readNewestCheckpoint, type StoredCheckpoint, stepOf } from "./checkpoints.ts";
import { readRunConfig } from "./resume.ts";
import { runTasks, type TaskOptions } from "./tasks.ts";
import { trainOptions } from "./train-options.ts";

/** A training rollout as recorded. */
export interface RecordedRollout {
  /** Line in rollouts.jsonl, from 1. */
  readonly line: number;
  readonly step: number;
  readonly taskId: string;
  readonly rollout: number;
  readonly reward: number;
  readonly solveF1: number;
  readonly stop: string;
  /** Per turn. */
  readonly advantages: readonly number[];
  readonly ids: readonly number[];
  /** Codes of `roleCode`. */
  readonly roles: readonly number[];
  readonly splits?: readonly RolloutSplit[];
  readonly anchored: boolean;
}

/** Longest line of rollouts.jsonl that is read. */
const longestLine = 4 << 20;

/** A run and one step of it. */
export interface RecordedStep {
  readonly run: RunConfig;
  readonly config: TrainConfig;
  /** Every rollout of the step in order, K for each prompt. */
  readonly rollouts: readonly RecordedRollout[];
  /** Index in `rollouts` of the one asked for. */
  readonly chosen: number;
  /** `loss/total` in metrics.jsonl; undefined if the run ended before it was written. */
  readonly logged: number | undefined;
}

/**
 * Finds a training rollout and its step.
 *
 * @param selector line number from 1, or `<taskId>/<k>@<step>`
 * @throws ExplainError for a rollout that is not there, is none of training, or lacks its tokens
 * @example await readStep("runs/first", "401")
 */
export async function readStep(folder: string, selector: string): Promise<RecordedStep> {
  const run = readRunConfig(folder);
  const config = trainConfig(run.train);
  const matches = matcher(selector);
  let group: RecordedRollout[] = [];
  let chosen = -1;
  let number = 0;
  let evaluated: number | undefined;
  for await (const text of linesOf(join(folder, "rollouts.jsonl"))) {
    number += 1;
    const line = parse(text);
    if (line === undefined) continue;
    const isWanted = matches(number, line);
    if (line.phase !== "train") {
      if (isWanted) evaluated = number;
      continue;
    }
    if (evaluated !== undefined) throw evaluationLine(evaluated, number);
    if (line.step !== group[0]?.step) {
      if (chosen >= 0) break;
      group = [];
    }
    if (isWanted && chosen >= 0)
      throw new ExplainError(
        `${selector} is in lines ${group[chosen].line} and ${number} of rollouts.jsonl. Give the number of one.`,
      );
    if (isWanted) chosen = group.length;
    group.push(recordOf(line, number));
  }
  if (evaluated !== undefined) throw evaluationLine(evaluated);
  if (chosen < 0)
    throw new ExplainError(
      `${folder} has no training rollout ${JSON.stringify(selector.slice(0, 80))}; rollouts.jsonl has ${number} lines. ` +
        "Give a line number, or <taskId>/<k>@<step> with the fields of a line.",
    );
  checkGroups(group, config);
  return { run, config, rollouts: group, chosen, logged: await loggedLoss(folder, group[0].step) };
}

function evaluationLine(line: number, next?: number): ExplainError {
  return new ExplainError(
    `line ${line} is a rollout of an evaluation: it has no loss. ` +
      (next === undefined ? "No rollout of training follows it." : `The next of training is line ${next}.`),
  );
}

function matcher(selector: string): (number: number, line: Json) => boolean {
  if (/^\d{1,9}$/.test(selector)) return (number) => number === Number(selector);
  const named = /^(.+)\/(\d{1,6})@(\d{1,9})$/.exec(selector);
  if (!named)
    throw new ExplainError(
      `${JSON.stringify(selector.slice(0, 80))} names no rollout. Give a line number of rollouts.jsonl, or <taskId>/<k>@<step>.`,
    );
  const [, taskId, rollout, step] = named;
  return (_, line) =>
    line.phase === "train" &&
    line.taskId === taskId &&
    line.rollout === Number(rollout) &&
    line.step === Number(step);
}

async function* linesOf(path: string): AsyncGenerator<string> {
  if (!existsSync(path)) throw new ExplainError(`there is no ${path}, so there is no rollout to explain.`);
  yield* createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
}

function parse(text: string): Json | undefined {
  if (text.length > longestLine) return undefined;
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function recordOf(line: Json, number: number): RecordedRollout {
  const bad = (field: string): never => {
    throw new ExplainError(
      `rollouts.jsonl, line ${number}: ${field} is missing or malformed. Runs of earlier versions do not have it; train again.`,
    );
  };
  const trained = objectOf(line.trained) ?? bad("trained");
  const ids = numbers(trained.ids) ?? bad("trained.ids");
  const codes = typeof trained.roles === "string" ? [...trained.roles].map(Number) : bad("trained.roles");
  if (codes.length !== ids.length || codes.some((code) => !(code >= 0 && code < roles.length)))
    bad("trained.roles");
  if (ids.some((id) => !Number.isInteger(id) || id < 0)) bad("trained.ids");
  return {
    line: number,
    step: numberOf(line.step) ?? bad("step"),
    taskId: textOf(line.taskId) ?? bad("taskId"),
    rollout: numberOf(line.rollout) ?? bad("rollout"),
    reward: numberOf(line.reward) ?? bad("reward"),
    solveF1: numberOf(line.solveF1) ?? bad("solveF1"),
    stop: textOf(line.stop) ?? bad("stop"),
    advantages: numbers(line.advantages) ?? bad("advantages"),
    ids,
    roles: codes,
    ...(line.splits !== undefined && { splits: splitsOf(line.splits, ids.length) ?? bad("splits") }),
    anchored: trained.anchored === true,
  };
}

/** Spans in order within a rollout's tokens, each with a token before and behind it. */
function splitsOf(value: unknown, length: number): RolloutSplit[] | undefined {
  if (!Array.isArray(value)) return undefined;
  let at = 0;
  const splits: RolloutSplit[] = [];
  for (const entry of value) {
    const { start, end, kind, reason } = objectOf(entry) ?? {};
    if (!Number.isInteger(start) || !Number.isInteger(end)) return undefined;
    const [from, to] = [Number(start), Number(end)];
    if (from <= at || to <= from || to >= length) return undefined;
    splits.push({
      start: from,
      end: to,
      kind: kind === "history" ? kind : "dropped",
      reason: textOf(reason) ?? "",
    });
    at = to;
  }
  return splits;
}

function numbers(value: unknown): number[] | undefined {
  return Array.isArray(value) && value.every((entry) => numberOf(entry) !== undefined) ? value : undefined;
}

/** The loss of a step is a mean over all of its prompts, so all of their rollouts must be there. */
function checkGroups(group: readonly RecordedRollout[], config: TrainConfig): void {
  const { promptsPerStep, rolloutsPerPrompt } = config;
  const expected = promptsPerStep * rolloutsPerPrompt;
  const isWhole =
    group.length === expected &&
    group.every(
      ({ rollout, taskId }, index) =>
        rollout === index % rolloutsPerPrompt && taskId === group[index - rollout]?.taskId,
    );
  if (!isWhole)
    throw new ExplainError(
      `step ${group[0].step} has ${group.length} rollouts in rollouts.jsonl, expected ${promptsPerStep} prompts with ` +
        `${rolloutsPerPrompt} each. Its loss can not be computed again.`,
    );
}

async function loggedLoss(folder: string, step: number): Promise<number | undefined> {
  if (!existsSync(join(folder, "metrics.jsonl"))) return undefined;
  for await (const text of linesOf(join(folder, "metrics.jsonl"))) {
    const line = parse(text);
    if (line?.step === step) return numberOf(objectOf(line.values)?.["loss/total"]);
  }
  return undefined;
}

/** Where the files of a run are now, where they are not where they were. */
export interface Places {
  readonly model?: string;
  readonly data?: string;
}

/**
 * The prompts of a step as the trainer had them: tasks with traces, and the recorded rollouts.
 *
 * @throws ExplainError when a task is not among those of the run, or a rollout is not one of turns
 */
export function promptsOf({ run, config, rollouts }: RecordedStep, { data }: Places): RoutedPrompt[] {
  const command = run.command ?? {};
  const text = (name: string): string | undefined => textOf(command[name]);
  const env = trainOptions.env.choices.find((id) => id === (text("env") ?? run.environment.id));
  if (env === undefined) throw new ExplainError(`config.json names the unknown environment ${text("env")}.`);
  const options: TaskOptions = {
    env,
    data: data ?? text("data"),
    traces: text("traces"),
    "eval-tasks": numberOf(command["eval-tasks"]) ?? run.heldOutTasks,
  };
  const tasks = new Map<string, Task>();
  for (const task of runTasks(options, config.seed).training) tasks.set(task.id, task);
  const size = config.rolloutsPerPrompt;
  return Array.from({ length: rollouts.length / size }, (_, index): RoutedPrompt => {
    const own = rollouts.slice(index * size, (index + 1) * size);
    const task = tasks.get(own[0].taskId);
    if (task === undefined)
      throw new ExplainError(
        `the task ${own[0].taskId} is not among the run's ${tasks.size} training tasks. Give --data or the trace file as they were.`,
      );
    return {
      task,
      rollouts: own.map(rolloutOf),
      advantages: own.map(({ advantages }) => advantages),
      anchored: own[0].anchored,
    };
  });
}

function rolloutOf({ ids, roles: codes, splits, advantages, line }: RecordedRollout): TrainedRollout {
  const rollout = trainedRollout({ ids, roles: codes.join("") }, splits);
  const turns = Math.max(-1, ...rollout.turnOf) + 1;
  if (turns === advantages.length) return rollout;
  throw new ExplainError(
    `rollouts.jsonl, line ${line}: ${turns} turns in trained.roles, ${advantages.length} advantages.`,
  );
}

/** Weights of a run around a step. */
export interface RecordedWeights {
  /** Of the model that the run started from. */
  readonly start: ModelFolder;
  /** What was trained before the step, or the nearest before that is there; undefined: the start. */
  readonly before?: StoredCheckpoint;
  /** Steps done before those weights. */
  readonly doneBefore: number;
  /** After the step, if it is there. */
  readonly after?: StoredCheckpoint;
}

/**
 * Finds the weights before and after a step.
 *
 * @throws ExplainError when the starting model is needed and is another
 */
export async function weightsOf(
  folder: string,
  { run, config, rollouts }: RecordedStep,
  { model }: Places,
  note: (line: string) => void,
): Promise<RecordedWeights> {
  const { step } = rollouts[0];
  const stored = step === 0 ? undefined : readNewestCheckpoint(folder, note, step);
  const next = readNewestCheckpoint(folder, note, step + 1);
  const isNext = next !== undefined && stepOf(next.name) === step + 1;
  const needsStart = stored === undefined || config.klCoefficient > 0 || config.loraRank > 0;
  const place = model ?? textOf(run.command?.model);
  const start = needsStart
    ? await readModelFolder(place)
    : await readModelFolder(join(folder, "checkpoints", stored.name));
  if (needsStart && start.digest !== run.base)
    throw new ExplainError(
      `the model in ${start.folder} is not the one the run started from. Give its folder with --model <path>.`,
    );
  return {
    start,
    before: stored,
    doneBefore: stored === undefined ? 0 : stepOf(stored.name),
    after: isNext ? next : undefined,
  };
}
