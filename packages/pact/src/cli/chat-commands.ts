/** The commands of `pact chat`: lines that begin with a slash. */
import { writeFileSync } from "node:fs";
import type { ChatSession } from "./chat-session.ts";
import type { ChatView } from "./chat-view.ts";
import { nearest } from "./options.ts";

/** What a command works on. */
export interface CommandContext {
  readonly session: ChatSession;
  readonly view: ChatView;
  /** Name of the model, for `/save`. */
  readonly model: string;
  readonly signal: AbortSignal;
}

const commands: readonly (readonly [name: string, argument: string, effect: string])[] = [
  ["reset", "", "begin the conversation anew, and the task if there is one"],
  ["system", "text", "change the system message; without a text, remove it"],
  ["retry", "", "ask again for the last reply, with other random numbers"],
  ["save", "file", "write the conversation as JSON to a new file"],
  ["tools", "", "list the tools"],
  ["help", "", "this list"],
  ["quit", "", "leave"],
];

const help = [
  ...commands.map(([name, argument, effect]) => `${`/${name} ${argument}`.padEnd(16)}${effect}`),
  `${'"""'.padEnd(16)}begins and ends a message of several lines; or end a line with \\`,
  `${"Ctrl-C".padEnd(16)}stops a reply, twice leaves`,
  "A message that begins with a slash needs a space before it.",
].join("\n");

/** Runs a command line; resolves to whether it was the last. */
export async function runCommand(line: string, context: CommandContext): Promise<"go on" | "quit"> {
  const { session, view, signal } = context;
  const [, name, rest] = /^\/(\S*)\s*([\s\S]*)$/.exec(line) ?? [];
  const argument = rest.trim();
  if (name === "quit") return "quit";
  if (name === "help") view.note(help);
  else if (name === "tools") {
    if (session.conversation.tools.length > 0) view.tools(session.conversation.tools);
    else view.note("no tools");
  } else if (name === "retry") await session.retry(signal);
  else if (name === "system") {
    session.setSystem(argument);
    view.note(argument === "" ? "no system message from now on" : "system message set");
  } else if (name === "reset") {
    await session.begin(signal);
    if (session.conversation.messages.every(({ role }) => role === "system")) view.note("begun anew");
  } else if (name === "save") save(argument, context);
  else {
    const guess = nearest(
      name,
      commands.map(([known]) => known),
    );
    const hint = guess === undefined ? "." : `; did you mean /${guess}?`;
    view.problem(`unknown command /${name.slice(0, 40)}${hint} /help lists them.`);
  }
  return "go on";
}

function save(path: string, { session, view, model }: CommandContext): void {
  if (path === "") {
    view.problem("/save needs the name of a file: /save talk.json");
    return;
  }
  const { messages, tools } = session.conversation;
  const plain = messages.map(({ ids: _, ...message }) => message);
  const text = `${JSON.stringify({ model, tools, messages: plain }, null, 2)}\n`;
  try {
    writeFileSync(path, text, { flag: "wx" });
    view.note(`${messages.length} messages saved in ${path}`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    view.problem(
      code === "EEXIST"
        ? `${path} is there already; give another name`
        : `${path} can not be written: ${message}`,
    );
  }
}
