/** What a command line of `pact train` asks for: its options, and the settings from everywhere they can come from. */
import { resolve } from "node:path";
import { type TrainConfig, trainConfig } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { givenOptions, parseOptions, UsageError } from "./options.ts";
import { readRunConfig } from "./resume.ts";
import { differing, settingsOfFile, settingsOfPairs } from "./settings.ts";
import { generatedFamilies } from "./tasks.ts";
import { type TrainOptions, trainOptions } from "./train-options.ts";

/** Settings that differ for the published FTRL rows: prompts of thousands of tokens, so fewer of them at a time. */
const publishedSettings = {
  maxContextTokens: 16_384,
  promptsPerStep: 4,
  maxTurns: 10,
} satisfies Partial<TrainConfig>;

/** What a command line asks for. */
export interface TrainRequest {
  readonly options: TrainOptions;
  readonly config: TrainConfig;
}

/**
 * Reads the command line; a run that goes on takes what is not given from its own `config.json`.
 *
 * @throws UsageError for what can not be run; its cause is the ConfigError of a setting
 * @example (await requestOf(["--method", "sft"])).config.method // "sft"
 */
export async function requestOf(args: readonly string[]): Promise<TrainRequest> {
  const first = parseOptions("pact train", trainOptions, args);
  if (first.resume && first["run-dir"] === undefined)
    throw new UsageError("pact train: --resume needs --run-dir <path>, the folder of the run to go on with.");
  const earlier = first.resume ? readRunConfig(resolve(first["run-dir"] ?? "")) : undefined;
  const given = givenOptions(args);
  const saved = Object.entries(earlier?.command ?? {}).flatMap(([name, value]) =>
    given.has(name) || !Object.hasOwn(trainOptions, name) ? [] : [`--${name}=${value}`],
  );
  const options = parseOptions("pact train", trainOptions, [...args, ...saved]);
  if (options.env === "ftrl" && options.data === undefined)
    throw new UsageError("pact train: --env ftrl needs --data <path>, the folder with the FTRL files.");
  if (options.env !== "ftrl" && options.data !== undefined)
    throw new UsageError(
      `pact train: --data belongs to --env ftrl; --env ${options.env} generates its tasks.`,
    );
  const usual = options.env === "ftrl" ? publishedSettings : generatedFamilies[options.env].settings;
  const named = {
    method: options.method,
    seed: options.seed,
    steps: options.steps,
    checkpointEvery: options["checkpoint-every"],
    pack: !options["no-pack"],
  };
  const optionOf = {
    method: "method",
    seed: "seed",
    steps: "steps",
    checkpointEvery: "checkpoint-every",
    pack: "no-pack",
  };
  const explicit = Object.fromEntries(
    Object.entries(named).filter(([name]) => given.has(optionOf[name as keyof typeof optionOf])),
  );
  const pairs = settingsOfPairs(options.set);
  for (const [name, value] of Object.entries(explicit))
    if (Object.hasOwn(pairs, name) && pairs[name as keyof typeof pairs] !== value)
      throw new UsageError(
        `pact train: --${optionOf[name as keyof typeof optionOf]} and --set ${name} give two values for one setting. Leave one out.`,
      );
  const settings = {
    ...(earlier ? differing(earlier.train) : usual),
    ...(options.config === undefined ? {} : await settingsOfFile(options.config)),
    ...pairs,
    ...explicit,
  };
  return { options, config: checked(settings) };
}

/** A setting that is out of range is a wrong command line like an option that is. */
function checked(settings: Partial<TrainConfig>): TrainConfig {
  try {
    return trainConfig(settings);
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(`pact train: ${error.message}`, { cause: error });
    throw error;
  }
}
