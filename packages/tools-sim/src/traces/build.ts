/**
 * From tasks to traces: plays each task with a teacher, keeps what verifies, and segments the reasoning. Results come in
 * the order of the tasks, a few episodes are played at once.
 */
import { OptionError } from "../errors.ts";
import type { SuiteTask } from "../suite.ts";
import type { Task } from "../types.ts";
import type { Annotator } from "./annotator.ts";
import { holdsAnswer, judgeEpisode } from "./filters.ts";
import { segmentTurn } from "./segment.ts";
import { type PlayedEpisode, type PlayedTurn, playTeacher, type Teacher } from "./teacher.ts";
import { normaliseReasoning } from "./text.ts";
import type { DroppedTrace, StoredFinal, StoredTurn, TraceRecord } from "./types.ts";

/** Settings of `buildTraces`. */
export interface BuildTracesOptions {
  /** Environment id that the traces name. */
  environment: string;
  teacher: Teacher;
  /** Segments what the rules leave; without it the fallback does. */
  annotator?: Annotator;
  /** Episodes at once; default 4. */
  concurrency?: number;
  /** Ends the work; the iteration throws its reason. */
  signal?: AbortSignal;
}

/** What became of one task. */
export type BuiltTrace =
  | { kept: TraceRecord; dropped?: undefined }
  | { kept?: undefined; dropped: DroppedTrace };

/**
 * Makes a trace of every task, or says why there is none; in the order of the tasks. A script's chunks are its own,
 * a model's are cut by rules, annotator or fallback.
 *
 * @throws OptionError for a concurrency that is no positive whole number, or a task that has several user turns
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 4 });
 * const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
 * let kept = 0;
 * for await (const trace of built) kept += Number(trace.kept !== undefined);
 * kept; // → 4
 * ```
 */
export async function* buildTraces(
  tasks: readonly SuiteTask[],
  options: BuildTracesOptions,
): AsyncGenerator<BuiltTrace, void, undefined> {
  const { concurrency = 4, signal } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new OptionError(`buildTraces: concurrency must be a positive whole number, got ${concurrency}`);
  const sources = tasks.map((source) => {
    if (source.task === undefined)
      throw new OptionError(
        `buildTraces: task ${source.taskId} has several user turns; traces are of one question and its tools`,
      );
    return { ...source, task: source.task };
  });
  const own = new AbortController();
  const both = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
  const running: Promise<BuiltTrace>[] = [];
  let next = 0;
  const start = () => {
    if (next === sources.length) return;
    // NOTE: a signal of its own for each episode: listeners of all requests on one would pass Node's limit.
    const trace = buildOne(sources[next++], { ...options, signal: AbortSignal.any([both]) });
    // The rejection is met when the trace's turn comes; until then it must not count as unhandled.
    trace.catch(() => {});
    running.push(trace);
  };
  try {
    for (let k = 0; k < concurrency; k++) start();
    while (running.length > 0) {
      const built = await running[0];
      running.shift();
      start();
      yield built;
    }
  } finally {
    own.abort(new Error("the making of traces has ended"));
    await Promise.allSettled(running);
  }
}

async function buildOne(
  source: SuiteTask & { task: Task },
  options: BuildTracesOptions & { signal: AbortSignal },
): Promise<BuiltTrace> {
  const { task } = source;
  const played = await playTeacher(source, options.teacher, options.signal);
  const verdict = judgeEpisode(played, task);
  if ("reason" in verdict) return { dropped: { id: source.taskId, ...verdict } };
  const { turns, final } = await storeTurns(played, task, options);
  return {
    kept: {
      version: 1,
      id: source.taskId,
      environment: options.environment,
      category: source.category,
      teacher: options.teacher.name,
      question: task.question,
      tools: task.tools,
      reference: task.answer,
      verifiedBy: verdict.verifiedBy,
      answerInObservations: holdsAnswer(
        turns.flatMap((turn) => turn.observations),
        task.answer,
      ),
      turns,
      final,
    },
  };
}

/** All turns of an episode that was judged well: every one but the last made calls, the last answers. */
async function storeTurns(
  { turns: played }: PlayedEpisode,
  task: Task,
  { teacher, annotator, signal }: BuildTracesOptions,
): Promise<{ turns: StoredTurn[]; final: StoredFinal }> {
  const labelled = teacher.scripted ? task.trace : undefined;
  const segment = async (turn: PlayedTurn, index: number) => {
    const previous = played[index - 1];
    const calls = turn.parsed.calls.map(({ function: { name, arguments: args } }) => ({
      name,
      arguments: args,
    }));
    const reasoning = normaliseReasoning(turn.parsed.reasoning ?? "");
    const context = {
      reasoning,
      calls,
      tools: task.tools,
      hasObservations: index > 0,
      previousFailed: previous?.observations.some(({ error }) => error) ?? false,
    };
    const chunks = (labelled?.turns[index] ?? labelled?.final)?.chunks;
    return {
      calls,
      stored: { ...(await segmentTurn(context, { annotator, labelled: chunks, signal })), reasoning },
    };
  };
  const turns: StoredTurn[] = [];
  const last = played.length - 1;
  for (const [index, turn] of played.slice(0, last).entries()) {
    const { calls, stored } = await segment(turn, index);
    turns.push({ ...stored, calls, observations: turn.observations.map(({ content }) => content) });
  }
  const { stored } = await segment(played[last], last);
  return { turns, final: { ...stored, answer: played[last].parsed.answer ?? "" } };
}
