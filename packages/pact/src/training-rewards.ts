/**
 * The reward that a run trains on, by name: the paper's, the answer alone, or those of the trainings it is compared with.
 *
 * Readings for episodes of many turns: `ftrl` rewards every turn as FTRL rewards a step. `toolrl` compares all calls of
 * the rollout with all reference calls once, at its last turn, by ToolRL's correctness as MatchTIR uses it: ToolRL's
 * format reward judges a text format of single replies that rollouts here do not have.
 */
import { solvedGoldens, type Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import { ftrlReward, toolRlCallReward } from "./published-rewards.ts";
import { referenceCalls, rolloutRewards } from "./records.ts";
import { answerF1, type TurnRewards } from "./rewards.ts";
import type { Rollout } from "./rollout.ts";

/** Rewards of a rollout's turns and their sum. */
export type Rewards = Pick<TurnRewards, "perTurn" | "total">;

/**
 * Rewards of a rollout of a task under the configured reward.
 *
 * @throws RewardError when the reward needs reference calls and the task has no trace
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
 * trainingRewards(rollouts[0], task, { reward: "outcome", unmatchedCallPenalty: 0 }).total; // → 1
 * ```
 */
export function trainingRewards(
  rollout: Rollout,
  task: Task,
  { reward, unmatchedCallPenalty }: Pick<TrainConfig, "reward" | "unmatchedCallPenalty">,
): Rewards {
  if (reward === "matchtir") return rolloutRewards(rollout, task, unmatchedCallPenalty);
  const perTurn =
    reward === "ftrl"
      ? ftrlRewards(rollout, task)
      : reward === "toolrl"
        ? toolRlRewards(rollout, task)
        : rollout.turns.map(({ answer }) => (answer === null ? 0 : answerF1(answer, task.answer)));
  return { perTurn, total: perTurn.reduce((sum, value) => sum + value, 0) };
}

function toolRlRewards({ turns }: Rollout, task: Task): number[] {
  const predicted = turns.flatMap(({ calls }) => calls);
  const reward = toolRlCallReward(predicted, referenceCalls(task));
  return turns.map((_, index) => (index === turns.length - 1 ? reward : 0));
}

function ftrlRewards({ turns }: Rollout, { unsolved, equivalents = {}, answer }: Task): number[] {
  const left = new Map(Object.entries(unsolved).map(([name, goldens]) => [name, [...goldens]]));
  const goldens = count(left);
  return turns.map(({ text, calls, outputs }) => {
    const executed = calls.map(({ name }, index) => ({
      name: Object.hasOwn(equivalents, name) ? equivalents[name] : name,
      output: outputs[index] ?? "",
    }));
    const before = Object.fromEntries(left);
    const solveRate = goldens === 0 ? 1 : 1 - count(left) / goldens;
    const reward = ftrlReward({ response: text, calls: executed, unsolved: before, solveRate, answer });
    solvedGoldens(executed, before).forEach((golden, index) => {
      if (golden === undefined) return;
      const own = left.get(executed[index].name) ?? [];
      left.set(
        executed[index].name,
        own.filter((_, place) => place !== own.indexOf(golden)),
      );
    });
    return reward;
  });
}

function count(goldens: ReadonlyMap<string, readonly string[]>): number {
  return [...goldens.values()].reduce((sum, own) => sum + own.length, 0);
}
