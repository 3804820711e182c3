/**
 * An environment over tools of one's own: a conversation starts, the policy calls tools until it answers or its turns are
 * used up, and a function of the episode says how it went. Single-use, like every environment.
 */
import { type Environment, type Outcome, type StopReason, toolMessage } from "./environment.ts";
import { EnvironmentError, OptionError } from "./errors.ts";
import { spacedJson } from "./json.ts";
import { type ParsedAssistant, parseReply, type ReplyFormat } from "./parser.ts";
import { executeTool, type Tools, toolDefinitions } from "./tool.ts";
import type { Observation } from "./tools.ts";
import type { Message, ToolCall, ToolDefinition } from "./types.ts";

/** One reply of the policy and what came of it. */
export interface ToolTurn {
  parsed: ParsedAssistant;
  /** One per call, broken calls included. */
  observations: Observation[];
}

/** An episode as far as it went. */
export interface ToolEpisode {
  turns: readonly ToolTurn[];
  /** All calls that were run, with their observations, in order. */
  calls: readonly { call: ToolCall; observation: Observation }[];
  /** The `<answer>` of the last reply, or its text where it has none; undefined unless it ended the episode. */
  answer?: string;
  /** Undefined while the episode runs. */
  stopReason?: StopReason;
}

/** What makes an environment. */
export interface ToolEnvironmentOptions {
  /** Names the task. */
  id: string;
  /** How the conversation starts. */
  messages: readonly Message[];
  /** The tools; a function gives every episode fresh ones, which tools with state need. */
  tools: Tools | (() => Tools);
  /** How an episode went; by default it is a success, of value 1, if the policy ended it. */
  score?: (episode: ToolEpisode) => Outcome;
  /** Assistant turns before the episode is cut (10). */
  maxTurns?: number;
  /** How calls are written (`auto`). */
  format?: ReplyFormat;
  /** Longest wait for one call, in milliseconds (10,000). */
  timeLimitMs?: number;
}

/**
 * A fresh episode. A reply without calls ends it (`answer` with an `<answer>`, otherwise `no_call`), the last turn cuts it
 * (`turn_limit`). A step that is aborted, or closed under, rejects and the episode is over.
 *
 * @throws OptionError for a turn or time limit that is not positive
 * @throws SchemaError from `reset` for a tool that can not be used
 * @throws EnvironmentError from `reset` and `step` when called out of order
 * @example
 * ```ts
 * const environment = createToolEnvironment({ id: "sum", messages: [{ role: "user", content: "1 + 2?" }], tools: {} });
 * environment.reset();
 * const { done } = await environment.step("<answer>3</answer>");
 * done; // → true
 * ```
 */
export function createToolEnvironment(options: ToolEnvironmentOptions): Environment<Outcome> {
  const {
    id,
    messages,
    maxTurns = 10,
    format = "auto",
    timeLimitMs = 10_000,
    score = endedByPolicy,
  } = options;
  if (!Number.isInteger(maxTurns) || maxTurns < 1) {
    throw new OptionError(`createToolEnvironment: maxTurns must be a positive integer, got ${maxTurns}`);
  }
  if (!(timeLimitMs > 0 && timeLimitMs < 2 ** 31)) {
    throw new OptionError(
      `createToolEnvironment: timeLimitMs must be positive and below 2^31, got ${timeLimitMs}`,
    );
  }
  let state: "new" | "running" | "done" = "new";
  let tools: Tools = {};
  let definitions: ToolDefinition[] = [];
  const turns: ToolTurn[] = [];
  const calls: { call: ToolCall; observation: Observation }[] = [];
  let stopReason: StopReason | undefined;
  const closing = new AbortController();

  const scored = (): Outcome => {
    const last = turns.at(-1)?.parsed;
    const hasAnswer = stopReason === "answer" || stopReason === "no_call";
    const answer = hasAnswer ? (last?.answer ?? last?.text) : undefined;
    const outcome = score({ turns, calls, answer, stopReason });
    if (!(outcome.value >= 0 && outcome.value <= 1)) {
      throw new OptionError(`${id}: score must give a value from 0 to 1, got ${outcome.value}`);
    }
    return outcome;
  };

  return {
    taskId: id,
    replayed: false,
    reset() {
      if (state !== "new") {
        throw new EnvironmentError(
          `environment of ${id} was already reset: it is single-use, call createToolEnvironment again`,
        );
      }
      tools = typeof options.tools === "function" ? options.tools() : options.tools;
      definitions = toolDefinitions(tools);
      state = "running";
      return { messages: structuredClone([...messages]), tools: structuredClone(definitions) };
    },
    async step(assistant, { signal: given } = {}) {
      if (state !== "running") {
        const hint =
          state === "new" ? "call reset() first" : "the episode has ended: call createToolEnvironment";
        throw new EnvironmentError(`environment of ${id} can not step: ${hint}`);
      }
      const signal = given ? AbortSignal.any([given, closing.signal]) : closing.signal;
      const parsed = parseReply(assistant, { format, tools: definitions });
      const observations: Observation[] = [];
      // No second step while tools run: until this one is through, the episode counts as over.
      state = "done";
      for (const { call, error } of parsed.blocks) {
        signal.throwIfAborted();
        const observation = call
          ? await executeTool(tools, call, { timeLimitMs, signal })
          : brokenCall(error.message, error.callId);
        signal.throwIfAborted();
        observations.push(observation);
        if (call) calls.push({ call, observation });
      }
      turns.push({ parsed, observations });
      if (parsed.blocks.length === 0) stopReason = parsed.answer === undefined ? "no_call" : "answer";
      else if (turns.length === maxTurns) stopReason = "turn_limit";
      else state = "running";
      return {
        observations,
        messages: observations.map(toolMessage),
        parsed,
        done: stopReason !== undefined,
        terminated: stopReason === "answer" || stopReason === "no_call",
        truncated: stopReason === "turn_limit",
        stopReason,
      };
    },
    score: scored,
    outcome: scored,
    async close() {
      state = "done";
      closing.abort(new EnvironmentError(`environment of ${id} was closed`));
    },
  };
}

function endedByPolicy({ answer }: ToolEpisode): Outcome {
  return answer === undefined ? { success: false, value: 0 } : { success: true, value: 1 };
}

function brokenCall(message: string, callId: string | undefined): Observation {
  const content = spacedJson({ error: message });
  return { name: "", content, error: true, source: "simulated", ...(callId === undefined ? {} : { callId }) };
}
