/**
 * `--help` texts, generated from the option tables so that they cannot go stale. Lines are at most 80 columns wide.
 */
import type { Option, OptionTable, Positional } from "./options.ts";

const columns = 80;
const indent = 4;

/** A command as `--help` and the dispatcher see it. */
export interface Command {
  /** One sentence for the program's list. */
  readonly summary: string;
  /** A word that follows the command's name, e.g. the environment of `pact play ftrl-like`; or several, in order. */
  readonly positional?: Positional | readonly Positional[];
  /** Paragraphs for the command's own help. */
  readonly description: readonly string[];
  readonly options: OptionTable;
  /** Command lines worth copying, with what they do. */
  readonly examples: readonly (readonly [command: string, effect: string])[];
  /** Runs the command; resolves to the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** The help of the whole program: its commands in the order of the table. */
export function programHelp(commands: Readonly<Record<string, Pick<Command, "summary">>>): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(
    ([name, command]) => `  ${name.padEnd(width)}  ${command.summary}`,
  );
  return [
    "pact: Privileged Trace Co-Training of tool-use agents, on a tensor engine of its own.",
    "",
    "Usage: pact <command> [options]",
    "",
    "Commands",
    ...lines,
    "",
    "Options",
    "  --help     show this help; after a command, that command's options",
    "  --version  print the version",
    "",
    "Exit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl-C",
    "(pressed once, the work is saved; a second press ends the program at once).",
    "PACT_DEBUG=1 adds the stack to an error.",
    "",
  ].join("\n");
}

/** The help of one command: description, options with types, ranges, defaults and units, examples. */
export function commandHelp(name: string, command: Omit<Command, "run">): string {
  const words = positionalsOf(command);
  const word = words.map((positional) => ` <${positional.name}>`).join("");
  const lines = [`pact ${name}: ${command.summary}`, "", `Usage: pact ${name}${word} [options]`, ""];
  for (const paragraph of command.description) lines.push(...wrap(paragraph, 0), "");
  for (const { name: own, help, choices } of words)
    lines.push(
      `<${own}>`,
      ...wrap(`${sentenceOf(help)}${choices ? `: ${choices.join(", ")}` : ""}.`, indent),
      "",
    );
  lines.push("Options");
  for (const [option, spec] of Object.entries(command.options))
    lines.push(`  ${signature(option, spec)}`, ...wrap(explain(spec), indent + 2));
  if (command.examples.length > 0) lines.push("", "Examples");
  for (const [line, effect] of command.examples) lines.push(`  ${line}`, ...wrap(effect, indent + 2));
  return `${lines.join("\n")}\n`;
}

/** The words that follow a command's name, in order. */
export function positionalsOf({ positional = [] }: Pick<Command, "positional">): readonly Positional[] {
  return [positional].flat();
}

function signature(name: string, option: Option): string {
  if (option.kind === "flag") return `--${name}`;
  if (option.kind === "choice") return `--${name} <${option.choices.join("|")}>`;
  if (option.kind === "path" || option.kind === "number") return `--${name} <${option.kind}>`;
  return `--${name} <${option.unit ?? "number"}>`;
}

function sentenceOf(help: string): string {
  return `${help[0].toUpperCase()}${help.slice(1)}`;
}

function explain(option: Option): string {
  const sentence = sentenceOf(option.help);
  if (option.kind === "flag") return `${sentence}.`;
  if (option.kind === "choice") return `${sentence}. Default: ${option.default}.`;
  if (option.kind === "list") return `${sentence}. May be given several times.`;
  if (option.kind === "path" || option.kind === "text") return `${sentence}. Default: ${option.defaultText}.`;
  const kind = option.kind === "number" ? "Number" : "Whole number";
  const usual = option.default ?? option.defaultText;
  return `${sentence}. ${kind} from ${option.min} to ${option.max}. Default: ${usual}.`;
}

/** Breaks a paragraph at spaces so that no line is wider than `width`. */
export function wrap(text: string, margin: number, width = columns): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && margin + line.length + 1 + word.length > width) {
      lines.push(" ".repeat(margin) + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(" ".repeat(margin) + line);
  return lines;
}
