/**
 * Running many episodes of a policy: at most so many at once, results in the order of the tasks, every environment closed
 * whatever happens. A policy is anything that answers a conversation: a served model, a script, a person.
 */
import type { Environment, Outcome } from "./environment.ts";
import { OptionError } from "./errors.ts";
import type { Message, ToolDefinition } from "./types.ts";

/** What a policy sees when it is asked for the next assistant turn. */
export interface PolicyContext {
  taskId: string;
  /** Which of the attempts at this task, from 0. */
  attempt: number;
  /** The whole conversation so far. */
  messages: readonly Message[];
  /** Tools offered now. */
  tools: readonly ToolDefinition[];
  signal: AbortSignal;
}

/** The next assistant turn: text, or a message with `tool_calls`. */
export type Policy = (context: PolicyContext) => Promise<string | Message>;

/** An episode that has ended. */
export interface EpisodeResult<S = unknown> {
  taskId: string;
  attempt: number;
  /** The conversation, the policy's turns included. */
  messages: Message[];
  /** Assistant turns. */
  turns: number;
  /** The environment's stop reason; `failed`: the policy threw, and `error` says what. */
  stopReason: string;
  truncated: boolean;
  score: S;
  outcome: Outcome;
  error?: string;
}

/** One task that episodes can be made of. */
export interface EpisodeSource<S = unknown> {
  taskId: string;
  /** A fresh environment; all start alike. */
  create(): Environment<S, string>;
}

/**
 * Plays one episode to its end and closes the environment.
 *
 * A policy that throws ends the episode as `failed`: its error is part of the result, the score is that of the calls
 * made so far.
 *
 * @throws the signal's reason if it is aborted
 * @example
 * ```ts
 * const [source] = openSuite("ftrl-like", { count: 1 }).tasks;
 * const { outcome } = await runEpisode(source, async () => "<answer>7</answer>");
 * outcome.success; // → false
 * ```
 */
export async function runEpisode<S>(
  source: EpisodeSource<S>,
  policy: Policy,
  options: { attempt?: number; signal?: AbortSignal } = {},
): Promise<EpisodeResult<S>> {
  const { attempt = 0, signal = new AbortController().signal } = options;
  signal.throwIfAborted();
  const environment = source.create();
  try {
    const start = environment.reset();
    const messages: Message[] = [...start.messages];
    let { tools } = start;
    let turns = 0;
    const end = (stopReason: string, truncated: boolean, error?: string): EpisodeResult<S> => ({
      taskId: source.taskId,
      attempt,
      messages,
      turns,
      stopReason,
      truncated,
      score: environment.score(),
      outcome: environment.outcome(),
      ...(error === undefined ? {} : { error }),
    });
    for (;;) {
      let reply: string | Message;
      try {
        reply = await policy({ taskId: source.taskId, attempt, messages: [...messages], tools, signal });
      } catch (error) {
        signal.throwIfAborted();
        return end("failed", true, error instanceof Error ? error.message : String(error));
      }
      signal.throwIfAborted();
      turns++;
      messages.push(typeof reply === "string" ? { role: "assistant", content: reply } : reply);
      const step = await environment.step(reply, { signal });
      messages.push(...step.messages);
      tools = step.tools ?? tools;
      if (step.done) return end(step.stopReason ?? "unknown", step.truncated);
    }
  } finally {
    await environment.close();
  }
}

/** Settings of `runEpisodes`. */
export interface RunEpisodesOptions {
  /** Episodes at once; default 8. */
  concurrency?: number;
  /** Attempts at each task; default 1. */
  attempts?: number;
  /** `task` (default): results in the order of tasks and attempts. `finished`: each as soon as its episode has ended. */
  order?: "task" | "finished";
  /** Episodes that are left out, such as those of an earlier run. */
  skip?: (taskId: string, attempt: number) => boolean;
  /** Ends the run: no new episode starts, running ones are abandoned and closed, the iteration throws its reason. */
  signal?: AbortSignal;
}

/**
 * Plays every task, yielding results in the order task 0 attempt 0, task 0 attempt 1, …, task 1 attempt 0, …, or as the
 * episodes end.
 *
 * Breaking out of the iteration cancels what is still running.
 *
 * @throws OptionError for a concurrency or a number of attempts that is no positive whole number
 * @example
 * ```ts
 * const sources = openSuite("ftrl-like", { count: 3 }).tasks;
 * const policy = async () => "<answer>7</answer>";
 * let successes = 0;
 * for await (const { outcome } of runEpisodes(sources, policy, { concurrency: 2 })) successes += Number(outcome.success);
 * successes; // → 0
 * ```
 */
export async function* runEpisodes<S>(
  sources: Iterable<EpisodeSource<S>>,
  policy: Policy,
  options: RunEpisodesOptions = {},
): AsyncGenerator<EpisodeResult<S>, void, undefined> {
  const { concurrency = 8, attempts = 1, order = "task", skip, signal } = options;
  for (const [name, value] of Object.entries({ concurrency, attempts })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new OptionError(`runEpisodes: ${name} must be a positive whole number, got ${value}`);
    }
  }
  const own = new AbortController();
  const ends = signal ? [signal, own.signal] : [own.signal];
  const running: Promise<EpisodeResult<S>>[] = [];
  const jobs = jobsOf(sources, attempts, skip);
  const startNext = () => {
    const job = jobs.next();
    if (job.done) return;
    const { source, attempt } = job.value;
    // A signal for each: what waits in many episodes at once would otherwise crowd the listeners of one.
    const episode = runEpisode(source, policy, { attempt, signal: AbortSignal.any(ends) });
    // The rejection is met when the result's turn comes; until then it must not count as unhandled.
    episode.catch(() => {});
    running.push(episode);
  };
  try {
    // NOTE: in the order of tasks, a slow first episode holds back finished later ones; they count as running until they
    // are yielded, so that memory stays bounded.
    for (let k = 0; k < concurrency; k++) startNext();
    while (running.length > 0) {
      const next = order === "task" ? running[0] : (await firstSettled(running)).settled;
      const result = await next;
      running.splice(running.indexOf(next), 1);
      startNext();
      yield result;
    }
  } finally {
    own.abort(new Error("the run of episodes has ended"));
    await Promise.allSettled(running);
  }
}

/** The promise that settles first, wrapped: a promise of a promise would resolve to the value. */
function firstSettled<T>(promises: readonly Promise<T>[]): Promise<{ settled: Promise<T> }> {
  return Promise.race(
    promises.map((settled) =>
      settled.then(
        () => ({ settled }),
        () => ({ settled }),
      ),
    ),
  );
}

function* jobsOf<S>(
  sources: Iterable<EpisodeSource<S>>,
  attempts: number,
  skip: RunEpisodesOptions["skip"],
): Generator<{ source: EpisodeSource<S>; attempt: number }> {
  for (const source of sources) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (!skip?.(source.taskId, attempt)) yield { source, attempt };
    }
  }
}
