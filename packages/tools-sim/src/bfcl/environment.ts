/**
 * An episode of BFCL v4 multi-turn: several user turns on one set of simulators. In each turn the model is asked until it
 * gives no call; functions may be granted in a later turn; more than twenty steps in a turn end the run, and the task is
 * lost. Source: Berkeley Function-Calling Leaderboard v4, multi-turn (Apache-2.0), as described in its documents.
 *
 * Two ways to answer: function calling (Hermes text or `tool_calls`; no system message), and prompting, where a system
 * message lists the functions and calls are written as a Python list, `[f(a=1), g(b='x')]`.
 */
import { type Environment, type StepResult, toolMessage } from "../environment.ts";
import { EnvironmentError, OptionError } from "../errors.ts";
import { type ParsedAssistant, parseAssistant, parseMessage } from "../parser.ts";
import { type ParsedPythonBlock, parsePythonCalls } from "../python/calls.ts";
import type { PyCall, PyExpression } from "../python/expression.ts";
import { JsonTextError, loads } from "../python/json.ts";
import type { PyValue } from "../python/values.ts";
import type { Observation } from "../tools.ts";
import type { Json, Message, ToolCall, ToolDefinition } from "../types.ts";
import type { BfclResources, BfclTask } from "./load.ts";
import { BfclMachine } from "./machine.ts";
import { type BfclScore, scoreBfcl } from "./score.ts";

/** Why an episode ended: every turn was answered, or a turn took too many steps. */
export type BfclStopReason = "completed" | "step_limit";

/** Settings of an episode. */
export interface BfclOptions {
  /** How calls are written; default `functions`. */
  mode?: "functions" | "prompting";
  /** Steps of one user turn that are run; one more ends the episode (20, the benchmark's). */
  maxSteps?: number;
}

/** What the user says in a turn that only grants functions. */
const grantMessage = "I have updated some more functions you can choose from. What about now?";

/**
 * A fresh episode of a task.
 *
 * @throws OptionError for a step limit that is no positive whole number
 * @example
 * ```ts
 * const environment = createBfclEnvironment(task, resources);
 * const { messages, tools } = environment.reset();
 * const { messages: answers, done } = await environment.step(text);
 * ```
 */
export function createBfclEnvironment(
  task: BfclTask,
  resources: BfclResources,
  options: BfclOptions = {},
): Environment<BfclScore, BfclStopReason> {
  const { mode = "functions", maxSteps = 20 } = options;
  if (!Number.isInteger(maxSteps) || maxSteps < 1) {
    throw new OptionError(`createBfclEnvironment: maxSteps must be a positive whole number, got ${maxSteps}`);
  }
  let state: "new" | "running" | "done" = "new";
  let machine: BfclMachine;
  let turn = 0;
  /** Steps of each turn so far, each the calls of one reply. */
  const steps: PyCall[][][] = [[]];

  const offered = (): ToolDefinition[] => {
    const hidden = new Set([...task.granted].flatMap(([from, names]) => (from > turn ? names : [])));
    return task.classes.flatMap((name) =>
      [...(resources.functions.get(name)?.values() ?? [])]
        .filter(({ signature }) => !hidden.has(signature.name))
        .map(({ definition }) => structuredClone(definition)),
    );
  };
  const userMessage = (): Message => ({ role: "user", content: task.turns[turn] ?? grantMessage });

  return {
    taskId: task.id,
    replayed: false,
    reset() {
      if (state !== "new") {
        throw new EnvironmentError(
          `environment of ${task.id} was already reset: it is single-use, call createBfclEnvironment again`,
        );
      }
      state = "running";
      machine = new BfclMachine(task, resources);
      const tools = offered();
      const messages = [userMessage()];
      if (mode === "prompting") messages.unshift({ role: "system", content: systemText(tools) });
      return { messages, tools };
    },
    async step(assistant) {
      if (state !== "running") {
        const hint =
          state === "new" ? "call reset() first" : "the episode has ended: call createBfclEnvironment";
        throw new EnvironmentError(`environment of ${task.id} can not step: ${hint}`);
      }
      const { parsed, blocks } = read(assistant, mode, offered());
      const observations = blocks.map(({ call, id, problem }): Observation => {
        const content = call ? machine.execute(call) : `Error during execution: ${problem}`;
        const error = content.startsWith("Error during execution") || content.startsWith('{"error":');
        const name = call?.name ?? "";
        return { name, content, error, source: "simulated", ...(id === undefined ? {} : { callId: id }) };
      });
      const calls = blocks.flatMap(({ call }) => (call === undefined ? [] : [call]));
      const result = (more: Partial<StepResult<BfclStopReason>> = {}): StepResult<BfclStopReason> => ({
        observations,
        messages: observations.map(toolMessage),
        parsed,
        done: more.stopReason !== undefined,
        terminated: more.stopReason === "completed",
        truncated: more.stopReason === "step_limit",
        ...more,
      });
      if (calls.length > 0) {
        steps[turn].push(calls);
        if (steps[turn].length <= maxSteps) return result();
        state = "done";
        return result({ stopReason: "step_limit" });
      }
      // A reply without a call that can be read ends the turn.
      if (turn + 1 === task.turns.length) {
        state = "done";
        return result({ messages: [], stopReason: "completed" });
      }
      turn++;
      steps.push([]);
      const tools = task.granted.has(turn) ? offered() : undefined;
      const messages = [userMessage()];
      if (tools && mode === "prompting") messages.unshift({ role: "system", content: systemText(tools) });
      return result({ observations: [], messages, tools });
    },
    score() {
      // NOTE: an episode that was cut has fewer turns than the truth, or one turn too long; both count as wrong.
      const cut = steps.at(-1)?.length === maxSteps + 1;
      return scoreBfcl(task, resources, cut ? steps.slice(0, -1) : steps);
    },
    outcome() {
      const { correct } = this.score();
      return { success: correct, value: correct ? 1 : 0 };
    },
    async close() {
      // Nothing is held outside this process.
    },
  };
}

/** A call, or why a piece of the reply is none. */
type Block = { id?: string } & (
  | { call: PyCall; problem?: undefined }
  | { call?: undefined; problem: string }
);

function read(
  assistant: string | Message,
  mode: "functions" | "prompting",
  tools: readonly ToolDefinition[],
): { parsed: ParsedAssistant; blocks: Block[] } {
  const parsed =
    typeof assistant === "string" ? parseAssistant(assistant, tools) : parseMessage(assistant, tools);
  if (mode === "functions") {
    const blocks = parsed.blocks.map(
      (block): Block =>
        block.call === undefined
          ? { problem: block.error.message, id: block.error.callId }
          : { call: toPython(block.call), id: block.call.id },
    );
    return { parsed, blocks };
  }
  const blocks = parsePythonCalls(parsed.text).blocks.map(
    (block: ParsedPythonBlock): Block =>
      block.call === undefined ? { problem: block.error.message } : { call: block.call },
  );
  return { parsed, blocks };
}

/** A JSON call as a Python one; the arguments' own text, where known, tells int from float. */
function toPython({ function: { name, arguments: args, argumentsText } }: ToolCall): PyCall {
  const written = argumentsText === undefined ? undefined : readDict(argumentsText);
  const entries =
    written ?? Object.entries(args).map(([key, value]): [string, PyValue] => [key, fromJson(value)]);
  const named = entries.map(([key, value]) => ({
    name: key,
    value: { kind: "value", value } satisfies PyExpression,
  }));
  return { name, positional: [], named };
}

function readDict(text: string): [string, PyValue][] | undefined {
  try {
    const value = loads(text);
    return value instanceof Map ? [...value].map(([key, entry]) => [String(key), entry]) : undefined;
  } catch (error) {
    if (error instanceof JsonTextError) return undefined;
    throw error;
  }
}

function fromJson(value: Json): PyValue {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.entries(value).map(([key, entry]) => [key, fromJson(entry)]));
}

function systemText(tools: readonly ToolDefinition[]): string {
  const functions = tools.map((tool) => JSON.stringify(tool.function)).join("\n");
  return `You act for the user by calling functions. To call some, answer with nothing but a list of calls in Python's syntax, for example [first(a=1), second(b='x')]. You are given their results and may call again. When the request is fulfilled, or cannot be with these functions, answer in plain words instead. The functions, one JSON object a line:\n${functions}`;
}
