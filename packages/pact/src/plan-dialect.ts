/**
 * A dialect that remembers what it wrote: plans of one run with other settings ask for the same episodes again and again, and
 * chat templates take their time.
 */
import type { Dialect, PromptTask } from "./dialect.ts";

/** Results by task and by what else they depend on. */
class Memory<R> {
  readonly #byTask = new WeakMap<object, Map<string, R>>();

  get(task: PromptTask, rest: unknown, make: () => R): R {
    // Copies of a task share its messages.
    const results = this.#byTask.get(task.messages) ?? new Map<string, R>();
    this.#byTask.set(task.messages, results);
    const key = JSON.stringify([task.question, rest]);
    const known = results.get(key);
    if (known !== undefined) return known;
    const made = make();
    results.set(key, made);
    return made;
  }
}

/**
 * The same dialect, which writes everything once. For tasks that do not change and differ in their messages.
 *
 * @example const remembering = rememberingDialect(nativeDialect(codec));
 */
export function rememberingDialect(dialect: Dialect): Dialect {
  const prompts = new Memory<ReturnType<Dialect["prompt"]>>();
  const continuations = new Memory<ReturnType<Dialect["afterTurn"]>>();
  const traces = new Memory<ReturnType<Dialect["trace"]>>();
  const contexts = new Memory<readonly number[]>();
  const references = new Memory<readonly number[]>();
  const documents = new Memory<ReturnType<Dialect["document"]>>();
  return {
    answers: dialect.answers,
    decode: (ids) => dialect.decode(ids),
    isStop: (id) => dialect.isStop(id),
    opensReasoning: (ids) => dialect.opensReasoning(ids),
    prompt: (task) => prompts.get(task, "", () => dialect.prompt(task)),
    turn: (ids) => dialect.turn(ids),
    afterTurn: (task, turns) => continuations.get(task, turns, () => dialect.afterTurn(task, turns)),
    trace: (task, trace, options) =>
      traces.get(task, [trace, options], () => dialect.trace(task, trace, options)),
    context: (task, turns, delimiter) =>
      contexts.get(task, [turns, delimiter], () => dialect.context(task, turns, delimiter)),
    reference: (task, turns) => references.get(task, turns, () => dialect.reference(task, turns)),
    document: (task, episode) => documents.get(task, episode, () => dialect.document(task, episode)),
  };
}
