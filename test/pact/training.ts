/** Whole training runs of a tiny model on three tasks with a scripted policy, for tests. */
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
import { testCodec } from "./codec.ts";
import { tinyModel } from "./device.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task } from "./tasks.ts";

/** Three tasks with the long trace, whose reasoning previews a call. */
export const longTasks = ["Bavo", "Kelm", "Rosta"].map((town, index) => ({
  ...task,
  id: `t${index}`,
  question: `Mayor of "${town}"?`,
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

/** Runs a training run to its end; its records, and the trained parameters as numbers. */
export async function runTraining(given: Partial<TrainConfig> = {}, options: Partial<TrainOptions> = {}) {
  const { config: model, params } = await tinyModel(3);
  const lines: StepMetrics[] = [];
  const records: RolloutRecord[] = [];
  const checkpoints: Checkpoint[] = [];
  // Checkpoints hold f32, so only an f32 run comes back bit for bit.
  const single = Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, cast(value, "f32")]),
  );
  const trainer = new Trainer({
    config: trainConfig({ ...small, ...given }),
    model,
    params: single,
    codec: testCodec,
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
  for await (const _ of trainer.steps());
  const trained: number[] = [];
  for (const value of Object.values(trainer.params)) trained.push(...Array.from(await value.data(), Number));
  const { result } = trainer;
  trainer.dispose();
  return { lines, records, checkpoints, trained, result, model };
}
