/** The options of `pact train`, its help, and nothing heavy: `--help` loads no tensor library. */
import { helpOption, type OptionValues } from "./options.ts";

/** Steps of a run when `--steps` is not given: what the documented results were made with. */
const defaultSteps = 30;

/** The table behind parsing and `--help` of `pact train`. */
export const trainOptions = {
  env: {
    kind: "choice",
    choices: ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl"],
    default: "ftrl-like",
    help: "tasks: one of the generated families, or the published FTRL rows with their recorded tool outputs (needs --data)",
  },
  data: {
    kind: "path",
    defaultText: "none",
    help: "folder with the FTRL files, or a file of rows with codes; only with --env ftrl",
  },
  traces: {
    kind: "path",
    defaultText: "the traces that come with the tasks",
    help: "trace file of pact traces build; only its tasks are trained on, with its traces",
  },
  method: {
    kind: "choice",
    choices: ["pact", "vanilla", "sft", "grpo", "ftrl", "toolrl", "chord", "matchtir", "sft-matchtir"],
    default: "pact",
    help: "objective: PACT, or one of the methods it is compared with (docs/algorithms/pact.md); vanilla trains nothing",
  },
  config: {
    kind: "path",
    defaultText: "none",
    help: "file of training settings: .json, or a .ts or .mjs module with a default export (your own: it runs)",
  },
  set: {
    kind: "list",
    unit: "key=value",
    help: "one training setting, over the file's; the value is JSON or text, e.g. --set promptsPerStep=8",
  },
  model: {
    kind: "path",
    defaultText: "the base policy shipped with the package",
    help: "model folder to start from: a run's checkpoint, or a Hugging Face folder (Qwen3, Qwen2, Llama) with a chat template",
  },
  device: {
    kind: "choice",
    choices: ["auto", "webgpu", "cpu"],
    default: "auto",
    help: "where tensors live; auto takes the best WebGPU adapter and falls back to cpu",
  },
  seed: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 4294967295,
    default: 1,
    help: "seed of every random stream; same seed and device, same run",
  },
  steps: {
    kind: "integer",
    unit: "steps",
    min: 1,
    max: 1000000,
    default: defaultSteps,
    help: "optimiser batches; every schedule runs over this length",
  },
  "run-dir": {
    kind: "path",
    defaultText: "runs/<time>-<method>-seed<seed>",
    help: "folder for everything the run writes; must be new or empty",
  },
  "eval-tasks": {
    kind: "integer",
    unit: "tasks",
    min: 4,
    max: 100000,
    default: 200,
    help: "held-out tasks of each evaluation; of ftrl-like in equal parts from the four categories",
  },
  "eval-every": {
    kind: "integer",
    unit: "steps",
    min: 0,
    max: 1000000,
    default: 0,
    help: "evaluate after every so many steps as well; 0: only before and after training",
  },
  "eval-rollouts": {
    kind: "integer",
    unit: "rollouts",
    min: 1,
    max: 64,
    default: 1,
    help: "k, sampled rollouts per held-out task, for avg@k, pass@k and pass^k; the greedy one is beside them",
  },
  resume: {
    kind: "flag",
    help: "go on with the run in --run-dir from its newest checkpoint, with its own settings",
  },
  "no-pack": {
    kind: "flag",
    help: "compute every rollout and the expert sequence one by one, instead of as one prefix tree per prompt; slower, the same numbers up to rounding",
  },
  "checkpoint-every": {
    kind: "integer",
    unit: "steps",
    min: 0,
    max: 1000000,
    default: 10,
    help: "save a checkpoint after every so many steps, and at the end; 0: only at the end",
  },
  json: {
    kind: "flag",
    help: "print progress to standard error and the result as one line of JSON to standard output",
  },
  help: helpOption,
} as const;

/** Parsed options of `pact train`. */
export type TrainOptions = OptionValues<typeof trainOptions>;

/** `pact train` for the dispatcher, without its `run`. */
export const trainHelp = {
  summary: "train the base policy with PACT and report before and after",
  description: [
    "Evaluates the base policy on held-out tasks, trains it, evaluates it again (sampled at temperature 1 and greedy), and " +
      "writes a run folder: config.json, metrics.jsonl, rollouts.jsonl, evaluations.jsonl, summary.json, checkpoints/ and report.html.",
    "Ctrl-C once finishes the current step, then saves the checkpoint and a report of what was done; twice stops at once. " +
      "A run that was stopped or killed goes on with --resume: same seed, same device, same bits as one never interrupted.",
    "Counts of tokens are of work, sampled + trained on: a token counts once when it is sampled, and once more in every " +
      "optimiser update that trains on it.",
  ],
  options: trainOptions,
  examples: [
    ["pact train", "the whole road with its defaults; the same as npm start in a checkout"],
    ["pact train --method matchtir --seed 2 --run-dir runs/matchtir-2", "a baseline beside it"],
    [
      "pact train --set learningRate=3e-4 --set rolloutsPerPrompt=8",
      "other settings; config.ts documents each",
    ],
    ["pact train --resume --run-dir runs/matchtir-2", "go on with a run that was stopped or killed"],
    ["pact train --env ftrl --data data/ftrl --steps 2", "the published FTRL rows"],
  ],
} as const;
