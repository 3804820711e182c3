/** Whole training runs of a tiny model on three tasks with a scripted policy, for tests. */
import type { Params, TransformerConfig } from "@pact/nn";
import { cast } from "@pact/tensor";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import {
  type Checkpoint,
  nullSink,
  type RolloutRecord,
  type StepMetrics,
} from "../../packages/pact/src/run-sink.ts";
import type { TrainOptions } from "../../packages/pact/src/train-types.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { testDialect } from "./codec.ts";
import { tinyModel } from "./device.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task, trace } from "./tasks.ts";

/** Three tasks with the long trace, whose reasoning previews a call. */
export const longTasks = ["Bavo", "Kelm", "Rosta"].map((town, index) => ({
  ...task,
  id: `t${index}`,
  question: `Mayor of "${town}"?`,
}));

/** The same tasks with a trace of one turn. */
export const shortTasks = longTasks.map((entry) => ({
  ...entry,
  trace: { ...trace, turns: [trace.turns[1]] },
}));

const scripts = [
  `${callText("Bavo")}<|end|>${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`,
  `<think>a</think>${callText("Kelm")}${callText("Z")}<|end|><answer>x</answer><|end|>`,
  "<answer>Mira</answer><|end|>",
].map(scriptIds);

/** A policy that says one of three scripts in each row. */
export const scripted = () => scriptedPolicy((row) => scripts[row % scripts.length]);

const small: Partial<TrainConfig> = {
  steps: 2,
  seed: 7,
  promptsPerStep: 2,
  rolloutsPerPrompt: 3,
  maxTurnTokens: 60,
  maxRolloutTokens: 120,
  learningRate: 5e-2,
  warmupSteps: 0,
  clipNorm: 10,
};

let made: Promise<{ model: TransformerConfig; params: Params }> | undefined;

/** The model that every run starts from, in f32: checkpoints hold f32, so only an f32 run comes back bit for bit. */
export function startModel(): Promise<{ model: TransformerConfig; params: Params }> {
  made ??= tinyModel(3).then(({ config, params }) => ({
    model: config,
    params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, cast(value, "f32")])),
  }));
  return made;
}

/** Runs a training run to its end (or for `steps` steps); its records, and the trained parameters as numbers. */
export async function runTraining(
  given: Partial<TrainConfig> = {},
  options: Partial<TrainOptions> = {},
  steps = Number.POSITIVE_INFINITY,
) {
  const { model, params } = await startModel();
  const lines: StepMetrics[] = [];
  const records: RolloutRecord[] = [];
  const checkpoints: Checkpoint[] = [];
  const trainer = new Trainer({
    config: trainConfig({ ...small, ...given }),
    model,
    params,
    dialect: testDialect,
    tasks: longTasks,
    policy: scripted,
    sink: {
      ...nullSink,
      metrics: async (line) => void lines.push(line),
      rollout: async (record) => void records.push(record),
      checkpoint: async (checkpoint) => void checkpoints.push(checkpoint),
    },
    ...options,
  });
  for await (const event of trainer.steps()) if (event.kind === "step" && event.step + 1 >= steps) break;
  const trained: number[] = [];
  for (const value of Object.values(trainer.params)) trained.push(...Array.from(await value.data(), Number));
  const { result } = trainer;
  trainer.dispose();
  return { lines, records, checkpoints, trained, result, model };
}
