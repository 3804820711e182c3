/** The options of `pact plan`, its help, and nothing heavy. */
import { helpOption, type OptionValues } from "./options.ts";
import { trainOptions } from "./train-options.ts";

const { env, data, traces, method, config, set, model, seed, steps } = trainOptions;

/** The table behind parsing and `--help` of `pact plan`. */
export const planOptions = {
  model: { ...model, help: "model folder to train; its weights are not read" },
  method,
  tokens: {
    kind: "integer",
    unit: "tokens",
    min: 1,
    max: 1000000000,
    default: undefined,
    defaultText: "the setting tokenBudget",
    help: "packed tokens of one forward and backward pass: a short way to say --set tokenBudget=<tokens>",
  },
  config,
  set,
  "no-pack": trainOptions["no-pack"],
  env,
  data,
  traces,
  seed,
  steps,
  "eval-tasks": trainOptions["eval-tasks"],
  "eval-rollouts": trainOptions["eval-rollouts"],
  "rollout-tokens": {
    kind: "integer",
    unit: "tokens",
    min: 1,
    max: 10000000,
    default: undefined,
    defaultText: "the setting maxTurnTokens, one turn that runs to its limit",
    help: "sampled tokens of every rollout, where the model is known to say more or less",
  },
  memory: {
    kind: "text",
    unit: "bytes",
    defaultText: "none",
    help: "memory of the device, in bytes or as 24GiB, 16GB, 512MiB: says whether the run fits",
  },
  json: { kind: "flag", help: "print the plan as one line of JSON" },
  help: helpOption,
} as const;

/** Parsed options of `pact plan`. */
export type PlanOptions = OptionValues<typeof planOptions>;

/** `pact plan` for the dispatcher, without its `run`. */
export const planHelp = {
  summary: "predict the memory of a training run before anything is allocated",
  description: [
    "Runs the trainer itself on a device that counts instead of computing, and prints the most that the run of pact train " +
      "with the same options would take, phase by phase, and what of it are weights, gradients, optimiser state, the cache of " +
      "sampling, logits and activations; the largest single tensor beside what this adapter can bind; and which settings " +
      "would take less. No weights are read: a large model takes seconds.",
    "What the model will say is not known before: rollouts are planned of one length, and the table says beside it what it " +
      "would be with rollouts like the experts', and if all ran to their limit. docs/plan.md compares plans with what was measured.",
  ],
  options: planOptions,
  examples: [
    ["pact plan --model models/qwen3-0.6b --method pact --tokens 4096", "what full fine-tuning takes"],
    [
      "pact plan --model models/qwen3-0.6b --set loraRank=16 --set precision=f16 --memory 24GiB",
      "adapters beside a frozen base in half precision, and whether they fit",
    ],
  ],
} as const;
