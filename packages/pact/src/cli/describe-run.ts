/** What `config.json` of a run folder says of the run; resume.ts compares a run that goes on with it. */
import { resolve } from "node:path";
import { configToJson, type Params } from "@pact/nn";
import type { Device } from "@pact/tensor";
import type { TrainConfig } from "../config.ts";
import type { RunConfig } from "../run-sink.ts";
import type { ModelFolder } from "./base-policy.ts";
import { kernelsOf } from "./kernel-table.ts";
import type { RunTasks } from "./tasks.ts";
import type { TrainOptions } from "./train-options.ts";

/** What is described. */
interface Described {
  readonly config: TrainConfig;
  readonly base: ModelFolder;
  readonly params: Params;
  readonly tasks: RunTasks;
  readonly evaluation: RunConfig["evaluation"];
}

/** `config.json`. */
export function describeRun(
  { config, base, params, tasks, evaluation }: Described,
  options: TrainOptions,
  device: Device,
): RunConfig {
  const { adapterName, driver } = device.report;
  return {
    train: config,
    model: configToJson(base.config),
    parameters: Object.values(params).reduce((sum, parameter) => sum + parameter.size, 0),
    device: {
      kind: device.kind,
      description: driver === "none" ? adapterName : `${adapterName} (${driver})`,
      kernels: kernelsOf(device),
    },
    environment: { id: options.env, options: absolutePaths(tasks.options) },
    base: base.digest,
    trainingTasks: tasks.training.length,
    heldOutTasks: tasks.heldOut.length,
    evaluation,
    command: commandOf(options),
  };
}

/** What `config.json` remembers of the command line; settings are under `train`, the rest belongs to one invocation. */
function commandOf({
  env,
  data,
  traces,
  model,
  device,
  ...options
}: TrainOptions): Record<string, string | number> {
  const evaluation = {
    "eval-tasks": options["eval-tasks"],
    "eval-every": options["eval-every"],
    "eval-rollouts": options["eval-rollouts"],
  };
  const lasting = { env, data, traces, model, device, ...evaluation };
  return absolutePaths(
    Object.fromEntries(
      Object.entries(lasting).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  );
}

const pathNames = ["model", "data", "traces"];

/**
 * Options with their paths from the root, so that they mean the same in every working folder.
 *
 * @example absolutePaths({ env: "ftrl", data: "data/ftrl" }).data // "/home/me/data/ftrl"
 */
export function absolutePaths<T extends Readonly<Record<string, unknown>>>(options: T): T {
  const paths = pathNames.flatMap((name) => {
    const path = Object.hasOwn(options, name) ? options[name] : undefined;
    return typeof path === "string" ? [[name, resolve(path)]] : [];
  });
  return { ...options, ...Object.fromEntries(paths) };
}
