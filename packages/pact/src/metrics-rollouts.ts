/** Metrics of the rollouts of a step: rewards, solve scores, turns, calls, lengths, stop reasons. Names: metric-table.ts. */
import { countCalls, countReprompted, countSampled, countStops, type MetricValues, mean } from "./counts.ts";
import type { Dialect } from "./dialect.ts";
import type { Rollout } from "./rollout.ts";
import { type RolloutStop, rolloutStops } from "./run-sink.ts";
import type { Rewards } from "./training-rewards.ts";

/** Reasons by which a limit ends a rollout that did not end by itself. */
const limits: readonly RolloutStop[] = ["max_turns", "turn_tokens", "rollout_tokens"];

/**
 * Metrics of the rollouts of a step.
 *
 * @param rewards of each rollout
 * @param rolloutsPerPrompt K; rollouts of a prompt are neighbours
 * @param opensReasoning of the dialect
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
 * const metrics = rolloutMetrics(rollouts, [{ perTurn: [1], total: 1 }], 1, dialect.opensReasoning);
 * [metrics["reward/mean"], metrics["rollout/turns"], metrics["rollout/think"]]; // → [1, 1, 0]
 * ```
 */
export function rolloutMetrics(
  rollouts: readonly Rollout[],
  rewards: readonly Rewards[],
  rolloutsPerPrompt: number,
  opensReasoning: Dialect["opensReasoning"],
): MetricValues {
  const totals = rewards.map(({ total }) => total);
  const groups = rollouts.length / rolloutsPerPrompt;
  const flat = Array.from({ length: groups }, (_, group) => {
    const members = totals.slice(group * rolloutsPerPrompt, (group + 1) * rolloutsPerPrompt);
    return members.every((reward) => reward === members[0]);
  });
  const stops = countStops(rollouts);
  const over = (pick: (rollout: Rollout) => number, of = rollouts) => mean(of.map(pick));
  const turnSum = (rollout: Rollout, pick: (turn: Rollout["turns"][number]) => number) =>
    rollout.turns.reduce((sum, turn) => sum + pick(turn), 0);
  const component = (answers: boolean) =>
    rollouts.map(({ turns }, index) =>
      rewards[index].perTurn.reduce(
        (sum, reward, turn) => ((turns[turn].answer !== null) === answers ? sum + reward : sum),
        0,
      ),
    );
  const cut = rollouts.filter(({ stop }) => limits.includes(stop));
  const ended = rollouts.filter(({ stop }) => !limits.includes(stop));
  const opensWithThink = rollouts.flatMap(({ turns, ids }) =>
    turns.map(({ start, end }) => Number(opensReasoning(ids.slice(start, end)))),
  );
  return {
    ...spread("reward/mean", "reward/std", totals),
    ...spread("reward/calls_mean", "reward/calls_std", component(false)),
    ...spread("reward/answer_mean", "reward/answer_std", component(true)),
    "reward/zero_variance": mean(flat.map(Number)),
    "solve/f1": over(({ score }) => score.solveF1),
    "solve/p": over(({ score }) => score.solveP),
    "solve/r": over(({ score }) => score.solveR),
    "solve/success": over(({ success }) => Number(success)),
    "rollout/turns": over(({ turns }) => turns.length),
    "rollout/calls": over(countCalls),
    "rollout/malformed": over((rollout) => turnSum(rollout, (turn) => turn.malformedCalls)),
    "rollout/failed_calls": over((rollout) => turnSum(rollout, (turn) => turn.failedCalls)),
    "rollout/think": mean(opensWithThink),
    "rollout/tokens": over(countSampled),
    "rollout/tokens_terminated": over(countSampled, ended),
    "rollout/tokens_truncated": over(countSampled, cut),
    "rollout/truncated": cut.length / rollouts.length,
    ...Object.fromEntries(rolloutStops.map((stop) => [`stop/${stop}`, stops[stop] / rollouts.length])),
    "tokens/step_observation": rollouts.reduce(
      (sum, rollout) => sum + rollout.ids.length - countSampled(rollout) - countReprompted(rollout),
      0,
    ),
    "tokens/step_truncated": cut.reduce((sum, rollout) => sum + countSampled(rollout), 0),
  };
}

/** Mean and standard deviation (divided by n) of values. */
function spread(meanName: string, deviationName: string, values: readonly number[]): MetricValues {
  const center = mean(values);
  if (center === null) return {};
  const squares = mean(values.map((value) => (value - center) ** 2)) ?? 0;
  return { [meanName]: center, [deviationName]: Math.sqrt(squares) };
}
