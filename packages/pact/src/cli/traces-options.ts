/** The options of `pact traces build`, `check` and `show` and their help, and nothing heavy. */
import { helpOption, type OptionValues, type Positional } from "./options.ts";

/** What to do with traces. */
export const tracesPositional: Positional = {
  name: "what",
  help: "what to do",
  choices: ["build", "check", "show"],
};

const tracesFile = {
  kind: "path",
  defaultText: "none; it must be given",
  help: "the trace file to read",
} as const;

/** The table behind parsing and `--help` of `pact traces build`. */
export const buildOptions = {
  env: {
    kind: "choice",
    choices: ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl"],
    default: "ftrl-like",
    help: "the tasks to make traces of",
  },
  data: {
    kind: "path",
    defaultText: "none",
    help: "the published data; required by ftrl, refused by generated families",
  },
  out: {
    kind: "path",
    defaultText: "traces.jsonl",
    help: "the trace file to write; an existing one is never overwritten",
  },
  tasks: {
    kind: "integer",
    unit: "number",
    min: 1,
    max: 1_000_000,
    default: undefined,
    defaultText: "100 generated tasks, all published ones",
    help: "most tasks",
  },
  seed: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4_294_967_295,
    default: 1,
    help: "seed of generated tasks",
  },
  split: {
    kind: "choice",
    choices: ["train", "heldout"],
    default: "train",
    help: "worlds of generated tasks",
  },
  teacher: {
    kind: "choice",
    choices: ["scripted", "endpoint"],
    default: "scripted",
    help: "who solves the tasks: the script that comes with them, or a served model",
  },
  endpoint: {
    kind: "text",
    unit: "url",
    defaultText: "none",
    help: "base URL of an OpenAI-compatible server, for example http://127.0.0.1:8000/v1",
  },
  model: { kind: "text", unit: "name", defaultText: "none", help: "the teacher's name on that server" },
  "api-key-env": {
    kind: "text",
    unit: "variable",
    defaultText: "none; no key is sent",
    help: "environment variable that holds the server's key",
  },
  annotator: {
    kind: "choice",
    choices: ["none", "endpoint"],
    default: "none",
    help: "who cuts reasoning that the rules leave: nobody (its paragraphs are typed other), or a served model",
  },
  "annotator-endpoint": {
    kind: "text",
    unit: "url",
    defaultText: "that of --endpoint",
    help: "the annotator's server",
  },
  "annotator-model": {
    kind: "text",
    unit: "name",
    defaultText: "that of --model",
    help: "the annotator's name there",
  },
  concurrency: { kind: "integer", unit: "number", min: 1, max: 256, default: 4, help: "episodes at once" },
  "skip-invalid": { kind: "flag", help: "leave out malformed lines of the data and list them" },
  resume: { kind: "flag", help: "go on with an interrupted build of the same settings and the same --out" },
  json: { kind: "flag", help: "print the result as one line of JSON; progress goes to standard error" },
  help: helpOption,
} as const;

/** The table behind parsing and `--help` of `pact traces check`. */
export const checkOptions = {
  traces: tracesFile,
  "skip-invalid": {
    kind: "flag",
    help: "leave out malformed lines, list and count them, and check the others",
  },
  json: { kind: "flag", help: "print the result as one line of JSON" },
  help: helpOption,
} as const;

/** The table behind parsing and `--help` of `pact traces show`. */
export const showOptions = {
  traces: tracesFile,
  id: {
    kind: "text",
    unit: "id",
    defaultText: "the file's first trace",
    help: "the task whose trace is shown",
  },
  level: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4,
    default: 4,
    help: "the reasoning-prefix level whose supervised chunks are marked",
  },
  help: helpOption,
} as const;

/** Parsed options of `pact traces build`. */
export type BuildOptions = OptionValues<typeof buildOptions>;

/** `pact traces` for the dispatcher, without its `run`. */
export const tracesHelp = {
  summary: "make, check and look at expert traces",
  positional: tracesPositional,
  description: [
    "build plays tasks with a teacher, keeps the episodes that verify, cuts their reasoning into labelled chunks and writes " +
      "them to a file. check validates such a file. show prints one trace, chunk by chunk.",
    "Each has its own options: see pact traces build --help, pact traces check --help and pact traces show --help.",
  ],
  options: { help: helpOption },
  examples: [
    ["pact traces build --tasks 40 --out traces.jsonl", "traces of 40 generated tasks"],
    ["pact traces check --traces traces.jsonl", "validates the file"],
    ["pact traces show --traces traces.jsonl --level 2", "prints its first trace"],
  ],
  words: {
    build: {
      summary: "make expert traces with a teacher",
      description: [
        "Plays every task with the teacher and keeps the episodes whose final answer or last observation verifies; the others " +
          "are counted by reason. Work in progress lies in <out>.partial: after Ctrl-C the same command with --resume goes on.",
        "Keys come from the environment and reach no file.",
      ],
      options: buildOptions,
      examples: [
        ["pact traces build --tasks 40", "the scripted teacher's traces of 40 generated tasks"],
        [
          "pact traces build --teacher endpoint --endpoint http://127.0.0.1:8000/v1 --model Qwen/Qwen3-32B --annotator endpoint",
          "a served model solves the tasks and cuts the hard turns",
        ],
        ["pact traces build --env ftrl --data data/ftrl --out ftrl.jsonl", "traces of published rows"],
      ],
    },
    check: {
      summary: "validate a trace file",
      description: [
        "Checks the format of every line and what must hold of every trace: chunks reproduce the reasoning, calls name offered " +
          "tools, the final turn is in no context, no chunk hides a spelt-out call. Prints faults with file and line; exit code " +
          "1 if there are any.",
      ],
      options: checkOptions,
      examples: [
        ["pact traces check --traces traces.jsonl", "faults, or the file's numbers"],
        ["pact traces check --traces traces.jsonl --json", "the same for programs"],
      ],
    },
    show: {
      summary: "print one trace, chunk by chunk",
      description: [
        "Prints a trace's turns with the type of each chunk, marking what a reasoning-prefix level supervises.",
      ],
      options: showOptions,
      examples: [
        ["pact traces show --traces traces.jsonl", "the first trace at the longest level"],
        [
          "pact traces show --traces traces.jsonl --id ftrl-like/train/1/3 --level 1",
          "another one at level 1",
        ],
      ],
    },
  },
} as const;
