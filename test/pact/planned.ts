/** Runs to plan and to measure: a small model over generated tasks. */
import { initParams, type TransformerConfig } from "@pact/nn";
import { type Device, key } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { evaluate } from "../../packages/pact/src/evaluate.ts";
import { keepsStart, samplingParams, startDtype } from "../../packages/pact/src/model.ts";
import type { PlanPhase } from "../../packages/pact/src/plan.ts";
import { expertPolicy, expertRunner, expertScripts } from "../../packages/pact/src/plan-policy.ts";
import { modelPolicy } from "../../packages/pact/src/policy.ts";
import { nullSink } from "../../packages/pact/src/run-sink.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { disposeParams } from "../../packages/pact/src/update.ts";
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

/** What a run took on a device: the peak of each phase, and the most that its buffers took. */
export interface Measured {
  readonly peaks: ReadonlyMap<PlanPhase, number>;
  readonly bufferBytes: number;
}

/**
 * Trains `config.steps` steps and evaluates, on a device that has nothing else alive.
 *
 * @param isExpert rollouts say what the experts wrote; else what the model samples
 */
export async function measureRun(device: Device, config: TrainConfig, isExpert: boolean): Promise<Measured> {
  const peaks = new Map<PlanPhase, number>();
  let bufferBytes = 0;
  const end = (phase: PlanPhase): void => {
    const { peakBytes, liveBytes, pooledBytes } = device.memory();
    peaks.set(phase, Math.max(peaks.get(phase) ?? 0, peakBytes));
    bufferBytes = Math.max(bufferBytes, liveBytes + pooledBytes);
    device.resetPeak();
  };
  device.trim();
  device.resetPeak();
  const dtype = startDtype(config);
  const params = initParams(plannedModel, key(1), { device, dtype });
  end("start");
  const scripts = expertScripts(testDialect, plannedTasks);
  const trainer = new Trainer({
    config,
    model: plannedModel,
    params,
    dialect: testDialect,
    tasks: plannedTasks,
    sink: nullSink,
    createRunner: expertRunner(plannedTasks),
    ...(isExpert ? { policy: (...given) => expertPolicy(modelPolicy(...given), scripts) } : {}),
    onPart: (part) => end(part === "rewards" ? "rollouts" : part),
  });
  end("start");
  if (!keepsStart(config)) disposeParams(params);
  for await (const _ of trainer.steps());
  end("update");
  const sampling = samplingParams(trainer.model);
  const options = { ...config, model: plannedModel, params: sampling.params, dialect: testDialect };
  // An evaluation is at its peak when its prompts are read; how long it goes on takes no part.
  await evaluate({ ...options, tasks: heldOutTasks, step: 1, sink: nullSink, maxTurnTokens: 2 });
  end("evaluation");
  sampling.dispose();
  trainer.dispose();
  if (keepsStart(config)) disposeParams(params);
  return { peaks, bufferBytes };
}
