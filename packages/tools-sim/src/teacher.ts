/**
 * The scripted teacher: solves a generated task without a mistake, retries what timed out, and says why in
 * labelled chunks. Observations come from the task's own tool runner, so a replay gives the same ones. The families other
 * than `ftrl-like` have their teachers beside their generators.
 */
import { EnvironmentError } from "./errors.ts";
import { noiseFields } from "./families/noise.ts";
import { storeTrace } from "./families/store/teacher.ts";
import { chainTrace } from "./families/toolhop/teacher.ts";
import { callChunks, finalChunks, makeCall } from "./reasoning.ts";
import { Random } from "./rng.ts";
import { calculatorName, type Observation, type SyncToolRunner, syntheticRunner } from "./tools.ts";
import type { ExpertTrace, SyntheticSetup, Task, ToolCall, TraceTurn } from "./types.ts";
import { type Relation, relationOf } from "./world.ts";

/**
 * Expert trace of a generated task: one turn per hop (a parallel task's calls share the turn), one more for
 * every timeout, one for the sum, and the final turn. Deterministic in the task. Tasks of the other generated families
 * get theirs from `chainTrace` and `storeTrace`.
 *
 * What holds for all: every golden is solved. For `ftrl-like`: every golden is solved (Solve-R = 1) and the number of calls is goldens + timeouts, so
 * Solve-F1 = 2U / (2U + timeouts), which is 1 exactly when nothing timed out.
 *
 * @throws EnvironmentError for tasks of recorded rows, which carry their trace
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * const { final } = teacherTrace(task);
 * match(final.answer, task.answer); // → true
 * ```
 */
export function teacherTrace(task: Task): ExpertTrace {
  if (task.setup.kind === "toolhop-like") return chainTrace(task.id, task.setup);
  if (task.setup.kind === "bfcl-like") return storeTrace(task.id, task.setup);
  const setup = syntheticSetup(task);
  const random = new Random("teacher", task.id);
  const run = syntheticRunner(setup);
  const turns: TraceTurn[] = [];
  let at: (string | number)[] = setup.chains.map((chain) => chain.entity);
  let seen: (string | number)[] = [];
  const hops = setup.chains[0].relations.length;
  for (let h = 0; h < hops; h++) {
    const calls = setup.chains.map((chain, c) => lookupCall(setup, chain.relations[h], at[c]));
    const hasNext = h < hops - 1;
    at = solve(calls, seen, hasNext);
    seen = at;
  }
  if (setup.sum) seen = solve([makeCall(calculatorName, { a: at[0], b: at[1] })], seen, false);
  return { turns, final: { chunks: finalChunks(seen, "full"), answer: seen.join(", ") } };

  /** Makes the calls in one turn and repeats the failed ones in further turns; values in order of the calls. */
  function solve(calls: ToolCall[], seenBefore: (string | number)[], hasNext: boolean): (string | number)[] {
    const values: (string | number)[] = [];
    let open = calls.map((_, i) => i);
    for (let attempt = 0; open.length > 0; attempt++) {
      const tried = open.map((i) => calls[i]);
      const intent = { calls: tried, seen: seenBefore, retry: attempt > 0, hasNext };
      const { turn, observations } = runTurn(run, tried);
      turn.chunks = callChunks(random, setup, intent, "full");
      turns.push(turn);
      open = open.filter((i, n) => {
        const value = observedValue(observations[n]);
        if (value !== undefined) values[i] = value;
        return value === undefined;
      });
      if (attempt > 1)
        throw new EnvironmentError(`teacherTrace: task ${task.id} can not be solved by its tools`);
    }
    return values;
  }
}

/** The turns of a trace that may enter a context: all but the final one (arXiv 2606.16215: leakage). */
export function contextTurns(trace: ExpertTrace): TraceTurn[] {
  return trace.turns;
}

/** The setup of an `ftrl-like` task; throws for others. */
export function syntheticSetup(task: Task): SyntheticSetup {
  if (task.setup.kind !== "ftrl-like")
    throw new EnvironmentError(
      `task ${task.id} is of ${task.setup.kind}; this scripted policy needs ftrlLike.generate(...) tasks`,
    );
  return task.setup;
}

/** The call that looks up a relation of an entity with the listed tool. */
export function lookupCall(setup: SyntheticSetup, relationName: string, entity: string | number): ToolCall {
  const tool = Object.keys(setup.lookups).find((name) => setup.lookups[name] === relationName) as string;
  return makeCall(tool, { [(relationOf(relationName) as Relation).from]: String(entity) });
}

/** Executes the calls of one turn; the turn comes without chunks. */
export function runTurn(
  run: SyncToolRunner,
  calls: ToolCall[],
): { turn: TraceTurn; observations: Observation[] } {
  const observations = calls.map(run);
  return { turn: { chunks: [], calls, observations: observations.map((o) => o.content) }, observations };
}

/** The value in a successful observation of a generated tool. */
export function observedValue(observation: Observation): string | number | undefined {
  if (observation.error) return undefined;
  const fields = Object.entries(JSON.parse(observation.content) as Record<string, string | number>);
  return fields.find(([key]) => !Object.hasOwn(noiseFields, key))?.[1];
}
