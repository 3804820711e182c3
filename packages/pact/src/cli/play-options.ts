/** The options of `pact play` and its help, and nothing heavy. */
import { helpOption, type Positional } from "./options.ts";

/** The environment to play; the ids of @pact/tools-sim, spelt out so that `--help` loads nothing. */
export const playPositional = {
  name: "env",
  help: "what to play",
  choices: ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "toolhop", "bfcl"],
} as const satisfies Positional;

/** The table behind parsing and `--help` of `pact play`. */
export const playOptions = {
  data: {
    kind: "path",
    defaultText: "none",
    help: "folder with the published data; required by the published benchmarks, refused by generated families",
  },
  seed: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4294967295,
    default: 1,
    help: "seed of generated tasks",
  },
  task: {
    kind: "integer",
    unit: "number",
    min: 1,
    max: 1000000,
    default: 1,
    help: "which of the tasks, counted from 1",
  },
  help: helpOption,
} as const;

/** `pact play` for the dispatcher, without its `run`. */
export const playHelp = {
  summary: "play one episode of an environment by hand",
  positional: playPositional,
  description: [
    "Shows the task and its tools, then reads your turns, one a line: calls in Python's syntax (lookup(town='Bavo')), an " +
      "answer (/answer Mira), or the raw text a model would write, such as <tool_call>. Prints what the tools answer and, at the end, the score.",
    "While playing: /tools lists the tools, /help the commands, /quit leaves.",
  ],
  options: playOptions,
  examples: [
    ["pact play ftrl-like", "a generated task"],
    ["pact play bfcl --data data/bfcl --task 3", "a published multi-turn task"],
  ],
} as const;
