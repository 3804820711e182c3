/** The options of `pact chat` and its help, and nothing heavy. */
import { helpOption, type OptionValues } from "./options.ts";
import { playPositional } from "./play-options.ts";

const folderOr = (usual: string) => `the folder's generation_config.json, else ${usual}`;

/** The table behind parsing and `--help` of `pact chat`. */
export const chatOptions = {
  model: {
    kind: "path",
    defaultText: "the base policy shipped with the package",
    help: "model folder: a Hugging Face checkpoint, or a checkpoint of a run",
  },
  adapter: {
    kind: "path",
    defaultText: "none",
    help: "folder of LoRA adapters as PEFT saves them (adapter_config.json, adapter_model.safetensors)",
  },
  device: {
    kind: "choice",
    choices: ["auto", "webgpu", "cpu"],
    default: "auto",
    help: "where tensors live; auto takes the best WebGPU adapter and falls back to cpu",
  },
  precision: {
    kind: "choice",
    choices: ["f32", "f16"],
    default: "f32",
    help: "of weights and cache; f16 needs a WebGPU adapter that has it",
  },
  system: {
    kind: "text",
    unit: "text",
    defaultText: "none; of a task, its own",
    help: "the system message",
  },
  env: {
    kind: "choice",
    choices: ["none", ...playPositional.choices],
    default: "none",
    help: "the model solves a task of this environment in front of you; its calls are executed",
  },
  data: {
    kind: "path",
    defaultText: "none",
    help: "folder with the published data; required by the published benchmarks, refused by generated families",
  },
  task: {
    kind: "text",
    unit: "id",
    defaultText: "the first",
    help: "which of the environment's tasks, by its id or by its number, counted from 1",
  },
  temperature: {
    kind: "number",
    min: 0,
    max: 10,
    default: undefined,
    defaultText: folderOr("1"),
    help: "sampling temperature; 0 takes the likeliest token",
  },
  "top-k": {
    kind: "integer",
    unit: "tokens",
    min: 0,
    max: 10_000_000,
    default: undefined,
    defaultText: folderOr("0, all"),
    help: "keep the k likeliest tokens",
  },
  "top-p": {
    kind: "number",
    min: 0.000001,
    max: 1,
    default: undefined,
    defaultText: folderOr("1, all"),
    help: "keep the likeliest tokens up to this probability",
  },
  "min-p": {
    kind: "number",
    min: 0,
    max: 1,
    default: undefined,
    defaultText: folderOr("0, all"),
    help: "keep tokens at least this many times as likely as the likeliest",
  },
  "max-tokens": {
    kind: "integer",
    unit: "tokens",
    min: 1,
    max: 10_000_000,
    default: 512,
    help: "most tokens of one reply",
  },
  seed: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4294967295,
    default: 1,
    help: "seed of sampling, and of generated tasks; same seed, device and messages, same replies",
  },
  stop: {
    kind: "list",
    unit: "text",
    help: "end a reply before this text",
  },
  "no-think": {
    kind: "flag",
    help: "ask for no reasoning: sets enable_thinking to false, for templates that read it",
  },
  json: {
    kind: "flag",
    help: "print one line of JSON a turn to standard output, everything else to standard error",
  },
  help: helpOption,
} as const;

/** Parsed options of `pact chat`. */
export type ChatOptions = OptionValues<typeof chatOptions>;

/** `pact chat` for the dispatcher, without its `run`. */
export const chatHelp = {
  summary: "talk to a model in the terminal, or watch it solve a task",
  description: [
    "Loads a model folder, renders the conversation by its chat template and prints the reply token by token, reasoning dimmed. " +
      "Lines that begin with a slash are commands: /help lists them. Ctrl-C stops a reply, twice it leaves; so does the end of the input.",
    "With --env the model plays a task: its calls are executed, the observations shown, the score at the end. You can stop a reply " +
      "and type a message; after the score the conversation goes on, with the same tools.",
    'When the input is no terminal, each line is a message ("""…""" spans lines) and nothing but replies goes to standard output; ' +
      "the exit code is 1 if a message got none.",
    "Tokens that were sampled stay as they are; the cache of earlier turns is used again as far as the conversation begins with them.",
  ],
  options: chatOptions,
  examples: [
    ["pact chat --model Qwen3-0.6B --no-think", "a checkpoint in ./Qwen3-0.6B"],
    ["pact chat --env ftrl-like --task 3 --temperature 0", "the shipped base solves a generated task"],
    ["echo 'Who are you?' | pact chat --model Qwen3-0.6B --json", "one message from a script"],
  ],
} as const;
