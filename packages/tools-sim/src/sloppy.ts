/**
 * A sloppy scripted policy, imitated in pre-training so that the base policy uses tools, badly: it picks wrong
 * tools and arguments, answers without looking, gives up, and more often than not leaves out later parts and steps.
 * The other slips are each less likely than the right choice, so the most likely behaviour is better than a sampled
 * one, but it still does only the first part of a job; with full reasoning slips are rarer.
 *
 * Also builds pre-training documents in which an expert attempt stands before a fresh episode of the task.
 */
import { OptionError } from "./errors.ts";
import { callChunks, finalChunks, makeCall, type ReasoningMode } from "./reasoning.ts";
import type { Random } from "./rng.ts";
import { contextTurns, lookupCall, observedValue, runTurn, syntheticSetup, teacherTrace } from "./teacher.ts";
import { calculatorName, syntheticRunner } from "./tools.ts";
import type { Episode, SyntheticSetup, Task, ToolCall, TraceTurn } from "./types.ts";
import { drawName, type Relation, relationOf } from "./world.ts";

/** Rates of the sloppy policy, with their defaults. */
export interface SloppyHabits {
  /** Per call: a listed tool that is not the right one (0.3). */
  wrongTool: number;
  /** Per call: another name than the right one (0.3). */
  wrongArgument: number;
  /** Before the first call: answers instead (0.35). */
  stopsAtOnce: number;
  /** Before each later step, and for each further part of a parallel question: leaves it out (0.7). */
  leavesRest: number;
  /** After a failed call: ends without it (0.5) instead of trying the right call. */
  givesUp: number;
  /** Shares of turns with full and with short reasoning; the rest has none (0.25, 0.35). */
  fullReasoning: number;
  shortReasoning: number;
  /** Wrong tools and arguments are this much as likely in turns with full reasoning (1/3). */
  fullReasoningFactor: number;
}

/** Defaults of `SloppyHabits`. */
export const defaultHabits: SloppyHabits = {
  wrongTool: 0.3,
  wrongArgument: 0.3,
  stopsAtOnce: 0.35,
  leavesRest: 0.7,
  givesUp: 0.5,
  fullReasoning: 0.25,
  shortReasoning: 0.35,
  fullReasoningFactor: 1 / 3,
};

function checkedHabits(given: Partial<SloppyHabits>): SloppyHabits {
  const habits = { ...defaultHabits, ...given };
  for (const [name, rate] of Object.entries(habits))
    if (!Object.hasOwn(defaultHabits, name) || !(rate >= 0 && rate <= 1))
      throw new OptionError(`sloppyEpisode: habit ${name} must be a known rate in [0, 1], got ${rate}`);
  if (habits.fullReasoning + habits.shortReasoning > 1)
    throw new OptionError("sloppyEpisode: fullReasoning + shortReasoning must not exceed 1");
  return habits;
}

/**
 * One episode of the sloppy policy on a generated task, in the same structure as an expert trace. It reads only
 * what a policy sees, executed by the task's tools; its answer is whatever it ended up with.
 *
 * @throws OptionError for a rate outside [0, 1]
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * const episode = sloppyEpisode(task, new Random("pretrain", 5), { stopsAtOnce: 1 });
 * episode.turns; // → []
 * ```
 */
export function sloppyEpisode(task: Task, random: Random, habits: Partial<SloppyHabits> = {}): Episode {
  const rates = checkedHabits(habits);
  const setup = syntheticSetup(task);
  const run = syntheticRunner(setup);
  const turns: TraceTurn[] = [];
  const hops = setup.chains[0].relations.length;
  let active = setup.chains.map((chain) => ({ chain, at: chain.entity as string | number }));
  if (active.length > 1 && random.chance(rates.leavesRest)) active = active.slice(0, 1);
  let seen: (string | number)[] = [];

  for (let h = 0; h < hops; h++) {
    if (random.chance(h === 0 ? rates.stopsAtOnce : rates.leavesRest)) return finish(seen);
    const right = active.map(({ chain, at }) => lookupCall(setup, chain.relations[h], at));
    const values = attempt(right, h < hops - 1);
    if (values === undefined) return finish([]);
    seen = values;
    active = active.map(({ chain }, i) => ({ chain, at: values[i] }));
  }
  if (setup.sum && active.length === 2 && !random.chance(rates.leavesRest)) {
    const [a, b] = seen;
    if (typeof a !== "number" || typeof b !== "number") return finish(seen);
    const values = attempt([makeCall(calculatorName, { a, b })], false);
    return finish(values ?? []);
  }
  return finish(seen);

  function finish(values: (string | number)[]): Episode {
    const answer = values.length === 0 ? "unknown" : values.join(", ");
    return { turns, final: { chunks: finalChunks(values, drawMode(random, rates)), answer } };
  }

  /** One turn of perhaps wrong calls; after failures either gives up or tries the right ones once. */
  function attempt(right: ToolCall[], hasNext: boolean): (string | number)[] | undefined {
    const mode = drawMode(random, rates);
    const factor = mode === "full" ? rates.fullReasoningFactor : 1;
    const calls = right.map((call) => perturb(call, factor));
    const values = takeTurn(calls, mode, false, hasNext);
    const failed = right.map((_, i) => i).filter((i) => values[i] === undefined);
    if (failed.length > 0) {
      if (random.chance(rates.givesUp)) return undefined;
      const again = takeTurn(
        failed.map((i) => right[i]),
        drawMode(random, rates),
        true,
        hasNext,
      );
      failed.forEach((i, n) => {
        values[i] = again[n];
      });
    }
    return values.some((value) => value === undefined) ? undefined : (values as (string | number)[]);
  }

  function takeTurn(calls: ToolCall[], mode: ReasoningMode, retry: boolean, hasNext: boolean) {
    const { turn, observations } = runTurn(run, calls);
    turn.chunks = callChunks(random, setup, { calls, seen, retry, hasNext }, mode);
    turns.push(turn);
    return observations.map(observedValue);
  }

  function perturb(call: ToolCall, factor: number): ToolCall {
    if (call.function.name === calculatorName) return call;
    let name = call.function.name;
    let [value] = Object.values(call.function.arguments);
    if (random.chance(rates.wrongTool * factor)) name = random.pick(otherTools(setup, name));
    if (random.chance(rates.wrongArgument * factor)) value = otherName(value as string);
    return makeCall(name, { [(relationOf(setup.lookups[name]) as Relation).from]: value });
  }

  /** Another name of the context if there is one, else a made-up one. */
  function otherName(name: string): string {
    const visible = setup.chains.map((chain) => chain.entity).filter((entity) => entity !== name);
    return visible.length > 0 ? random.pick(visible) : drawName(random, setup.world.split);
  }
}

function otherTools(setup: SyntheticSetup, name: string): string[] {
  const others = Object.keys(setup.lookups).filter((tool) => tool !== name);
  return others.length > 0 ? others : [name];
}

function drawMode(random: Random, rates: SloppyHabits): ReasoningMode {
  const u = random.float();
  if (u < rates.fullReasoning) return "full";
  return u < rates.fullReasoning + rates.shortReasoning ? "short" : "absent";
}

/** A pre-training document: an episode, after an expert's attempt without its final turn if `context` is given. */
export interface PretrainingDocument {
  task: Task;
  /** Rendered as earlier turns, then the delimiter, then the episode. */
  context?: TraceTurn[];
  episode: Episode;
}

/** Shares that shape pre-training documents, with their defaults. */
export interface DocumentOptions {
  /** Share of documents with an expert attempt before the episode (0.15). */
  contextShare: number;
  /** Share of episodes played by the teacher instead of the sloppy policy (0). */
  cleanShare: number;
  habits: Partial<SloppyHabits>;
}

/**
 * One pre-training document. The episode after an expert attempt is drawn like any other: such documents teach what
 * the delimiter means, so that rollouts do not look foreign when a trace precedes them.
 *
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * const { episode } = pretrainingDocument(task, new Random("pretrain", 0), { cleanShare: 1 });
 * match(episode.final.answer, task.answer); // → true
 * ```
 */
export function pretrainingDocument(
  task: Task,
  random: Random,
  options: Partial<DocumentOptions> = {},
): PretrainingDocument {
  const { contextShare = 0.15, cleanShare = 0, habits = {} } = options;
  const context = random.chance(contextShare) ? contextTurns(teacherTrace(task)) : undefined;
  const episode = random.chance(cleanShare) ? teacherTrace(task) : sloppyEpisode(task, random, habits);
  return context === undefined ? { task, episode } : { task, context, episode };
}
