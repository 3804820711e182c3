/**
 * Teacher episodes: a policy with the same tools as the one that will learn from it, playing a task in its environment.
 *
 * The prompt follows arXiv 2606.16215 (appendix on trace generation) in our words: schemas in a `<tools>` block, calls as
 * JSON in `<tool_call>` tags (the Hermes convention), only the final answer in `<answer>` tags.
 */
import type { Environment } from "../environment.ts";
import { type EpisodeResult, type EpisodeSource, type Policy, runEpisode } from "../episodes.ts";
import { EnvironmentError } from "../errors.ts";
import { assistantText, type ParsedAssistant } from "../parser.ts";
import type { SuiteTask } from "../suite.ts";
import type { Observation } from "../tools.ts";
import type { Message, Task, ToolDefinition } from "../types.ts";

/** A teacher: who it is, and how it answers. */
export interface Teacher {
  /** `scripted`, or the name of a model. */
  name: string;
  policy: Policy;
  /** The teacher wrote these episodes itself: its chunks are labelled, and its prompt is the environment's. */
  scripted?: boolean;
}

/** One turn as it was played. */
export interface PlayedTurn {
  parsed: ParsedAssistant;
  observations: Observation[];
}

/** An episode as it was played; `turns` include the last. */
export interface PlayedEpisode {
  result: EpisodeResult;
  turns: PlayedTurn[];
}

/**
 * The conversation that a teacher is shown at the start.
 *
 * @example
 * ```ts
 * teacherMessages("Who is the mayor?", [])[0].role; // → "system"
 * ```
 */
export function teacherMessages(question: string, tools: readonly ToolDefinition[]): Message[] {
  const system = [
    "You solve tasks with tools. Their schemas, one JSON object a line:",
    "<tools>",
    ...tools.map((tool) => JSON.stringify(tool)),
    "</tools>",
    "To call a tool, write a JSON object with its name and its arguments inside tags:",
    '<tool_call>{"name": "the tool", "arguments": {"key": "value"}}</tool_call>',
    "Several calls may stand one after the other. Their results follow in <tool_response> tags.",
  ];
  const user = [
    "Answer the question below. Everything you state must come from calling the tools, not from what you know.",
    "If a call fails, correct it and go on until you have the answer.",
    "When you have it, write nothing but the final answer inside <answer> and </answer> tags.",
    "",
    `Question: ${question}`,
  ];
  return [
    { role: "system", content: system.join("\n") },
    { role: "user", content: user.join("\n") },
  ];
}

/**
 * A policy that is shown the teacher's prompt in place of the environment's, and results in `<tool_response>` tags: a
 * server that knows nothing of tools can teach.
 */
function prompted(policy: Policy, task: Task): Policy {
  return (context) => {
    const first = context.messages.findIndex(({ role }) => role === "assistant");
    const played = first < 0 ? [] : context.messages.slice(first);
    const messages = [...teacherMessages(task.question, context.tools), ...inText(played)];
    return policy({ ...context, messages, tools: [] });
  };
}

/** Results of one turn as one user message. */
function inText(messages: readonly Message[]): Message[] {
  const texts: Message[] = [];
  for (const message of messages) {
    if (message.role !== "tool") {
      texts.push(message);
      continue;
    }
    const content = `<tool_response>\n${message.content}\n</tool_response>`;
    const last = texts.at(-1);
    if (last?.role === "user")
      texts[texts.length - 1] = { role: "user", content: `${last.content}\n${content}` };
    else texts.push({ role: "user", content });
  }
  return texts;
}

/**
 * The teacher that needs no model: plays the trace that its task came with.
 *
 * @example
 * ```ts
 * scriptedTeacher(openSuite("ftrl-like", { count: 1 }).tasks).name; // → "scripted"
 * ```
 */
export function scriptedTeacher(tasks: readonly SuiteTask[]): Teacher {
  const traces = new Map(tasks.map(({ taskId, task }) => [taskId, task?.trace]));
  return {
    name: "scripted",
    scripted: true,
    policy: async ({ taskId, messages }) => {
      const trace = traces.get(taskId);
      if (trace === undefined) throw new EnvironmentError(`task ${taskId} comes without a trace to play`);
      const turn = messages.filter(({ role }) => role === "assistant").length;
      return assistantText(trace.turns[turn] ?? trace.final);
    },
  };
}

/**
 * Plays one task with a teacher.
 *
 * @throws the signal's reason if it is aborted
 * @example
 * ```ts
 * const { tasks } = openSuite("ftrl-like", { count: 1 });
 * const [{ task }] = tasks;
 * if (!task) throw new Error("This suite's tasks come whole.");
 * const { result } = await playTeacher({ ...tasks[0], task }, scriptedTeacher(tasks));
 * result.outcome.success; // → true
 * ```
 */
export async function playTeacher(
  source: EpisodeSource & { task: Task },
  teacher: Teacher,
  signal?: AbortSignal,
): Promise<PlayedEpisode> {
  const turns: PlayedTurn[] = [];
  const recorded: EpisodeSource = {
    taskId: source.taskId,
    create: () => recording(source.create(), turns),
  };
  const policy = teacher.scripted ? teacher.policy : prompted(teacher.policy, source.task);
  return { result: await runEpisode(recorded, policy, { signal }), turns };
}

/** The environment, noting what each step gave. */
function recording<S>(environment: Environment<S, string>, turns: PlayedTurn[]): Environment<S, string> {
  return {
    taskId: environment.taskId,
    replayed: environment.replayed,
    reset: () => environment.reset(),
    step: async (assistant, options) => {
      const step = await environment.step(assistant, options);
      turns.push({ parsed: step.parsed, observations: step.observations });
      return step;
    },
    score: () => environment.score(),
    outcome: () => environment.outcome(),
    close: () => environment.close(),
  };
}
