/** The options of `pact compare` and its help, and nothing heavy. */
import { helpOption, type OptionValues } from "./options.ts";
import { trainOptions } from "./train-options.ts";

const { env, data, traces, config, model, device, steps, json } = trainOptions;

/** The table behind parsing and `--help` of `pact compare`. */
export const compareOptions = {
  methods: {
    kind: "text",
    unit: "names",
    defaultText: "vanilla,sft,matchtir,pact",
    help: `methods, separated by commas: ${trainOptions.method.choices.join(", ")}`,
  },
  seeds: {
    kind: "integer",
    unit: "runs",
    min: 1,
    max: 100,
    default: 3,
    help: "runs of each method, with the seeds 1, 2, …; an interval needs two",
  },
  baseline: {
    kind: "text",
    unit: "method",
    defaultText: "the first method",
    help: "the method that the others are compared with, seed by seed",
  },
  out: {
    kind: "path",
    defaultText: "runs/compare",
    help: "folder for the runs and the comparison; a comparison that is there already goes on",
  },
  env,
  data,
  traces,
  config: { ...config, help: "file of training settings of all methods: .json, or a .ts or .mjs module" },
  set: {
    kind: "list",
    unit: "key=value",
    help: "one setting of all methods, or of one: --set promptsPerStep=8 --set pact:sftWeight=5",
  },
  model,
  device,
  steps: { ...steps, help: "optimiser batches of every method (vanilla: none)" },
  "eval-tasks": {
    ...trainOptions["eval-tasks"],
    help: "held-out tasks of each evaluation, the same for all runs",
  },
  "checkpoint-every": trainOptions["checkpoint-every"],
  json: { ...json, help: "print progress to standard error and the comparison as one line of JSON" },
  help: helpOption,
} as const;

/** Parsed options of `pact compare`. */
export type CompareOptions = OptionValues<typeof compareOptions>;

/** `pact compare` for the dispatcher, without its `run`. */
export const compareHelp = {
  summary: "train several methods with several seeds and compare them",
  description: [
    "Trains every method with every seed, one after the other, with the same steps, prompts per step and held-out tasks. " +
      "Each run is a run folder of pact train, <out>/<method>-seed<k>/. Writes <out>/comparison.json and comparison.html, and " +
      "prints one table: means over seeds with 95 % intervals (Student's t), and differences to the baseline, paired by seed.",
    "The held-out tasks are the same for all runs, so an interval tells how much training varies with the seed, not how " +
      "much the tasks do.",
    "Interrupted, the same command goes on: finished runs are kept, an unfinished one goes on from its checkpoint. Other " +
      "settings in the same folder are refused. A run that fails is listed and the others are made; the exit code is then 1.",
  ],
  options: compareOptions,
  examples: [
    [
      "pact compare --methods sft,matchtir,pact --seeds 5 --out runs/three",
      "fifteen runs and their comparison",
    ],
    ["pact compare --seeds 3 --set pact:anchorProbability=0.2", "one method with another setting"],
  ],
} as const;
