/**
 * Rollouts for plans (plan.ts): the model's passes run on a device that computes nothing, so what they sample says
 * nothing; tokens without a meaning, or the experts' own, stand in for it. No tool is executed.
 */
import type { Task, ToolRunner } from "@pact/tools-sim";
import type { Dialect } from "./dialect.ts";
import { sftLabel } from "./render.ts";
import type { PolicySession, RolloutPolicy, SampledTokens } from "./rollout.ts";

/** What an expert wrote behind a prompt, by the prompt's ids. */
export type ExpertScripts = ReadonlyMap<string, readonly number[]>;

/** The tokens that the experts of these tasks wrote, stop tokens included. */
export function expertScripts(dialect: Dialect, tasks: readonly Task[]): ExpertScripts {
  return new Map(
    tasks.flatMap((task) => {
      if (task.trace === undefined) return [];
      const { ids, labels } = dialect.document(task, task.trace);
      const written = ids.filter((_, token) => labels[token] !== sftLabel.context);
      return [[dialect.prompt(task).ids.join(), written] as const];
    }),
  );
}

/**
 * A policy that takes the memory of `policy` and says what the experts wrote; behind a prompt without an expert, token 0
 * until a limit ends the rollout.
 *
 * Only passes over more tokens than any before run: others take no more than those.
 */
export function expertPolicy(policy: RolloutPolicy, scripts: ExpertScripts): RolloutPolicy {
  return {
    start(prompts, rows, temperature): PolicySession {
      const session = policy.start(prompts, rows, temperature);
      const own = rows.map(({ prompt }) => scripts.get(prompts[prompt].join()) ?? []);
      const said = rows.map(() => 0);
      const say = (row: number): number => own[row][said[row]++] ?? own[row].at(-1) ?? 0;
      const tokens = (from: readonly number[]): SampledTokens => ({
        ids: from.map(say),
        logProbs: from.map(() => 0),
      });
      let most = 0;
      return {
        async first(keys) {
          await session.first(keys);
          return tokens([...rows.keys()]);
        },
        async next(entries, keys) {
          const count = entries.reduce((sum, { ids }) => sum + ids.length, 0);
          if (count > most) await session.next(entries, keys);
          most = Math.max(most, count);
          return tokens(entries.map(({ row }) => row));
        },
        dispose: () => session.dispose(),
      };
    },
  };
}

/** Runners that answer the calls of a task with what its expert's calls gave, in order. */
export function expertRunner(tasks: readonly Task[]): (task: Task) => ToolRunner {
  const recorded = new Map(
    tasks.map(({ id, trace }) => [id, (trace?.turns ?? []).flatMap(({ observations }) => observations)]),
  );
  return ({ id }) => {
    const rest = [...(recorded.get(id) ?? [])];
    return ({ function: { name } }) => ({
      name,
      content: rest.shift() ?? "",
      error: false,
      source: "recorded",
    });
  };
}
