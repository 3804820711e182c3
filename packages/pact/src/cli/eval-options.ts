/** The options of `pact eval`, its help, and nothing heavy. */
import { helpOption, type OptionValues } from "./options.ts";

/** The environment variable that holds the key unless `--api-key-env` names another. */
export const defaultKeyVariable = "PACT_API_KEY";

/** The table behind parsing and `--help` of `pact eval`. */
export const evalOptions = {
  env: {
    kind: "choice",
    choices: ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "toolhop", "bfcl"],
    default: "ftrl-like",
    help: "tasks: generated families (-like), or published benchmarks, which need --data",
  },
  data: {
    kind: "path",
    defaultText: "none",
    help: "folder or file of the published data; refused by generated families",
  },
  endpoint: {
    kind: "text",
    unit: "url",
    defaultText: "none, required",
    help: "base URL of an OpenAI-compatible server, usually ending in /v1",
  },
  model: {
    kind: "text",
    unit: "name",
    defaultText: "none, required",
    help: "the model's name, as the server knows it",
  },
  tasks: {
    kind: "integer",
    unit: "tasks",
    min: 1,
    max: 1_000_000,
    default: undefined,
    defaultText: "100 generated tasks, all published ones",
    help: "most tasks to evaluate",
  },
  category: {
    kind: "text",
    unit: "name",
    defaultText: "all",
    help: "only tasks of this category",
  },
  attempts: {
    kind: "integer",
    unit: "k",
    min: 1,
    max: 128,
    default: 1,
    help: "attempts at each task; pass@k and pass^k are given up to this k",
  },
  concurrency: {
    kind: "integer",
    unit: "episodes",
    min: 1,
    max: 1024,
    default: 8,
    help: "episodes at once",
  },
  temperature: {
    kind: "number",
    min: 0,
    max: 10,
    default: 0,
    help: "sampling temperature; with several attempts it should not be 0",
  },
  "max-turns": {
    kind: "integer",
    unit: "turns",
    min: 1,
    max: 10_000,
    default: undefined,
    defaultText: "the environment's own",
    help: "assistant turns before an episode is cut (bfcl: steps of one user turn)",
  },
  "max-tokens": {
    kind: "integer",
    unit: "tokens",
    min: 1,
    max: 10_000_000,
    default: undefined,
    defaultText: "the server's own",
    help: "most tokens of one turn",
  },
  seed: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4294967295,
    default: 1,
    help: "seed of generated tasks, and of the seed that each attempt sends to the server",
  },
  out: {
    kind: "path",
    defaultText: "runs/<time>-eval-<env>-seed<seed>",
    help: "folder for everything that is written; one with an unfinished evaluation of the same settings is gone on with",
  },
  resume: {
    kind: "flag",
    help: "only go on with the evaluation in --out; an error if there is none",
  },
  "skip-invalid": {
    kind: "flag",
    help: "leave out malformed lines of the data, and list them",
  },
  timeout: {
    kind: "integer",
    unit: "seconds",
    min: 1,
    max: 86_400,
    default: 600,
    help: "time for one answer of the server",
  },
  retries: {
    kind: "integer",
    unit: "times",
    min: 0,
    max: 100,
    default: 5,
    help: "further requests, with growing waits, after failures that may pass",
  },
  "no-stream": {
    kind: "flag",
    help: "ask for whole answers instead of streamed ones",
  },
  "api-key-env": {
    kind: "text",
    unit: "variable",
    defaultText: `${defaultKeyVariable}, if it is set`,
    help: "environment variable that holds the server's key",
  },
  insecure: {
    kind: "flag",
    help: "send the key over plain http to another machine",
  },
  json: {
    kind: "flag",
    help: "print progress to standard error and the summary as one line of JSON to standard output",
  },
  help: helpOption,
} as const;

/** Parsed options of `pact eval`. */
export type EvalOptions = OptionValues<typeof evalOptions>;

/** `pact eval` for the dispatcher, without its `run`. */
export const evalHelp = {
  summary: "run and score a served model on an environment",
  description: [
    "Plays every task with a model behind an OpenAI-compatible server (vLLM, Ollama, llama.cpp) and writes a folder: " +
      "config.json, episodes.jsonl (an episode a line, as it ends) and summary.json with scores per category, pass@1, pass@k " +
      "and pass^k, each with a 95 % interval.",
    "An evaluation that was stopped or killed goes on where it was with the same --out: finished episodes are kept, failed " +
      "ones are tried again. Episodes that failed are counted apart, neither right nor wrong; the exit code is then 1.",
    `The server's key is read from the environment (${defaultKeyVariable}) and written nowhere.`,
  ],
  options: evalOptions,
  examples: [
    ["pact eval --endpoint http://127.0.0.1:8000/v1 --model Qwen/Qwen3-4B", "100 generated tasks on vLLM"],
    [
      "pact eval --env bfcl --data data/bfcl --endpoint http://127.0.0.1:11434/v1 --model qwen3:4b",
      "BFCL multi-turn on Ollama",
    ],
    [
      "pact eval --endpoint http://127.0.0.1:8080/v1 --model any --attempts 8 --temperature 0.7 --out runs/pass8",
      "pass@k and pass^k up to 8 on llama.cpp; the same line again goes on",
    ],
  ],
} as const;
