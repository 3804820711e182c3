/** The options of `pact explain` and its help, and nothing heavy. */
import { helpOption, type OptionValues, type Positional } from "./options.ts";

/** The words of `pact explain <run> <rollout>`. */
export const explainPositionals = [
  { name: "run", help: "a run folder of pact train" },
  {
    name: "rollout",
    help:
      "a training rollout: its line number in rollouts.jsonl, or <taskId>/<k>@<step> with the fields taskId, rollout and " +
      "step of that line (k and step count from 0)",
  },
] as const satisfies readonly Positional[];

/** The table behind parsing and `--help` of `pact explain`. */
export const explainOptions = {
  expert: {
    kind: "flag",
    help: "also list the tokens of the expert trace that SFT trains, one by one",
  },
  device: {
    kind: "choice",
    choices: ["run", "webgpu", "cpu"],
    default: "run",
    help: "where to compute; run takes the kind of device the run was made on, whose rounding it shares",
  },
  model: {
    kind: "path",
    defaultText: "the model that the run started from",
    help: "where that model is now, if it has been moved; its weights are compared with the run's checksum",
  },
  data: {
    kind: "path",
    defaultText: "the folder that the run was made with",
    help: "where the FTRL files are now; only for runs with --env ftrl",
  },
  json: { kind: "flag", help: "print everything as one line of JSON" },
  help: helpOption,
} as const;

/** Parsed options of `pact explain`. */
export type ExplainOptions = OptionValues<typeof explainOptions>;

/** `pact explain` for the dispatcher, without its `run`. */
export const explainHelp = {
  summary: "print one training rollout token by token: where its loss comes from",
  positional: explainPositionals,
  description: [
    "For every token: role, log-prob behind the prompt alone and behind the trace, importance ratio, advantage, clip, and " +
      "the weight and contribution of each loss term. The contributions of all tokens of the step add up to loss/total in " +
      "metrics.jsonl, up to the rounding that is stated.",
    "Log-probs are computed again with the parameters before the step's update. They need the checkpoint of that step " +
      "(train with --checkpoint-every 1 to have them all; step 0 needs none). Without it the nearest earlier checkpoint is " +
      "taken, and the numbers differ from the logged ones: the output says so.",
    "If the checkpoint after the step is there too, the column after shows each ratio once the step was done.",
  ],
  options: explainOptions,
  examples: [
    ["pact explain runs/first 401", "the rollout in line 401 of rollouts.jsonl"],
    ["pact explain runs/first ftrl-like-train-1001-7/2@10 --json", "another by its name, for machines"],
  ],
} as const;
