/**
 * Evaluation on held-out tasks: k rollouts per task sampled at temperature 1 and one greedy, scored by FTRL's Solve-P, Solve-R
 * and Solve-F1 per category, and by success (the environment's outcome): avg@k, pass@k, pass^k with 95 % intervals.
 */
import type { Params, TransformerConfig } from "@pact/nn";
import { foldIn, key } from "@pact/tensor";
import type { Task, ToolRunner } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { countCalls, countSampled, countStops, mean } from "./counts.ts";
import type { Dialect } from "./dialect.ts";
import { ContextLengthError } from "./errors.ts";
import { modelPolicy } from "./policy.ts";
import { rolloutRecord, rolloutRewards } from "./records.ts";
import { collectRollouts, type Rollout, type RolloutLimits, rolloutPrompt, withoutTrace } from "./rollout.ts";
import type { DecodingResult, EvaluationResult, RunSink, SolveScores } from "./run-sink.ts";
import { successScores } from "./success.ts";

/** What an evaluation needs. */
export interface EvaluateOptions
  extends RolloutLimits,
    Pick<TrainConfig, "maxContextTokens" | "seed" | "unmatchedCallPenalty"> {
  readonly model: TransformerConfig;
  readonly params: Params;
  readonly dialect: Dialect;
  /** Held-out tasks; with traces, so that the reward can be reported beside the scores. */
  readonly tasks: readonly Task[];
  /** Optimiser steps done so far, for the records. */
  readonly step: number;
  readonly sink: RunSink;
  /** k, sampled rollouts per task. Default 1. */
  readonly rollouts?: number;
  /** Episodes decoded together, at least those of one task. Default 128. */
  readonly batchSize?: number;
  /** Called as episodes are done, of both decodings. */
  readonly onProgress?: (
    done: number,
    total: number,
    scores: SolveScores & { readonly success: number },
  ) => void;
  readonly onTokens?: (tokens: number) => void;
  /** What executes the calls, as in training. */
  readonly createRunner?: (task: Task) => ToolRunner;
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
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 269, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 4096, tie_word_embeddings: true,
 * });
 * const limits = { maxTurns: 1, maxTurnTokens: 4, maxRolloutTokens: 8, maxContextTokens: 4096 };
 * const policy = { model: config, params: initParams(config, key(0)), dialect: nativeDialect(codec) };
 * const options = { ...limits, ...policy, tasks: [task], step: 0, seed: 1, unmatchedCallPenalty: 0, sink: nullSink };
 * const { greedy } = await evaluate(options);
 * greedy.stops.turn_tokens; // → 1
 * greedy.solveF1; // → 0
 * ```
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationResult> {
  const began = performance.now();
  const { dialect, sink, step } = options;
  const limit = Math.min(options.maxContextTokens, options.model.maxPositions);
  const prompts = options.tasks
    .map((task, stream) => ({ task, prompt: rolloutPrompt(dialect, withoutTrace(task), stream) }))
    .filter(({ prompt }) => prompt.tokens.ids.length + options.maxRolloutTokens <= limit);
  const skipped = options.tasks.length - prompts.length;
  if (prompts.length === 0) {
    throw new ContextLengthError(
      `None of the ${options.tasks.length} tasks to evaluate fits into a context of ${limit} tokens with a rollout. ` +
        "Raise maxContextTokens (and the model's maxPositions), or lower maxRolloutTokens.",
    );
  }
  const { batchSize = 128, rollouts: attempts = 1 } = options;
  const results: { [Decoding in "sampled" | "greedy"]?: DecodingResult } = {};
  let tokens = 0;
  let done = 0;
  for (const decoding of ["sampled", "greedy"] as const) {
    const own = decoding === "sampled" ? attempts : 1;
    const together = Math.max(1, Math.floor(batchSize / own));
    const rollouts: Rollout[] = [];
    const rewards: number[] = [];
    for (let start = 0; start < prompts.length; start += together) {
      const batch = prompts.slice(start, start + together);
      const finished = await collectRollouts(
        batch.map(({ prompt }) => prompt),
        {
          dialect,
          policy: modelPolicy(options.model, options.params),
          rolloutsPerPrompt: own,
          temperature: decoding === "sampled" ? 1 : 0,
          maxTurns: options.maxTurns,
          maxTurnTokens: options.maxTurnTokens,
          maxRolloutTokens: options.maxRolloutTokens,
          key: foldIn(key(options.seed), EVALUATION_STREAM),
          createRunner: options.createRunner,
          onTokens: options.onTokens,
          signal: options.signal,
        },
      );
      for (const [index, rollout] of finished.entries()) {
        const { task } = batch[Math.floor(index / own)];
        const reward = rolloutRewards(rollout, task, options.unmatchedCallPenalty);
        rollouts.push(rollout);
        rewards.push(reward.total);
        await sink.rollout(rolloutRecord(dialect, rollout, reward, { step, phase: "evaluate", decoding }));
      }
      done += finished.length;
      options.onProgress?.(done, prompts.length * (attempts + 1), {
        ...solveScores(rollouts),
        success: mean(rollouts.map(({ success }) => Number(success))) ?? 0,
      });
    }
    tokens += rollouts.reduce((sum, rollout) => sum + countSampled(rollout), 0);
    results[decoding] = summarise(rollouts, rewards, skipped, own);
  }
  const result: EvaluationResult = {
    step,
    sampled: results.sampled!,
    greedy: results.greedy!,
    tokens,
    time: { seconds: Math.round(performance.now() - began) / 1000 },
  };
  await sink.evaluation(result);
  return result;
}

/** @param attempts rollouts per task, which are neighbours */
function summarise(
  rollouts: readonly Rollout[],
  rewards: readonly number[],
  skipped: number,
  attempts: number,
): DecodingResult {
  const byTask = Array.from({ length: rollouts.length / attempts }, (_, task) =>
    rollouts.slice(task * attempts, (task + 1) * attempts),
  );
  const scores = solveScores(rollouts);
  // Attempts at one task are not independent: the error is that of the mean over tasks.
  const taskScores = byTask.map((own) => solveScores(own).solveF1);
  const squares = taskScores.reduce((sum, solveF1) => sum + (solveF1 - scores.solveF1) ** 2, 0);
  const tasks = byTask.length;
  const categories = new Map<string, Rollout[]>();
  for (const rollout of rollouts) {
    const { category } = rollout.prompt.task;
    const members = categories.get(category);
    if (members) members.push(rollout);
    else categories.set(category, [rollout]);
  }
  return {
    ...scores,
    solveF1Error: tasks < 2 ? 0 : Math.sqrt(squares / (tasks - 1) / tasks),
    attempts,
    ...successScores([byTask.map((own) => own.map(({ success }) => success))], attempts),
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
    tasks: new Set(rollouts.map(({ prompt }) => prompt.stream)).size,
  };
}
