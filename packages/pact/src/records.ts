/** From a rollout to its rewards, to its line of `rollouts.jsonl`, and from that line back to its tokens. */
import type { Task } from "@pact/tools-sim";
import { countSampled } from "./counts.ts";
import type { Dialect } from "./dialect.ts";
import { RewardError } from "./errors.ts";
import { type Call, type TurnRewards, turnRewards } from "./rewards.ts";
import { isSampled } from "./roles.ts";
import type { Rollout } from "./rollout.ts";
import type { RolloutRecord, TrainedTokens } from "./run-sink.ts";
import { roleSpans } from "./tokens.ts";
import type { TrainedRollout } from "./trees.ts";

/**
 * The reference calls of a task: every call of its expert trace, retries of failed calls included, because an
 * environment that fails the expert's first attempt fails the policy's too.
 *
 * @throws RewardError when the task has no trace
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * referenceCalls(task).length >= 1; // → true
 * referenceCalls({ ...task, trace: undefined }); // → throws RewardError
 * ```
 */
export function referenceCalls(task: Task): Call[] {
  if (!task.trace) {
    throw new RewardError(
      `Task ${task.id} has no expert trace to take reference calls from. Generate it with one.`,
    );
  }
  return task.trace.turns.flatMap((turn) => turn.calls.map((call) => call.function));
}

/**
 * Turn rewards of a rollout of a task.
 *
 * @param unmatchedPenalty λ_pen, 0 in the paper
 * @throws RewardError when the task has no trace
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * // A policy that says one thing: the answer.
 * const said = [codec.controlId("<answer>"), ...codec.encode(task.answer), ...["</answer>", "<|end|>"].map((n) => codec.controlId(n))];
 * let next = 0;
 * const say = async () => ({ ids: [said[next++]], logProbs: [-1] });
 * const policy: RolloutPolicy = { start: () => ({ first: say, next: say, dispose() {} }) };
 * const limits = { maxTurns: 2, maxTurnTokens: 50, maxRolloutTokens: 50 };
 * const dialect = nativeDialect(codec);
 * const prompts = [rolloutPrompt(dialect, withoutTrace(task), 0)];
 * const rollouts = await collectRollouts(prompts, { dialect, policy, rolloutsPerPrompt: 1, temperature: 1, key: key(0), ...limits });
 * rolloutRewards(rollouts[0], task, 0).perTurn; // → [1]
 * ```
 */
export function rolloutRewards(rollout: Rollout, task: Task, unmatchedPenalty: number): TurnRewards {
  return turnRewards(rollout.turns, referenceCalls(task), task.answer, { unmatchedPenalty });
}

/**
 * The record of a rollout.
 *
 * @param training advantages per turn and the gate; nothing in evaluations
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * // A policy that says one thing: the answer.
 * const said = [codec.controlId("<answer>"), ...codec.encode(task.answer), ...["</answer>", "<|end|>"].map((n) => codec.controlId(n))];
 * let next = 0;
 * const say = async () => ({ ids: [said[next++]], logProbs: [-1] });
 * const policy: RolloutPolicy = { start: () => ({ first: say, next: say, dispose() {} }) };
 * const limits = { maxTurns: 2, maxTurnTokens: 50, maxRolloutTokens: 50 };
 * const dialect = nativeDialect(codec);
 * const prompts = [rolloutPrompt(dialect, withoutTrace(task), 0)];
 * const rollouts = await collectRollouts(prompts, { dialect, policy, rolloutsPerPrompt: 1, temperature: 1, key: key(0), ...limits });
 * const at = { step: 0, phase: "train", decoding: "sampled" } as const;
 * const record = rolloutRecord(dialect, rollouts[0], { perTurn: [1], total: 1 }, at);
 * [record.stop, record.turns, record.reward]; // → ["answer", 1, 1]
 * ```
 */
export function rolloutRecord(
  dialect: Dialect,
  rollout: Rollout,
  rewards: Pick<TurnRewards, "perTurn" | "total">,
  { step, phase, decoding }: Pick<RolloutRecord, "step" | "phase" | "decoding">,
  training?: { readonly advantages: readonly number[]; readonly anchored: boolean },
): RolloutRecord {
  const { task, tokens } = rollout.prompt;
  return {
    step,
    phase,
    decoding,
    taskId: task.id,
    category: task.category,
    rollout: rollout.index,
    stop: rollout.stop,
    turns: rollout.turns.length,
    sampledTokens: countSampled(rollout),
    reward: rewards.total,
    turnRewards: rewards.perTurn,
    solveF1: rollout.score.solveF1,
    advantages: training?.advantages ?? [],
    spans: roleSpans(dialect, {
      ids: [...tokens.ids, ...rollout.ids],
      roles: [...tokens.roles, ...rollout.roles],
    }),
    ...(rollout.splits && { splits: rollout.splits }),
    ...(training && {
      trained: { ids: rollout.ids, roles: rollout.roles.join(""), anchored: training.anchored },
    }),
  };
}

/**
 * A rollout's tokens back from its record. Turns are its stretches of sampled tokens, with what the environment says
 * between them; the sampler's log-probs are not recorded, and 0.
 *
 * @param splits of the record
 * @example trainedRollout({ ids: [7, 8], roles: "22", anchored: true }).turnOf // [0, 0]
 */
export function trainedRollout(
  { ids, roles }: Pick<TrainedTokens, "ids" | "roles">,
  splits?: RolloutRecord["splits"],
): TrainedRollout {
  const codes = [...roles].map(Number);
  let turn = -1;
  const turnOf = codes.map((code, index) => {
    if (!isSampled(code)) return -1;
    if (index === 0 || !isSampled(codes[index - 1])) turn += 1;
    return turn;
  });
  return { ids, roles: codes, turnOf, samplerLogProbs: ids.map(() => 0), ...(splits && { splits }) };
}
