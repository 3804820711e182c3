/** Runs to plan and to measure: a small model over generated tasks. */
import type { TransformerConfig } from "@pact/nn";
import type { Device } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { evaluate } from "../../packages/pact/src/evaluate.ts";
import { samplingParams } from "../../packages/pact/src/model.ts";
import { nullSink } from "../../packages/pact/src/run-sink.ts";
import { type Measured, measureTraining } from "../../scripts/measure-training.ts";
import { testDialect, testVocabulary } from "./codec.ts";

export const plannedModel: TransformerConfig = {
  modelType: "qwen3",
  vocabSize: testVocabulary,
  hiddenSize: 32,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headSize: 8,
  intermediateSize: 96,
  maxPositions: 8192,
  normEps: 1e-6,
  ropeTheta: 1e4,
  tieWordEmbeddings: true,
};

export const plannedTasks = ftrlLike.generate({ seed: 3, split: "train", count: 12 });
export const heldOutTasks = ftrlLike.generate({ seed: 4, split: "heldout", count: 4 });

/** The test vocabulary's characters make prompts long: few of them at a time. */
export function plannedConfig(given: Partial<TrainConfig> = {}): TrainConfig {
  return trainConfig({
    steps: 1,
    promptsPerStep: 2,
    rolloutsPerPrompt: 2,
    maxTurnTokens: 200,
    maxRolloutTokens: 1200,
    maxContextTokens: 8192,
    ...(given.pack === false ? {} : { tokenBudget: 8192 }),
    ...given,
  });
}

/**
 * Trains `config.steps` steps and evaluates, on a device that has nothing else alive.
 *
 * @param isExpert rollouts say what the experts wrote; else what the model samples
 */
export function measureRun(device: Device, config: TrainConfig, isExpert: boolean): Promise<Measured> {
  const run = { config, model: plannedModel, dialect: testDialect, tasks: plannedTasks, isExpert };
  return measureTraining(device, run, async ({ model }) => {
    using sampling = samplingParams(model);
    const options = { ...config, model: plannedModel, params: sampling.params, dialect: testDialect };
    // An evaluation is at its peak when its prompts are read; how long it goes on takes no part.
    await evaluate({ ...options, tasks: heldOutTasks, step: 1, sink: nullSink, maxTurnTokens: 2 });
  });
}
