/**
 * How much memory a training run will take on its device, before any is taken. Nothing is estimated by formulas: the
 * trainer and the evaluation themselves run on a device that counts instead of computing (tensor's `planningDevice`), so
 * a plan follows the code. What the model will say is not known before: rollouts are planned with a turn that runs to its
 * limit, or with another length, or as the experts' episodes (plan-policy.ts). Left out: saving, which reads to the host
 * and makes no tensors, and the host's own memory.
 */
import { paramSpecs, type TransformerConfig } from "@pact/nn";
import { type PlannedTensor, type PlanningDevice, planningDevice } from "@pact/tensor";
import type { Task } from "@pact/tools-sim";
import type { TrainConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";
import { evaluate } from "./evaluate.ts";
import { keepsStart, samplingParams, startDtype } from "./model.ts";
import { type PlanParts, partsOf } from "./plan-parts.ts";
import { expertPolicy, expertRunner, expertScripts } from "./plan-policy.ts";
import { modelPolicy } from "./policy.ts";
import { nullSink } from "./run-sink.ts";
import type { StepPart } from "./timings.ts";
import { Trainer } from "./trainer.ts";
import { disposeParams } from "./update.ts";

/**
 * A part of a run that has a peak of its own: `frozen` computes old log-probs and those of the KL reference, `gradients`
 * the forward and backward passes, `update` is the optimiser's.
 */
export type PlanPhase = "start" | "evaluation" | "rollouts" | "frozen" | "gradients" | "update";

/** The peak of a phase. */
export interface PhasePlan {
  readonly phase: PlanPhase;
  /** `device.memory().peakBytes` of the phase. */
  readonly peakBytes: number;
  /**
   * What the peak is made of: the weights as loaded and as trained, optimiser state, gradients, the keys and values of
   * decoding, tensors [M, V] of the head, and all else that is computed.
   */
  readonly parts: PlanParts;
}

/** What a run will take. */
export interface TrainingPlan {
  /** The most at any time: `device.memory().peakBytes` of the run. */
  readonly peakBytes: number;
  /** The phase that takes it. */
  readonly peakPhase: PlanPhase;
  /** In the order of a run; phases that do not happen are missing. */
  readonly phases: readonly PhasePlan[];
  /** The most that the run's buffers take: the pool keeps freed ones for the next tensors, in size classes. */
  readonly pooledPeakBytes: number;
  /** The largest single tensor, and where it is made: it must fit into one binding of the adapter. */
  readonly largestTensor: PlannedTensor & { readonly phase: PlanPhase };
  /** Numbers of the model, and those of them (or of adapters) that are trained. */
  readonly parameters: number;
  readonly trainable: number;
}

/** What is to be planned: what a run takes, without weights. */
export interface TrainingPlanOptions {
  readonly config: TrainConfig;
  readonly model: TransformerConfig;
  readonly dialect: Dialect;
  /** Training tasks. */
  readonly tasks: readonly Task[];
  /** Tasks of the evaluations; default none. */
  readonly heldOut?: readonly Task[];
  /** k, sampled rollouts per task of an evaluation; default 1. */
  readonly evaluationRollouts?: number;
  /**
   * Sampled tokens of every rollout, `maxRolloutTokens` at most; "expert": what the expert of its task wrote. Default
   * `maxTurnTokens`: one turn that runs to its limit, as those of models do that were not trained on the tasks.
   */
  readonly rolloutTokens?: number | "expert";
}

/** Steps of a run that stand for all: from the beginning to near the end of every schedule, and each phase of a method. */
const plannedSteps = 4;

/** Model calls of an evaluation until it has reached its peak: the prompts, and a token in every row. */
const evaluationCalls = 2;

const phases: readonly PlanPhase[] = ["start", "evaluation", "rollouts", "frozen", "gradients", "update"];

const phaseOf: { readonly [Part in StepPart]: PlanPhase } = {
  rollouts: "rollouts",
  rewards: "rollouts",
  frozen: "frozen",
  gradients: "gradients",
  update: "update",
};

/** Keeps the peak of each phase and the largest tensor. */
class PeakLog {
  readonly peaks = new Map<
    PlanPhase,
    { readonly bytes: number; readonly tensors: readonly PlannedTensor[] }
  >();
  largest: (PlannedTensor & { readonly phase: PlanPhase }) | undefined;
  pooledBytes = 0;
  readonly #device: PlanningDevice;

  constructor(device: PlanningDevice) {
    this.#device = device;
  }

  /** What happened since the last call belongs to `phase`. */
  end(phase: PlanPhase): void {
    const device = this.#device;
    const { peakBytes: bytes, liveBytes, pooledBytes } = device.memory();
    if (bytes > (this.peaks.get(phase)?.bytes ?? -1))
      this.peaks.set(phase, { bytes, tensors: device.atPeak() });
    const { largestTensor: largest } = device;
    if (largest && largest.bytes > (this.largest?.bytes ?? 0)) this.largest = { ...largest, phase };
    this.pooledBytes = Math.max(this.pooledBytes, liveBytes + pooledBytes);
    device.resetPeak();
  }
}

/**
 * Predicts the peak memory of a training run, phase by phase. Nothing is allocated on a device, no weights are read and no
 * tool is executed. The run is the one of `pact train`: parameters are loaded in f32, a frozen base under adapters in
 * `precision`.
 *
 * @throws ContextLengthError when no task fits into the context limit; what `Trainer` throws for settings that it refuses
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 2, category: "single_hop" });
 * const model = configFromJson({
 *   model_type: "qwen3", vocab_size: 269, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 4096, tie_word_embeddings: true,
 * });
 * const config = trainConfig({ promptsPerStep: 2, maxContextTokens: 4096 });
 * const plan = await planTraining({ config, model, dialect: nativeDialect(codec), tasks });
 * plan.peakPhase; // → "gradients"
 * plan.phases.map(({ phase }) => phase); // → ["start", "rollouts", "frozen", "gradients", "update"]
 * ```
 */
export async function planTraining(options: TrainingPlanOptions): Promise<TrainingPlan> {
  const { model, dialect, tasks, heldOut = [] } = options;
  const { maxTurnTokens, maxRolloutTokens } = options.config;
  const { rolloutTokens = Math.min(maxTurnTokens, maxRolloutTokens) } = options;
  const isExpert = rolloutTokens === "expert";
  const config = {
    ...options.config,
    steps: Math.min(options.config.steps, plannedSteps),
    checkpointEvery: 0,
    // A rollout that says nothing of use ends with its first turn.
    maxTurnTokens: isExpert ? maxTurnTokens : rolloutTokens,
  };
  const scripts = isExpert ? expertScripts(dialect, tasks) : new Map();
  const device = planningDevice();
  const log = new PeakLog(device);
  const dtype = startDtype(config);
  const params = Object.fromEntries(
    paramSpecs(model).map(({ name, shape }) => [name, device.empty(shape, dtype)]),
  );
  const loaded = Object.values(params);
  const trainer = new Trainer({
    config,
    model,
    params,
    dialect,
    tasks,
    sink: nullSink,
    policy: (...given) => expertPolicy(modelPolicy(...given), scripts),
    createRunner: expertRunner(tasks),
    onPart: (part) => log.end(phaseOf[part]),
  });
  log.end("start");
  const lasting = new Set(device.atPeak());
  const trained = Object.values(trainer.params);
  const releases = !keepsStart(config);
  if (releases) disposeParams(params);
  if (config.steps > 0) {
    // Not to its end: that would save a checkpoint, which takes the host's memory.
    const events = trainer.steps();
    for (let done = 0; done < config.steps; ) {
      const event = await events.next();
      if (event.done || event.value.kind === "step") done++;
    }
    log.end("update");
  }
  if (heldOut.length > 0) {
    await firstPasses(options, trainer, heldOut);
    log.end("evaluation");
  }
  const planned = phases.flatMap((phase): PhasePlan[] => {
    const peak = log.peaks.get(phase);
    if (peak === undefined) return [];
    const isSampling = phase === "rollouts" || phase === "evaluation";
    const known = { lasting, loaded, trained, model, isReleased: releases && phase !== "start" };
    return [{ phase, peakBytes: peak.bytes, parts: partsOf(peak.tensors, isSampling, known) }];
  });
  device.destroy();
  const top = planned.reduce((most, one) => (one.peakBytes > most.peakBytes ? one : most));
  return {
    peakBytes: top.peakBytes,
    peakPhase: top.phase,
    phases: planned,
    pooledPeakBytes: log.pooledBytes,
    largestTensor: log.largest!,
    parameters: loaded.reduce((sum, { size }) => sum + size, 0),
    trainable: trained.reduce((sum, { size }) => sum + size, 0),
  };
}

/** The first batch of an evaluation until it has reached its peak. */
async function firstPasses(
  { config, model, dialect, evaluationRollouts }: TrainingPlanOptions,
  trainer: Trainer,
  tasks: readonly Task[],
): Promise<void> {
  const enough = new AbortController();
  let calls = 0;
  const onTokens = (): void => {
    calls += 1;
    if (calls === evaluationCalls) enough.abort();
  };
  using sampling = samplingParams(trainer.model);
  try {
    await evaluate({
      ...config,
      model,
      params: sampling.params,
      dialect,
      tasks,
      rollouts: evaluationRollouts,
      step: 0,
      sink: nullSink,
      createRunner: expertRunner(tasks),
      signal: enough.signal,
      onTokens,
    });
  } catch (error) {
    if (error !== enough.signal.reason) throw error;
  }
}
