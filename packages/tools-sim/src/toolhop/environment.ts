/**
 * An episode of ToolHop (arXiv 2501.02506): one question, at most nine replies of the model. Three scenarios: `direct`
 * offers no tools and takes one reply; `mandatory` demands that every step and the answer come from a tool; `free` offers
 * tools without that demand. The prompts make the benchmark's demands in our words.
 */
import { createEnvironment, type Environment, type StopReason } from "../environment.ts";
import { type PythonToolOptions, pythonRunner } from "../python-tools.ts";
import { replayRunner, type ToolRunner } from "../tools.ts";
import type { Message, Task, ToolDefinition } from "../types.ts";
import type { ToolHopTask } from "./load.ts";
import { answersCorrectly, originalMatch, type ToolHopScore } from "./score.ts";

/** What the model is offered and asked for. */
export const toolHopScenarios = ["direct", "mandatory", "free"] as const;
/** One of `toolHopScenarios`. */
export type ToolHopScenario = (typeof toolHopScenarios)[number];

/** Options of an episode. */
export interface ToolHopOptions {
  /** Default `mandatory`; which one PACT's tables used is not stated. */
  scenario?: ToolHopScenario;
  /** Replies of the model before the episode is cut (9, the benchmark's); `direct` has one. */
  maxTurns?: number;
  /** `text` (default): results as FTRL shows them; `json`: as the original release, strings in quotes. */
  results?: "text" | "json";
  /** What executes the sources; default a sandbox with a limit of 10 seconds a call. */
  createSandbox?: PythonToolOptions["createSandbox"];
  /** Milliseconds after which a call of any runner has failed (120 000). */
  callTimeout?: number;
}

/**
 * A fresh episode of a task.
 *
 * @throws OptionError for a turn limit or call timeout out of range
 * @throws EnvironmentError from `reset` and `step` when called out of order
 * @example
 * ```ts
 * const environment = createToolHopEnvironment(task, { scenario: "free" });
 * const { messages, tools } = environment.reset();
 * const { messages: answers, done } = await environment.step(text);
 * ```
 */
export function createToolHopEnvironment(
  task: ToolHopTask,
  options: ToolHopOptions = {},
): Environment<ToolHopScore, StopReason> {
  const { scenario = "mandatory", maxTurns = scenario === "direct" ? 1 : 9, callTimeout } = options;
  const tools = scenario === "direct" ? [] : task.hops.map(({ tool }) => tool);
  const inner = createEnvironment(asTask(task, scenario, tools), {
    maxTurns,
    malformed: "end",
    ...(callTimeout === undefined ? {} : { callTimeout }),
    createRunner: () => createToolHopRunner(task, scenario === "direct" ? {} : task.codes, options),
  });
  const messages: Message[] = [];
  let calls = 0;
  let callErrors = 0;

  return {
    taskId: inner.taskId,
    replayed: task.codes === undefined,
    reset: () => inner.reset(),
    async step(assistant, stepOptions) {
      const result = await inner.step(assistant, stepOptions);
      messages.push(
        typeof assistant === "string" ? { role: "assistant", content: assistant } : assistant,
        // A reply without tools has no feedback, whatever it calls.
        ...(scenario === "direct" ? [] : result.messages),
      );
      calls += result.observations.length;
      callErrors += result.observations.filter(({ error }) => error).length;
      return result;
    },
    score: () => ({
      correct: answersCorrectly(messages, task.answer),
      correctOriginal: answersCorrectly(messages, task.answer, originalMatch),
      calls,
      callErrors,
    }),
    outcome() {
      const { correct } = this.score();
      return { success: correct, value: correct ? 1 : 0 };
    },
    close: () => inner.close(),
  };
}

/**
 * A runner of a task's tools: executes them or, without sources, replays.
 *
 * NOTE: recorded outputs are texts, so replay with `results: "json"` quotes every one that is no list or object.
 */
function createToolHopRunner(
  task: ToolHopTask,
  codes: Record<string, string> | undefined,
  { results = "text", createSandbox }: ToolHopOptions,
): ToolRunner {
  if (codes !== undefined) return pythonRunner(codes, { results, createSandbox });
  const run = replayRunner(
    task.hops.map(({ tool }) => tool),
    task.calls,
  );
  if (results === "text") return run;
  return (call) => {
    const observation = run(call);
    return observation.error ? observation : { ...observation, content: quoted(observation.content) };
  };
}

function quoted(text: string): string {
  if (!/^[[{]/.test(text)) return JSON.stringify(text);
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

/** The task in the shape of `createEnvironment`; its answer is scored here, so it has no goldens. */
function asTask(task: ToolHopTask, scenario: ToolHopScenario, tools: ToolDefinition[]): Task {
  return {
    id: `toolhop/${scenario}/${task.id}`,
    category: "multi_hop",
    question: task.question,
    messages: [{ role: "user", content: promptOf(task.question, scenario) }],
    tools,
    unsolved: {},
    answer: task.answer,
    setup: { kind: "ftrl", calls: [] },
  };
}

function promptOf(question: string, scenario: ToolHopScenario): string {
  const task = {
    direct: "Answer the question below with a short answer.",
    mandatory:
      "Answer the question below with the help of the given tools and end with a short answer. Call a tool at every step and use nothing that you know yourself; the answer too must have come from a tool.",
    free: "Answer the question below and end with a short answer. You may use the given tools.",
  }[scenario];
  return `${task}
Write a date as YYYY-MM-DD, a person's name as first name and last name, and a number in digits without leading zeros and with nothing beside it.
Give the answer, as short as it can be, in this form: <answer>the answer</answer>
Question: ${question}`;
}
