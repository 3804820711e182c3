/**
 * Evaluation on held-out tasks: one rollout per task, sampled at temperature 1 and greedy, scored by FTRL's Solve-P, Solve-R
 * and Solve-F1 per category. Left out: pass@k and confidence intervals beyond the standard error.
 */
import type { Params, TransformerConfig } from "@pact/nn";
import { foldIn, key } from "@pact/tensor";
import type { Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { ContextLengthError } from "./errors.ts";
import { countCalls, countSampled, countStops, mean } from "./metrics.ts";
import { modelPolicy } from "./policy.ts";
import { rolloutRecord, rolloutRewards } from "./records.ts";
import { collectRollouts, type Rollout, type RolloutLimits, rolloutPrompt, withoutTrace } from "./rollout.ts";
import type { DecodingResult, EvaluationResult, RunSink, SolveScores } from "./run-sink.ts";
import type { TokenCodec } from "./tokens.ts";

/** What an evaluation needs. */
export interface EvaluateOptions
  extends RolloutLimits,
    Pick<TrainConfig, "maxContextTokens" | "seed" | "unmatchedCallPenalty"> {
  readonly model: TransformerConfig;
  readonly params: Params;
  readonly codec: TokenCodec;
  /** Held-out tasks; with traces, so that the reward can be reported beside the scores. */
  readonly tasks: readonly Task[];
  /** Optimiser steps done so far, for the records. */
  readonly step: number;
  readonly sink: RunSink;
  /** Episodes decoded together. Default 128. */
  readonly batchSize?: number;
  /** Called as episodes are done: both decodings count, so `total` is twice the number of tasks. */
  readonly onProgress?: (done: number, total: number, scores: SolveScores) => void;
  readonly onTokens?: (tokens: number) => void;
  readonly signal?: AbortSignal;
}

/** Random stream of evaluations under the run's seed; training uses others. */
const EVALUATION_STREAM = 101;

/**
 * Evaluates a model and writes its rollouts and scores to the sink.
 *
 * The same seed gives the same random numbers before and after training, so the comparison is paired.
 *
 * @throws ContextLengthError when no task fits into the context limit
 * @example const before = await evaluate({ ...config, model, params, codec, tasks: heldOut, step: 0, sink });
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationResult> {
  const began = performance.now();
  const { codec, sink, step } = options;
  const limit = Math.min(options.maxContextTokens, options.model.maxPositions);
  const prompts = options.tasks
    .map((task, stream) => ({ task, prompt: rolloutPrompt(codec, withoutTrace(task), stream) }))
    .filter(({ prompt }) => prompt.tokens.ids.length + options.maxRolloutTokens <= limit);
  const skipped = options.tasks.length - prompts.length;
  if (prompts.length === 0) {
    throw new ContextLengthError(
      `None of the ${options.tasks.length} tasks to evaluate fits into a context of ${limit} tokens with a rollout. ` +
        "Raise maxContextTokens (and the model's maxPositions), or lower maxRolloutTokens.",
    );
  }
  const { batchSize = 128 } = options;
  const results: { [Decoding in "sampled" | "greedy"]?: DecodingResult } = {};
  let tokens = 0;
  let done = 0;
  for (const decoding of ["sampled", "greedy"] as const) {
    const rollouts: Rollout[] = [];
    const rewards: number[] = [];
    for (let start = 0; start < prompts.length; start += batchSize) {
      const batch = prompts.slice(start, start + batchSize);
      const finished = await collectRollouts(
        batch.map(({ prompt }) => prompt),
        {
          codec,
          policy: modelPolicy(options.model, options.params),
          rolloutsPerPrompt: 1,
          temperature: decoding === "sampled" ? 1 : 0,
          maxTurns: options.maxTurns,
          maxTurnTokens: options.maxTurnTokens,
          maxRolloutTokens: options.maxRolloutTokens,
          key: foldIn(key(options.seed), EVALUATION_STREAM),
          onTokens: options.onTokens,
          signal: options.signal,
        },
      );
      for (const [index, rollout] of finished.entries()) {
        const reward = rolloutRewards(rollout, batch[index].task, options.unmatchedCallPenalty);
        rollouts.push(rollout);
        rewards.push(reward.total);
        await sink.rollout(rolloutRecord(codec, rollout, reward, { step, phase: "evaluate", decoding }));
      }
      done += batch.length;
      options.onProgress?.(done, 2 * prompts.length, solveScores(rollouts));
    }
    tokens += rollouts.reduce((sum, rollout) => sum + countSampled(rollout), 0);
    results[decoding] = summarise(rollouts, rewards, skipped);
  }
  const result: EvaluationResult = {
    step,
    sampled: results.sampled!,
    greedy: results.greedy!,
    seconds: (performance.now() - began) / 1000,
    tokens,
  };
  await sink.evaluation(result);
  return result;
}

function summarise(
  rollouts: readonly Rollout[],
  rewards: readonly number[],
  skipped: number,
): DecodingResult {
  const scores = solveScores(rollouts);
  const squares = rollouts.reduce((sum, { score }) => sum + (score.solveF1 - scores.solveF1) ** 2, 0);
  const categories = new Map<string, Rollout[]>();
  for (const rollout of rollouts) {
    const { category } = rollout.prompt.task;
    const members = categories.get(category);
    if (members) members.push(rollout);
    else categories.set(category, [rollout]);
  }
  return {
    ...scores,
    solveF1Error: rollouts.length < 2 ? 0 : Math.sqrt(squares / (rollouts.length - 1) / rollouts.length),
    categories: Object.fromEntries([...categories].map(([name, members]) => [name, solveScores(members)])),
    stops: countStops(rollouts),
    meanReward: mean(rewards) ?? 0,
    meanCalls: mean(rollouts.map(countCalls)) ?? 0,
    meanTokens: mean(rollouts.map(countSampled)) ?? 0,
    skipped,
  };
}

function solveScores(rollouts: readonly Rollout[]): SolveScores {
  const column = (pick: (rollout: Rollout) => number) => mean(rollouts.map(pick)) ?? 0;
  return {
    solveP: column(({ score }) => score.solveP),
    solveR: column(({ score }) => score.solveR),
    solveF1: column(({ score }) => score.solveF1),
    tasks: rollouts.length,
  };
}
