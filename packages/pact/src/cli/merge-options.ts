/** The options of `pact merge` and its help, and nothing heavy. */
import { helpOption, type OptionValues, type Positional } from "./options.ts";

/** The adapters. */
export const mergePositional = {
  name: "adapters",
  help: "folder of a run with loraRank (its newest checkpoint is taken), or of adapters as PEFT saves them",
} as const satisfies Positional;

/** The table behind parsing and `--help` of `pact merge`. */
export const mergeOptions = {
  model: {
    kind: "path",
    defaultText: "the one that the run or adapter_config.json names",
    help: "model folder that the adapters were trained on",
  },
  out: {
    kind: "path",
    defaultText: "none, it must be given",
    help: "folder for the merged model; must be new or empty",
  },
  dtype: {
    kind: "choice",
    choices: ["same", "f32", "f16", "bf16"],
    default: "same",
    help: "type of the merged weights; same: that of the model",
  },
  json: {
    kind: "flag",
    help: "print progress to standard error and the result as one line of JSON to standard output",
  },
  help: helpOption,
} as const;

/** Parsed options of `pact merge`. */
export type MergeOptions = OptionValues<typeof mergeOptions>;

/** `pact merge` for the dispatcher, without its `run`. */
export const mergeHelp = {
  summary: "work the LoRA adapters of a run into its model: a plain model folder",
  positional: mergePositional,
  description: [
    "Adds the adapters to the weights they stand beside, W + (alpha/rank) B A, in f32 on the cpu, rounded once to the stored " +
      "type, and writes a folder that Python and every pact command load. Tokenizer and chat template are copied from the model.",
  ],
  options: mergeOptions,
  examples: [
    ["pact merge runs/lora --out merged", "the newest checkpoint of a run, into the model it started from"],
    ["pact merge my-adapter --model Qwen3-0.6B --out merged --dtype bf16", "adapters that PEFT saved"],
  ],
} as const;
