/**
 * The `pact` command: finds the command, answers `--help` and `--version`, turns errors into one clear line and an
 * exit code. Commands are loaded when they run, so that help is instant.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chatHelp } from "./cli/chat-options.ts";
import { compareHelp } from "./cli/compare-options.ts";
import { evalHelp } from "./cli/eval-options.ts";
import { explainHelp } from "./cli/explain-options.ts";
import { type Command, commandHelp, positionalsOf, programHelp } from "./cli/help.ts";
import { mergeHelp } from "./cli/merge-options.ts";
import { helpOption, nearest, parseOptions, takePositional, UsageError } from "./cli/options.ts";
import { watchOutput } from "./cli/output.ts";
import { planHelp } from "./cli/plan-options.ts";
import { playHelp } from "./cli/play-options.ts";
import { tracesHelp } from "./cli/traces-options.ts";
import { trainHelp } from "./cli/train-options.ts";
import { viewHelp } from "./cli/view-options.ts";

/** A command whose word, like `build` in `pact traces build`, may have options and help of its own. */
interface ListedCommand extends Command {
  readonly words?: Readonly<Record<string, Omit<Command, "run">>>;
}

const commands: Readonly<Record<string, ListedCommand>> = {
  train: {
    ...trainHelp,
    run: async (args) => (await import("./cli/train.ts")).train(args),
  },
  eval: {
    ...evalHelp,
    run: async (args) => (await import("./cli/eval.ts")).evaluateModel(args),
  },
  compare: {
    ...compareHelp,
    run: async (args) => (await import("./cli/compare.ts")).compare(args),
  },
  plan: {
    ...planHelp,
    run: async (args) => (await import("./cli/plan.ts")).plan(args),
  },
  view: {
    ...viewHelp,
    run: async (args) => (await import("./cli/view.ts")).view(args),
  },
  explain: {
    ...explainHelp,
    run: async (args) => (await import("./cli/explain.ts")).explain(args),
  },
  merge: {
    ...mergeHelp,
    run: async (args) => (await import("./cli/merge.ts")).merge(args),
  },
  chat: {
    ...chatHelp,
    run: async (args) => (await import("./cli/chat.ts")).chat(args),
  },
  play: {
    ...playHelp,
    run: async (args) => (await import("./cli/play.ts")).play(args),
  },
  traces: {
    ...tracesHelp,
    run: async (args) => (await import("./cli/traces.ts")).traces(args),
  },
  doctor: {
    summary: "print the adapter and driver that compute here, and what is missing",
    description: [
      "Prints the WebGPU adapter, its driver (hardware, lavapipe, swiftshader or none), features and limits, what is " +
        "missing and the command that gets it. Without an adapter everything runs on the cpu device.",
      "With --tune it measures the variants of the heavy kernels and writes the fastest into the table that pact train and chat read, " +
        "PACT_KERNELS=<file> or kernels.json in the folder pact of your settings (PACT_KERNELS=none: no table). Runs note the " +
        "variants they were computed with and go on with those.",
    ],
    options: {
      json: { kind: "flag", help: "print the same as one line of JSON" },
      tune: { kind: "flag", help: "measure the kernels' variants and use the fastest from now on" },
      help: helpOption,
    },
    examples: [["pact doctor --tune", "choose the kernels for this machine"]],
    run: async (args) => (await import("./cli/doctor.ts")).doctor([...args]),
  },
};

/** Where the program writes; tests pass their own. */
export interface Output {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

const standardOutput: Output = {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
};

/**
 * Runs the program.
 *
 * @param args what follows `pact` on the command line
 * @returns the exit code: 0 done, 1 failed (or, of the program, what it printed is lost), 2 wrong command line, 130 stopped
 *   by Ctrl-C
 * @example process.exitCode = await main(["train", "--steps", "2"]);
 */
export async function main(args: readonly string[], output: Output = standardOutput): Promise<number> {
  try {
    const [name, ...rest] = asked(args);
    if (name === "--help") {
      output.out(programHelp(commands));
      return 0;
    }
    if (name === "--version") {
      output.out(`${version()}\n`);
      return 0;
    }
    if (name === undefined || !Object.hasOwn(commands, name)) throw new UsageError(unknownCommand(name));
    const command = commands[name];
    const { word, options } = takeWords(name, command, rest);
    const own = word === undefined ? undefined : command.words?.[word];
    const title = own === undefined ? name : `${name} ${word}`;
    const shown = own ?? command;
    const { help } = parseOptions(`pact ${title}`, { ...shown.options, help: helpOption }, options);
    if (help) {
      output.out(commandHelp(title, shown));
      return 0;
    }
    return await command.run(rest);
  } catch (error) {
    output.error(`${describe(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** The first of a command's words, and the arguments after the last of them. */
function takeWords(name: string, command: Command, args: readonly string[]) {
  const words: (string | undefined)[] = [];
  let options = args;
  for (const positional of positionalsOf(command)) {
    const { word, rest } = takePositional(`pact ${name}`, positional, options);
    words.push(word);
    options = rest;
  }
  return { word: words[0], options };
}

/** `-h` and `help` are what people type; both mean `--help`. */
function asked(args: readonly string[]): readonly string[] {
  const plain = args.map((word) => (word === "-h" ? "--help" : word));
  return plain[0] === "help" ? [...plain.slice(1), "--help"] : plain;
}

function unknownCommand(name: string | undefined): string {
  const known = Object.keys(commands);
  if (name === undefined)
    return `pact: no command given. Commands: ${known.join(", ")}. See \`pact --help\`.`;
  const guess = nearest(name, [...known, "--help", "--version"]);
  const kind = name.startsWith("-") ? "option" : "command";
  const shown = JSON.stringify(name.slice(0, 60));
  return `pact: unknown ${kind} ${shown}.${guess === undefined ? "" : ` Did you mean ${guess}?`} See \`pact --help\`.`;
}

/** One line for a person; the stack too under PACT_DEBUG=1. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `pact: ${String(error)}`;
  if (process.env.PACT_DEBUG === "1" && !(error instanceof UsageError)) return error.stack ?? error.message;
  if (error instanceof UsageError) return error.message;
  return `pact: ${error.message.replace(/\s*\n\s*/g, " ")}`;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return String((manifest as { version?: unknown }).version);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  watchOutput(process, args.includes("--json"));
  process.exitCode = await main(args);
}
