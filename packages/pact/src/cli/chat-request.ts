/** What the command line of `pact chat` asks for, checked as far as it goes without a model. */
import { openSuite } from "@pact/tools-sim";
import { type ChatOptions, chatOptions } from "./chat-options.ts";
import type { ChatTask } from "./chat-session.ts";
import { parseOptions, UsageError } from "./options.ts";

/** A checked command line. */
export interface ChatRequest {
  readonly options: ChatOptions;
  /** The task for a model of ours or another: they are asked, and may answer, as they are trained. */
  readonly task?: (isNative: boolean) => ChatTask;
}

/**
 * Reads the arguments after `chat`.
 *
 * @throws UsageError for options that are wrong or do not go together; errors of `openSuite`
 * @example readChatRequest(["--env", "ftrl-like"]).task?.title
 */
export function readChatRequest(args: readonly string[]): ChatRequest {
  const options = parseOptions("pact chat", chatOptions, args);
  const { env, data, task } = options;
  if (env === "none") {
    for (const [name, value] of Object.entries({ data, task }))
      if (value !== undefined)
        throw new UsageError(`pact chat: --${name} is for --env, and there is none. Add --env ftrl-like.`);
  }
  if (options.stop.includes(""))
    throw new UsageError("pact chat: --stop needs a text, received an empty one.");
  return { options, ...(env !== "none" && { task: taskOf(env, options) }) };
}

function taskOf(env: string, { data, seed, task: wanted = "1" }: ChatOptions): ChatRequest["task"] {
  const number = /^[1-9][0-9]{0,5}$/.test(wanted) ? Number(wanted) : undefined;
  const isGenerated = env.endsWith("-like");
  const { tasks } = openSuite(env, { data, ...(isGenerated && { seed, count: number ?? 100 }) });
  const found = number === undefined ? tasks.find(({ taskId }) => taskId === wanted) : tasks[number - 1];
  if (found === undefined)
    throw new UsageError(
      `pact chat: ${env} has no task ${JSON.stringify(wanted.slice(0, 60))}; there are ${tasks.length}, for example ${tasks[0].taskId}. ` +
        "Give --task an id, or a number from 1.",
    );
  const { taskId, category, task } = found;
  return (isNative) => ({
    title: `${taskId} (${category})`,
    create: () => found.create({ answers: isNative ? "tagged" : "any" }),
    ...(isNative && task && { messages: [{ role: "user", content: task.question }] }),
  });
}
