/**
 * What stands before the rollouts of a prompt that is trained behind its trace (arXiv 2606.16215, eq. 7 and Table 3), and
 * how long it may become.
 *
 *     turns        x → h* → delimiter                 h* as earlier turns (default)
 *     reference    x with h* at the end of its user turn
 *
 * h* may be shown whole, with its reasoning cut to a level, or without some of its parts. An empty h* gives x.
 */
import { activeChunks, type ExpertTrace, type PrefixLevel, type Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";
import { ContextLengthError } from "./errors.ts";
import type { ShownTurns } from "./render-context.ts";
import { prefixLevel } from "./schedules.ts";

/** The options of `TrainConfig` that shape a context. */
export type ContextConfig = Pick<
  TrainConfig,
  "steps" | "traceContext" | "traceComponents" | "traceRendering" | "traceDelimiter"
>;

/**
 * Whether the context is x → h* → delimiter with the whole of h*: the SFT term then trains the very tokens that the
 * rollouts see, so both share one prefix.
 * @example
 * ```ts
 * showsWholeTrace(defaultConfig); // → true
 * showsWholeTrace(trainConfig({ traceComponents: ["calls"] })); // → false
 * ```
 */
export function showsWholeTrace(config: ContextConfig): boolean {
  return (
    config.traceRendering === "turns" &&
    config.traceContext === "full" &&
    ["reasoning", "calls", "observations"].every((part) => config.traceComponents.includes(part as "calls"))
  );
}

/**
 * The turns of a trace as the context of a step shows them.
 *
 * `safe` and `scheduled` drop the chunks that the level does not keep. A component that is not listed is missing from
 * every turn; without any there is no turn.
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const turns = shownTurns(task.trace!, 0, { ...defaultConfig, traceComponents: ["calls"] });
 * turns[0].observations; // → []
 * turns[0].calls.length; // → 1
 * ```
 */
export function shownTurns(trace: ExpertTrace, step: number, config: ContextConfig): ShownTurns {
  const shows = (part: TrainConfig["traceComponents"][number]) => config.traceComponents.includes(part);
  if (config.traceComponents.length === 0) return [];
  const level: PrefixLevel = config.traceContext === "scheduled" ? prefixLevel(step, config.steps) : 4;
  return trace.turns.map(({ chunks, calls, observations }) => {
    const active = config.traceContext === "full" ? chunks.map(() => true) : activeChunks(chunks, level);
    return {
      chunks: shows("reasoning") ? chunks.filter((_, index) => active[index]) : [],
      calls: shows("calls") ? calls : [],
      observations: shows("observations") ? observations : [],
    };
  });
}

/**
 * Tokens before the rollouts of a prompt trained behind its trace; x alone without a trace, or with an empty one.
 *
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const dialect = nativeDialect(codec);
 * const x = dialect.prompt(task).ids;
 * const context = tracedContext(dialect, task, 0, defaultConfig); // x, h*, delimiter
 * context.length > x.length; // → true
 * const last = codec.decode(context.slice(-2)); // → "<|again|><|assistant|>"
 * tracedContext(dialect, { ...task, trace: undefined }, 0, defaultConfig).length === x.length; // → true
 * ```
 */
export function tracedContext(dialect: Dialect, task: Task, step: number, config: ContextConfig): number[] {
  const turns = task.trace === undefined ? [] : shownTurns(task.trace, step, config);
  if (turns.length > 0 && config.traceRendering === "reference") {
    return [...dialect.reference(task, turns)];
  }
  return [...dialect.context(task, turns, config.traceDelimiter)];
}

/**
 * Tokens that the longest sequence of a task may have: what must fit into `maxContextTokens` before anything is sampled,
 * so that no context is ever cut. Whole traces count whatever the context shows, so that every method and every
 * context trains on the same tasks.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const dialect = nativeDialect(codec);
 * const small = contextTokens(dialect, task, { ...defaultConfig, maxRolloutTokens: 500 });
 * contextTokens(dialect, task, { ...defaultConfig, maxRolloutTokens: 600 }) - small; // → 100
 * ```
 */
export function contextTokens(
  dialect: Dialect,
  task: Task,
  config: Pick<TrainConfig, "maxRolloutTokens" | "traceDelimiter" | "traceRendering">,
): number {
  if (task.trace === undefined) return dialect.prompt(task).ids.length + config.maxRolloutTokens;
  const turns = dialect.context(task, task.trace.turns, config.traceDelimiter).length;
  const reference =
    config.traceRendering === "reference" ? dialect.reference(task, task.trace.turns).length : 0;
  const episode = dialect.document(task, task.trace).ids.length;
  return Math.max(Math.max(turns, reference) + config.maxRolloutTokens, episode);
}

/**
 * The tasks whose longest sequence fits into the context; the others are left out whole.
 *
 * @param maxPositions positions of the model
 * @throws ContextLengthError when none fits
 */
export function fittingTasks(
  dialect: Dialect,
  tasks: readonly Task[],
  config: Parameters<typeof contextTokens>[2] & Pick<TrainConfig, "maxContextTokens">,
  maxPositions: number,
): Task[] {
  const limit = Math.min(config.maxContextTokens, maxPositions);
  const fitting = tasks.filter((task) => contextTokens(dialect, task, config) <= limit);
  if (fitting.length > 0) return fitting;
  throw new ContextLengthError(
    `None of the ${tasks.length} training tasks fits into a context of ${limit} tokens together with its ` +
      "trace and a rollout. Raise maxContextTokens (and the model's maxPositions), or lower maxRolloutTokens.",
  );
}

/**
 * Refuses a context that is too long: it is never cut.
 *
 * @throws ContextLengthError naming the task and both numbers
 */
export function checkLength(task: Task, tokens: number, limit: number): void {
  if (tokens <= limit) return;
  throw new ContextLengthError(
    `Task ${task.id} needs a context of ${tokens} tokens, the limit is ${limit}. ` +
      "Raise maxContextTokens, or lower maxRolloutTokens; contexts are never cut.",
  );
}
