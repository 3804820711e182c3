/**
 * One episode of a task: `reset` once, then `step` with the assistant's texts until a typed stop reason. Tools
 * run in the order of the calls; unknown tools, bad arguments and malformed calls become observations.
 * Environments of one task start alike and fail alike, so the rollouts of a group are comparable.
 *
 * Departure from FTRL's harness: there a reply whose calls all fail to parse ends the episode as text; here it
 * gets error observations and the episode goes on (`malformed: "end"` gives FTRL's rule).
 */
import { EnvironmentError, OptionError } from "./errors.ts";
import { type EpisodeScore, outcomeOf, scoreEpisode } from "./families/score.ts";
import { callLimits, observe } from "./guard.ts";
import { spacedJson } from "./json.ts";
import { type ParsedAssistant, type ParseError, parseAssistant, parseMessage } from "./parser.ts";
import type { SolveScore } from "./scoring.ts";
import { createRunner, type Observation, type ToolRunner } from "./tools.ts";
import type { Message, Task, ToolCall, ToolDefinition } from "./types.ts";

/**
 * Why an episode ended. Terminated by its own rules: `answer` (an `<answer>` and no call; see `answers`), `no_call` (a reply with
 * neither), `malformed` (only with `malformed: "end"`). Truncated, cut from outside: `turn_limit` (the last allowed turn
 * made calls).
 */
export type StopReason = "answer" | "no_call" | "malformed" | "turn_limit";

/** What a step returns; `R` is the kind of stop reason. */
export interface StepResult<R extends string = StopReason> {
  /** One per call, broken calls included, in the order of the text. */
  observations: Observation[];
  /** What the environment answers: a tool message per observation, then the user's next message if there is one. */
  messages: Message[];
  /** All tools offered from now on; given when they changed. */
  tools?: ToolDefinition[];
  /** What was parsed out of the assistant's text. */
  parsed: ParsedAssistant;
  /** The episode is over: `terminated` or `truncated`. */
  done: boolean;
  /** It ended by its own rules. */
  terminated: boolean;
  /** It was cut: a limit or a cancellation. Truncated episodes are no evidence of how the policy would have ended. */
  truncated: boolean;
  /** Given exactly when `done`. */
  stopReason?: R;
}

/** How an episode went, in the terms every environment has. */
export interface Outcome {
  /** The task counts as solved. */
  success: boolean;
  /** In [0, 1]: the family's own measure (Solve-F1, or 1 for right and 0 for wrong). */
  value: number;
}

/**
 * A single-use episode. `S` is the family's score, `R` its stop reasons.
 *
 * Environments made from one task start alike and answer alike. A tool that throws, hangs or returns nonsense becomes an
 * error observation; `step` rejects only if it is called out of order or after its signal was aborted.
 */
export interface Environment<S = SolveScore, R extends string = StopReason> {
  readonly taskId: string;
  /** Observations are recorded outputs, not executions. */
  readonly replayed: boolean;
  reset(): { messages: Message[]; tools: ToolDefinition[] };
  /**
   * @param assistant - the policy's text, or a message with `tool_calls` as a served model sends it
   * @param options.signal - stops waiting for tools; the step rejects and the episode is over
   */
  step(assistant: string | Message, options?: { signal?: AbortSignal }): Promise<StepResult<R>>;
  /** The family's score of the episode so far. */
  score(): S;
  /** The same in the terms every environment has. */
  outcome(): Outcome;
  /** Gives back what the episode holds (interpreters, processes). Safe to call at any time and twice. */
  close(): Promise<void>;
}

/** Options of an episode. */
export interface EnvironmentOptions {
  /** Assistant turns before the episode is cut (10, the interaction limit of arXiv 2606.16215). */
  maxTurns?: number;
  /** What a reply does whose calls are all malformed: get error observations (default) or end the episode. */
  malformed?: "observe" | "end";
  /**
   * What counts as an answer: text in `<answer>` tags (default), or any reply without calls, as chat models answer; tags
   * in it still say which part.
   */
  answers?: "tagged" | "any";
  /** What executes the calls; default `createRunner(task)`. It is made at the first call and closed with the episode. */
  createRunner?: (task: Task) => ToolRunner;
  /** Milliseconds after which a call of any runner has failed (120 000; Python tools have 10 000 of their own). */
  callTimeout?: number;
}

/**
 * A fresh environment of a task.
 *
 * @throws OptionError for a turn limit that is not a positive integer
 * @throws EnvironmentError from `reset` and `step` when called out of order
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * const environment = createEnvironment(task);
 * environment.reset().tools.length === task.tools.length; // → true
 * const { done } = await environment.step("<answer>I do not know.</answer>");
 * done; // → true
 * ```
 */
export function createEnvironment(task: Task, options: EnvironmentOptions = {}): Environment<EpisodeScore> {
  const {
    maxTurns = 10,
    malformed = "observe",
    answers = "tagged",
    callTimeout = callLimits.timeout,
  } = options;
  if (!Number.isInteger(maxTurns) || maxTurns < 1)
    throw new OptionError(`createEnvironment: maxTurns must be a positive integer, got ${maxTurns}`);
  if (!(callTimeout > 0 && callTimeout <= maxTimeout))
    throw new OptionError(
      `createEnvironment: callTimeout must be above 0 and at most ${maxTimeout} ms, got ${callTimeout}`,
    );
  let state: "new" | "running" | "stepping" | "done" = "new";
  let run: ToolRunner | undefined;
  let numTurns = 0;
  let closed = false;
  const executed: { call: ToolCall; output: string }[] = [];
  let reply: string | undefined;
  let before: string | undefined;

  return {
    taskId: task.id,
    replayed: task.setup.kind === "ftrl" && task.setup.codes === undefined,
    reset() {
      if (state !== "new")
        throw new EnvironmentError(
          `environment of ${task.id} was already reset: it is single-use, call createEnvironment(task) again`,
        );
      state = "running";
      return { messages: structuredClone(task.messages), tools: structuredClone(task.tools) };
    },
    async step(assistant, { signal } = {}) {
      if (state !== "running")
        throw new EnvironmentError(`environment of ${task.id} can not step: ${hints[state]}`);
      // An aborted step leaves calls unanswered, so it ends the episode.
      state = "done";
      signal?.throwIfAborted();
      state = "stepping";
      numTurns++;
      const parsed =
        typeof assistant === "string"
          ? parseAssistant(assistant, task.tools)
          : parseMessage(assistant, task.tools);
      if (answers === "any" && parsed.blocks.length === 0 && parsed.text !== "")
        parsed.answer ??= parsed.text;
      const observations: Observation[] = [];
      const allBroken = parsed.blocks.length > 0 && parsed.calls.length === 0;
      const stopReason = stopReasonOf(parsed, allBroken && malformed === "end", numTurns >= maxTurns);
      try {
        for (const block of stopReason === "malformed" ? [] : parsed.blocks) {
          if (block.call === undefined) observations.push(malformedObservation(block.error));
          else {
            run ??= (options.createRunner ?? createRunner)(task);
            const observation = await observe(run, block.call, { signal, timeout: callTimeout });
            executed.push({ call: block.call, output: observation.content });
            observations.push({
              ...observation,
              ...(block.call.id === undefined ? {} : { callId: block.call.id }),
            });
          }
        }
      } finally {
        state = "done";
      }
      if (stopReason === undefined && !closed) state = "running";
      if (parsed.blocks.length === 0) reply = parsed.answer ?? parsed.text;
      else before = observations.at(-1)?.content;
      return {
        observations,
        messages: observations.map(toolMessage),
        parsed,
        done: stopReason !== undefined,
        terminated: stopReason !== undefined && stopReason !== "turn_limit",
        truncated: stopReason === "turn_limit",
        stopReason,
      };
    },
    score: () => scoreEpisode(task, { calls: executed, reply, before }),
    outcome() {
      return outcomeOf(this.score());
    },
    async close() {
      state = "done";
      closed = true;
      await run?.close?.();
    },
  };
}

/** Longest time that a timer of Node can wait, in milliseconds. */
const maxTimeout = 2 ** 31 - 1;

const hints = {
  new: "call reset() first",
  stepping: "the last step has not returned; await it",
  done: "the episode has ended: call createEnvironment(task)",
} as const;

/** An observation as the chat format has it. */
export function toolMessage({ name, content, callId }: Observation): Message {
  return { role: "tool", name, content, ...(callId === undefined ? {} : { tool_call_id: callId }) };
}

function stopReasonOf(
  parsed: ParsedAssistant,
  endsMalformed: boolean,
  isLast: boolean,
): StopReason | undefined {
  if (endsMalformed) return "malformed";
  if (parsed.blocks.length === 0) return parsed.answer === undefined ? "no_call" : "answer";
  return isLast ? "turn_limit" : undefined;
}

function malformedObservation({ message, callId }: ParseError): Observation {
  const content = spacedJson({ error: message });
  return { name: "", content, error: true, source: "simulated", ...(callId === undefined ? {} : { callId }) };
}
