/**
 * What a run of training takes of a device, part by part: for the table of docs/memory.md (memory.ts), and for the tests that
 * compare plans with runs. Weights are random; rollouts can say what the experts wrote, so that every run has the same tokens.
 */
import { initParams, type TransformerConfig } from "@pact/nn";
import { type Dialect, modelPolicy, nullSink, type TrainConfig, Trainer } from "@pact/pact";
import { type Device, key } from "@pact/tensor";
import type { Task } from "@pact/tools-sim";
import { keepsStart, startDtype } from "../packages/pact/src/model.ts";
import type { PlanPhase } from "../packages/pact/src/plan.ts";
import { expertPolicy, expertRunner, expertScripts } from "../packages/pact/src/plan-policy.ts";
import { disposeParams } from "../packages/pact/src/update.ts";

/** A run to measure. */
export interface MeasuredTraining {
  readonly config: TrainConfig;
  readonly model: TransformerConfig;
  readonly dialect: Dialect;
  readonly tasks: readonly Task[];
  /** Rollouts say what the experts wrote; else what the model samples. */
  readonly isExpert: boolean;
}

/** What it took. */
export interface Measured {
  /** Most bytes of live tensors in each phase. */
  readonly peaks: ReadonlyMap<PlanPhase, number>;
  /** The most that buffers took, those between two uses among them. */
  readonly bufferBytes: number;
  /** Tokens of the passes that are differentiated. */
  readonly forwardTokens: number;
}

/**
 * Trains `config.steps` steps on a device that has nothing else alive.
 *
 * @param after what is done with the trained model, as the phase `evaluation`
 */
export async function measureTraining(
  device: Device,
  { config, model, dialect, tasks, isExpert }: MeasuredTraining,
  after?: (trainer: Trainer) => Promise<void>,
): Promise<Measured> {
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
  const params = initParams(model, key(1), { device, dtype: startDtype(config) });
  end("start");
  const scripts = expertScripts(dialect, tasks);
  const trainer = new Trainer({
    config,
    model,
    params,
    dialect,
    tasks,
    sink: nullSink,
    createRunner: expertRunner(tasks),
    ...(isExpert ? { policy: (...given) => expertPolicy(modelPolicy(...given), scripts) } : {}),
    onPart: (part) => end(part === "rewards" ? "rollouts" : part),
  });
  end("start");
  if (!keepsStart(config)) disposeParams(params);
  for await (const _ of trainer.steps());
  end("update");
  await after?.(trainer);
  if (after) end("evaluation");
  const { forwardTokens } = trainer.result;
  trainer.dispose();
  if (keepsStart(config)) disposeParams(params);
  return { peaks, bufferBytes, forwardTokens };
}
