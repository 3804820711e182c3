/**
 * Batched multi-turn rollouts: many episodes (episode.ts) advance together, one sampled token per live row and model call.
 *
 * Within a turn nothing waits for the environment, so the policy may begin the next token of every row while this one is looked
 * at (`following`). A turn's end has to be seen first: its row then goes on with an observation, or not at all, and what was
 * begun for it is not used. Observations enter the row together with the stop token before them. Each token's random bits
 * depend on (key, prompt stream, rollout, position) alone, so a rollout does not depend on its neighbours in the batch.
 * Rollouts that have to go on behind a new prompt (a chat template rewrote the past) do so together, in a session of their own.
 * Left out: asynchronous rollouts and partial rollouts carried over to the next step.
 */
import type { Key } from "@pact/tensor";
import type { SolveScore, Task, ToolRunner } from "@pact/tools-sim";
import type { Dialect } from "./dialect.ts";
import { Episode } from "./episode.ts";
import { RolloutError } from "./errors.ts";
import type { RewardTurn } from "./rewards.ts";
import type { RolloutSplit, RolloutStop } from "./run-sink.ts";
import type { TokenRun } from "./tokens.ts";

/** A task as rollouts see it: the type has no trace, so that h* can not reach the sampler by mistake. */
export type RolloutTask = Omit<Task, "trace"> & { readonly trace?: undefined };

/** A prompt to roll out from: its task, its tokens, and the number of its random stream. */
export interface RolloutPrompt {
  readonly task: RolloutTask;
  readonly tokens: TokenRun;
  /** Names the random stream, e.g. the task's index in its data set. */
  readonly stream: number;
}

/** Next tokens of some rows, with their log-probs at the sampling temperature. */
export interface SampledTokens {
  readonly ids: ArrayLike<number>;
  readonly logProbs: ArrayLike<number>;
}

/**
 * Rows that grow by sampled and by given tokens; K rows of a prompt share it. `keys` holds two words per row; `following` are
 * the keys of the tokens after, should rows just go on, by which a session may begin the next step while its caller looks at
 * this one.
 */
export interface PolicySession {
  /** Samples the token after each row's prompt. */
  first(keys: Uint32Array, following?: Uint32Array): Promise<SampledTokens>;
  /** Appends tokens to some rows and samples the next token of each, in the order of `entries`. Rows left out have ended. */
  next(
    entries: readonly { readonly row: number; readonly ids: readonly number[] }[],
    keys: Uint32Array,
    following?: Uint32Array,
  ): Promise<SampledTokens>;
  dispose(): void | Promise<void>;
}

/** Something that samples: a model (`modelPolicy`), or a script in tests. */
export interface RolloutPolicy {
  start(
    prompts: readonly (readonly number[])[],
    rows: readonly { readonly prompt: number; readonly capacity: number }[],
    temperature: number,
  ): PolicySession;
}

/** Limits of a rollout. */
export interface RolloutLimits {
  readonly maxTurns: number;
  readonly maxTurnTokens: number;
  /** Tokens after the prompt, observations included. */
  readonly maxRolloutTokens: number;
}

/** Options of `collectRollouts`. */
export interface RolloutOptions extends RolloutLimits {
  readonly dialect: Dialect;
  readonly policy: RolloutPolicy;
  /** K, rollouts per prompt. */
  readonly rolloutsPerPrompt: number;
  /** 0 is greedy. Training samples at 1: ratios and log-probs are defined there. */
  readonly temperature: number;
  /** Root of all random streams of these rollouts. */
  readonly key: Key;
  /** What executes the calls; default: the simulator, the sandbox or the recorded calls of the task's own setup. */
  readonly createRunner?: (task: Task) => ToolRunner;
  /** Called after each model call with the number of live rows, each of which got one token. */
  readonly onTokens?: (live: number) => void;
  /** Aborting it makes the returned promise reject with its reason before the next model call. */
  readonly signal?: AbortSignal;
}

/** One assistant turn of a rollout: its tokens [start, end) in the rollout, and what they said. */
export interface RolloutTurn extends RewardTurn {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Output of each of `calls`, in order; the last turn's may be missing. */
  readonly outputs: readonly string[];
  /** Calls that could not be parsed. */
  readonly malformedCalls: number;
  /** Parsed calls that the tool answered with an error. */
  readonly failedCalls: number;
  /** False when a limit cut the turn before its stop token; it was then not acted upon. */
  readonly complete: boolean;
}

/**
 * One episode. Arrays are over the tokens after the prompt and end with a sampled token. Where the rollout was split, a whole
 * new prompt stands among them.
 */
export interface Rollout {
  readonly prompt: RolloutPrompt;
  /** Index among the prompt's K rollouts. */
  readonly index: number;
  readonly ids: readonly number[];
  readonly roles: readonly number[];
  /** Turn of each sampled token, −1 for observations and template. */
  readonly turnOf: readonly number[];
  /** The sampler's log-prob of each sampled token, 0 elsewhere: logged, never trained on. */
  readonly samplerLogProbs: readonly number[];
  readonly turns: readonly RolloutTurn[];
  /** Where it went on behind a new prompt; missing if it never did. */
  readonly splits?: readonly RolloutSplit[];
  readonly stop: RolloutStop;
  readonly score: SolveScore;
  /** The environment counts the task as solved. */
  readonly success: boolean;
}

/**
 * A task without its trace: the only way from a `Task` to a rollout.
 *
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * withoutTrace(task).trace === undefined; // → true
 * ```
 */
export function withoutTrace(task: Task): RolloutTask {
  const { trace: _removed, ...rest } = task;
  return rest;
}

/**
 * The prompt of a trace-free task.
 *
 * @throws RolloutError when an untyped caller passes a task that still carries a trace
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const dialect = nativeDialect(codec);
 * const prompt = rolloutPrompt(dialect, withoutTrace(task), 0);
 * prompt.tokens.ids.length === dialect.prompt(task).ids.length; // → true
 * rolloutPrompt(dialect, task as RolloutTask, 0); // → throws RolloutError
 * ```
 */
export function rolloutPrompt(dialect: Dialect, task: RolloutTask, stream: number): RolloutPrompt {
  if ((task as { trace?: unknown }).trace !== undefined) {
    throw new RolloutError(
      `rolloutPrompt: task ${task.id} carries an expert trace, which must not reach the sampler. Pass withoutTrace(task).`,
    );
  }
  return { task, tokens: dialect.prompt(task), stream };
}

/**
 * Rolls out every prompt K times.
 *
 * @returns rollouts in the order of prompts, K neighbours per prompt
 * @throws RolloutError when the policy returns fewer tokens than rows or an environment fails its protocol
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
 * rollouts[0].stop; // → "answer"
 * rollouts[0].turns[0].answer === task.answer; // → true
 * rollouts[0].samplerLogProbs[0]; // → -1
 * ```
 */
export async function collectRollouts(
  prompts: readonly RolloutPrompt[],
  options: RolloutOptions,
): Promise<Rollout[]> {
  const { policy, rolloutsPerPrompt, maxRolloutTokens, temperature } = options;
  if (prompts.length === 0) return [];
  const episodes = prompts.flatMap((prompt) =>
    Array.from({ length: rolloutsPerPrompt }, (_, index) => new Episode(prompt, index, options)),
  );
  try {
    const shared = prompts.map((prompt) => prompt.tokens.ids);
    const rows = episodes.map((_, row) => ({
      prompt: Math.floor(row / rolloutsPerPrompt),
      capacity: maxRolloutTokens,
    }));
    let split = await runSession(policy.start(shared, rows, temperature), episodes, options);
    while (split.length > 0) {
      const starts = split.map((episode) => episode.restart());
      const own = starts.map(({ capacity }, prompt) => ({ prompt, capacity }));
      const session = policy.start(
        starts.map(({ prompt }) => prompt),
        own,
        temperature,
      );
      split = await runSession(session, split, options);
    }
  } finally {
    await Promise.all(episodes.map((episode) => episode.close()));
  }
  return episodes.map((episode) => episode.finish());
}

/**
 * Runs episodes, one row each, until every one has stopped or has to go on behind a new prompt.
 *
 * @returns those of the latter kind
 */
async function runSession(
  session: PolicySession,
  episodes: readonly Episode[],
  options: RolloutOptions,
): Promise<Episode[]> {
  try {
    let turned = performance.now();
    let live = episodes.map((episode, row) => ({ episode, row }));
    let sampled = await session.first(keysOf(live), keysOf(live, 1));
    while (live.length > 0) {
      if (sampled.ids.length < live.length) {
        throw new RolloutError(`The policy returned ${sampled.ids.length} tokens for ${live.length} rows.`);
      }
      options.onTokens?.(live.length);
      const tokens = sampled;
      await Promise.all(
        live.map(({ episode }, index) => episode.take(tokens.ids[index], tokens.logProbs[index])),
      );
      live = live.filter(({ episode }) => episode.stop === null && !episode.isSplit);
      if (live.length === 0) break;
      if (performance.now() - turned > turnMilliseconds) {
        await turnEventLoop();
        turned = performance.now();
      }
      options.signal?.throwIfAborted();
      sampled = await session.next(
        live.map(({ episode, row }) => ({ row, ids: episode.pending() })),
        keysOf(live),
        keysOf(live, 1),
      );
    }
  } finally {
    await session.dispose();
  }
  return episodes.filter(({ stop }) => stop === null);
}

/** Signals, timers and the display wait no longer than this for a batch of rollouts, or for one model call. */
const turnMilliseconds = 50;

/**
 * Lets the event loop turn: a policy on the cpu device awaits nothing but microtasks, which let nothing else in.
 * NOTE: not a timer, which browsers slow down to one a second in a hidden tab.
 */
function turnEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Keys of the next token of each row, or of the one `later` tokens after it. */
function keysOf(live: readonly { readonly episode: Episode }[], later = 0): Uint32Array {
  const words = new Uint32Array(2 * live.length);
  live.forEach(({ episode }, index) => {
    words.set(episode.tokenKey(later), 2 * index);
  });
  return words;
}
