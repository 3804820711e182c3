/**
 * `pact play <env>`: an episode by hand, line by line. A line is a call in Python's syntax (several separated by commas),
 * an answer, or raw text as a model would write it (it begins with `<`); lines that begin with a slash are commands.
 */
import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { type Environment, type Message, openSuite, parseReply, type ToolDefinition } from "@pact/tools-sim";
import { endingLines, messageLines, toolLines } from "./episode-view.ts";
import { interruptedExitCode } from "./interrupt.ts";
import { parseOptions, takePositional, UsageError } from "./options.ts";
import { playOptions, playPositional } from "./play-options.ts";
import { painter, printable } from "./terminal.ts";

/** Where a person sits; tests bring their own. */
export interface Console {
  readonly input: Readable;
  readonly output: Writable & { readonly isTTY?: boolean };
}

const commands = [
  "f(a=1), g(b='x')  call tools",
  "/answer text      give the final answer",
  "/say text         answer in words, without a call",
  "/tools            list the tools",
  "/help             this list",
  "/quit             leave",
  "<tool_call>…       text that begins with < is sent as a model would write it",
].join("\n");

/** Runs the command; resolves to the exit code. */
export async function play(
  args: readonly string[],
  console: Console = { input: process.stdin, output: process.stdout },
): Promise<number> {
  const { word, rest } = takePositional("pact play", playPositional, args);
  const options = parseOptions("pact play", playOptions, rest);
  if (word === undefined) {
    throw new UsageError(
      `pact play: no environment given; there are ${playPositional.choices.join(", ")}. See \`pact play --help\`.`,
    );
  }
  const { tasks } = openSuite(word, {
    data: options.data,
    ...(word.endsWith("-like") ? { seed: options.seed, count: options.task } : {}),
  });
  if (options.task > tasks.length) {
    throw new UsageError(`pact play: --task must be at most ${tasks.length}, received ${options.task}.`);
  }
  const task = tasks[options.task - 1];
  const environment = task.create();
  try {
    return await episode(environment, `${task.taskId} (${task.category})`, console);
  } finally {
    await environment.close();
  }
}

async function episode(
  environment: Environment<unknown, string>,
  title: string,
  { input, output }: Console,
): Promise<number> {
  const paint = painter(output);
  const print = (text: string) => void output.write(`${text}\n`);
  const show = (messages: readonly Message[]) => {
    for (const message of messages) print(messageLines(message, paint));
  };
  let { messages, tools } = environment.reset();
  print(paint("bold", printable(title)));
  const lines = createInterface({ input, output, terminal: output.isTTY === true });
  let interrupted = false;
  lines.on("SIGINT", () => {
    interrupted = true;
    lines.close();
  });
  show(messages);
  print(toolLines(tools, paint));
  print(paint("dim", "Type /help for the commands."));
  lines.setPrompt("> ");
  lines.prompt();
  try {
    for await (const line of lines) {
      const text = line.trim();
      if (text === "/quit") break;
      if (text === "/help") print(commands);
      else if (text === "/tools") print(toolLines(tools, paint));
      else if (/^\/(?!answer\b|say\b)/.test(text))
        print(paint("bad", `unknown command ${printable(text)}; /help lists them`));
      else if (text !== "") {
        const turn = turnOf(text, tools);
        if ("problem" in turn) {
          print(paint("bad", printable(turn.problem)));
          lines.prompt();
          continue;
        }
        const step = await environment.step(turn.reply);
        messages = step.messages;
        if (step.tools) tools = step.tools;
        show(messages);
        if (step.tools) print(toolLines(tools, paint));
        if (step.done) {
          print(endingLines(environment, step.stopReason ?? "", paint));
          return 0;
        }
      }
      lines.prompt();
    }
  } finally {
    lines.close();
  }
  print(endingLines(environment, "left", paint));
  return interrupted ? interruptedExitCode : 0;
}

/** What the line means: a turn, or why it is none. A slip of the finger must not end an episode. */
function turnOf(
  line: string,
  tools: readonly ToolDefinition[],
): { reply: string | Message } | { problem: string } {
  const command = /^\/(answer|say)\b\s*(.*)$/.exec(line);
  if (command) return { reply: command[1] === "answer" ? `<answer>${command[2]}</answer>` : command[2] };
  if (line.startsWith("<")) return { reply: line };
  const { calls, errors } = parseReply(line, { format: "python", tools });
  if (errors.length > 0)
    return { problem: `not a call: ${errors[0].message}. /help shows how calls are written.` };
  if (calls.length === 0) {
    return {
      problem: `not a call: ${line.slice(0, 60)}. To answer in words: /say …; /help lists the commands.`,
    };
  }
  return { reply: { role: "assistant", content: "", tool_calls: calls } };
}
