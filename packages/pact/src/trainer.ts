/**
 * The training loop, readable from top to bottom:
 *
 *     rollouts → rewards → advantages → gate → prefix trees → (old log-probs) → updates → metrics
 *
 * arXiv 2606.16215 (PACT); with the gate fixed at q = 1 it is MatchTIR, with `sft` it imitates expert episodes.
 * Departures from the paper: one update per batch by default, k3 KL off by default, scale-dependent settings in
 * config.ts; docs/algorithms/pact.md lists them. A run can stop and go on with the same bits: trainer-state.ts. Left out:
 * asynchronous rollouts.
 */
import { AdamW, type Params, paramsToSafetensors, type TransformerConfig } from "@pact/nn";
import { foldIn, type Key, key, scope, tensor } from "@pact/tensor";
import type { Task } from "@pact/tools-sim";
import { turnAdvantages } from "./advantages.ts";
import {
  buildEpisode,
  buildTree,
  contextTokens,
  lossTerm,
  type MicroBatch,
  type PromptTree,
  packMicroBatches,
} from "./batch.ts";
import type { TrainConfig } from "./config.ts";
import { CheckpointError, ContextLengthError, NonFiniteError } from "./errors.ts";
import type { ObjectiveOptions } from "./losses/objective.ts";
import {
  clipMetrics,
  countSampled,
  type MetricValues,
  noMetrics,
  rolloutMetrics,
  tokenMetrics,
} from "./metrics.ts";
import { modelPolicy } from "./policy.ts";
import { rolloutRecord, rolloutRewards } from "./records.ts";
import { collectRollouts, type Rollout, type RolloutPolicy, rolloutPrompt, withoutTrace } from "./rollout.ts";
import type { RunSink, StepMetrics } from "./run-sink.ts";
import { callWeight, isAnchored, learningRate, prefixLevel } from "./schedules.ts";
import { endlessly, uniformOf } from "./shuffle.ts";
import type { TokenCodec } from "./tokens.ts";
import { encodeState, type TrainerState } from "./trainer-state.ts";
import {
  type BatchGradient,
  batchGradient,
  disposeParams,
  frozenLogProbs,
  termGradientNorm,
} from "./update.ts";

/** What a training run needs. */
export interface TrainOptions {
  readonly config: TrainConfig;
  readonly model: TransformerConfig;
  /** Initial parameters; copied, and kept as the frozen KL reference. The caller disposes them. */
  readonly params: Params;
  readonly codec: TokenCodec;
  readonly tasks: readonly Task[];
  readonly sink: RunSink;
  /** What samples the rollouts from the live parameters. Default `modelPolicy`. */
  readonly policy?: (model: TransformerConfig, params: Params) => RolloutPolicy;
  /** Called after every sampled token column with the number of rows, for live token counts. */
  readonly onTokens?: (tokens: number) => void;
  /** Where to go on: the state, and the weights that belong to it (copied; the caller disposes them). */
  readonly resume?: { readonly state: TrainerState; readonly params: Params };
  /** Aborting it rejects at the next model call; to stop after the current step, end the iteration instead. */
  readonly signal?: AbortSignal;
}

/** What `train` yields: rollouts are done (before the update), or a step is done and logged. */
export type TrainEvent =
  | { readonly kind: "rollouts"; readonly step: number; readonly rollouts: readonly Rollout[] }
  | { readonly kind: "step"; readonly step: number; readonly metrics: StepMetrics };

/** What is left of a run when it ends. */
export interface TrainResult {
  readonly stepsDone: number;
  readonly sampledTokens: number;
  readonly trainedTokens: number;
  readonly forwardTokens: number;
}

/** Names of the random streams under the run's seed. */
const streams = { order: 1, gate: 2, rollouts: 3 } as const;

/** A training run in progress: live parameters and counters, and the steps as an async iterator. */
export class Trainer {
  readonly #options: TrainOptions;
  readonly #tasks: readonly Task[];
  readonly #optimizer: AdamW;
  readonly #root: Key;
  readonly #objective: ObjectiveOptions;
  readonly #skipped: number;
  #stepsDone = 0;
  /** Steps done at the last checkpoint. */
  #saved = 0;
  #finite = true;
  #sampledTokens = 0;
  #trainedTokens = 0;
  #forwardTokens = 0;

  /**
   * @throws ContextLengthError when no task fits into the context limit
   * @example
   * const trainer = new Trainer({ config: trainConfig({ steps: 20 }), model, params, codec, tasks, sink });
   * for await (const event of trainer.steps()) if (event.kind === "step") console.log(event.metrics.values);
   */
  constructor(options: TrainOptions) {
    const { config, model, params, codec } = options;
    this.#options = options;
    const limit = Math.min(config.maxContextTokens, model.maxPositions);
    this.#tasks = options.tasks.filter((task) => contextTokens(codec, task, config) <= limit);
    this.#skipped = options.tasks.length - this.#tasks.length;
    if (this.#tasks.length === 0) {
      throw new ContextLengthError(
        `None of the ${options.tasks.length} training tasks fits into a context of ${limit} tokens together with its ` +
          "trace and a rollout. Raise maxContextTokens (and the model's maxPositions), or lower maxRolloutTokens.",
      );
    }
    this.#optimizer = new AdamW(options.resume?.params ?? params, {
      beta1: config.beta1,
      beta2: config.beta2,
      weightDecay: config.weightDecay,
      clipNorm: config.clipNorm,
    });
    if (options.resume) this.#restore(options.resume.state);
    this.#root = key(config.seed);
    this.#objective = {
      clipLow: config.clipLow,
      clipHigh: config.clipHigh,
      dualClip: config.dualClip,
      sftWeight: config.method === "sft" ? 1 : config.sftWeight,
      klCoefficient: config.klCoefficient,
    };
  }

  /** Live parameters; they change in place. */
  get params(): Params {
    return this.#optimizer.params;
  }

  /** Counters so far. */
  get result(): TrainResult {
    return {
      stepsDone: this.#stepsDone,
      sampledTokens: this.#sampledTokens,
      trainedTokens: this.#trainedTokens,
      forwardTokens: this.#forwardTokens,
    };
  }

  /**
   * Runs the steps. However the iteration ends (done, `break`, an error), what was trained is saved as a checkpoint.
   */
  async *steps(): AsyncGenerator<TrainEvent, TrainResult> {
    const { config, sink } = this.#options;
    try {
      while (this.#stepsDone < config.steps) {
        const step = this.#stepsDone;
        const tasks = this.#tasksOf(step);
        const { trees, rollouts, metrics } =
          config.method === "sft" ? this.#episodes(tasks) : await this.#explore(step, tasks);
        yield { kind: "rollouts", step, rollouts };
        const batches = packMicroBatches(trees, config.tokenBudget);
        const updated = await this.#update(step, batches);
        this.#stepsDone += 1;
        const line = {
          step,
          values: { ...noMetrics, ...metrics, ...updated, ...this.#bookkeeping(step, batches, rollouts) },
        };
        await sink.metrics(line);
        if (config.checkpointEvery > 0 && this.#stepsDone % config.checkpointEvery === 0) await this.#save();
        yield { kind: "step", step, metrics: line };
      }
    } finally {
      await this.#save();
    }
    return this.result;
  }

  /** A checkpoint of what was trained, unless there is one already. */
  async #save(): Promise<void> {
    // NOTE: parameters that are no numbers would replace the good ones of an earlier checkpoint.
    if (this.#stepsDone === this.#saved || !this.#finite) return;
    const { m, v, steps } = this.#optimizer;
    const moments = [await m.data(), await v.data()] as (Float32Array | Float64Array)[];
    const { stepsDone, ...counters } = this.result;
    const state = { step: stepsDone, optimizerSteps: steps, ...counters, m: moments[0], v: moments[1] };
    await this.#options.sink.checkpoint({
      step: stepsDone,
      model: await paramsToSafetensors(this.params),
      state: encodeState(state),
    });
    this.#saved = stepsDone;
  }

  #restore(state: TrainerState): void {
    const { device, dtype, size } = this.#optimizer.m;
    if (state.m.length !== size || state.v.length !== size) {
      throw new CheckpointError(
        `the state has moments of ${state.m.length} parameters, the model has ${size}. Resume with the model of the run.`,
      );
    }
    const moment = (data: Float32Array | Float64Array) => tensor(data, { dtype, device });
    scope(() => {
      this.#optimizer.restore({ m: moment(state.m), v: moment(state.v), steps: state.optimizerSteps });
    });
    this.#stepsDone = this.#saved = state.step;
    this.#sampledTokens = state.sampledTokens;
    this.#trainedTokens = state.trainedTokens;
    this.#forwardTokens = state.forwardTokens;
  }

  /** Frees parameters and optimiser state. */
  dispose(): void {
    this.#optimizer.dispose();
  }

  /** The tasks of a step: consecutive slices of one shuffle of all tasks per epoch. */
  #tasksOf(step: number): Task[] {
    const { promptsPerStep } = this.#options.config;
    const order = foldIn(this.#root, streams.order);
    const count = this.#tasks.length;
    return endlessly(order, count, step * promptsPerStep, promptsPerStep).map((index) => this.#tasks[index]);
  }

  /** Plain SFT: expert episodes instead of rollouts. */
  #episodes(tasks: readonly Task[]): Explored {
    const { codec, config } = this.#options;
    const trees = tasks.map((task) => buildEpisode(codec, task, tasks.length, config.maxContextTokens));
    return { trees, rollouts: [], metrics: {} };
  }

  /** Rollouts from the prompts alone, their rewards and advantages, the gate, and the trees to train on. */
  async #explore(step: number, tasks: readonly Task[]): Promise<Explored> {
    const { config, model, codec, sink } = this.#options;
    const count = config.rolloutsPerPrompt;
    const prompts = tasks.map((task, slot) => rolloutPrompt(codec, withoutTrace(task), slot));
    const rollouts = await collectRollouts(prompts, {
      codec,
      policy: (this.#options.policy ?? modelPolicy)(model, this.params),
      rolloutsPerPrompt: count,
      temperature: 1,
      maxTurns: config.maxTurns,
      maxTurnTokens: config.maxTurnTokens,
      maxRolloutTokens: config.maxRolloutTokens,
      key: foldIn(foldIn(this.#root, streams.rollouts), step),
      onTokens: this.#options.onTokens,
      signal: this.#options.signal,
    });
    const rewards = rollouts.map((rollout, index) =>
      rolloutRewards(rollout, tasks[Math.floor(index / count)], config.unmatchedCallPenalty),
    );
    const advantages = turnAdvantages(
      rewards.map((reward) => reward.perTurn),
      rollouts.map((_, index) => Math.floor(index / count)),
      { gamma: config.gamma, epsilon: config.advantageEpsilon, soloTurn: config.soloTurn },
    );
    const gateKey = foldIn(foldIn(this.#root, streams.gate), step);
    let anchored = 0;
    const trees = tasks.map((task, slot) => {
      const z = isAnchored(uniformOf(foldIn(gateKey, slot)), config.anchorProbability);
      if (z) anchored += 1;
      const own = { start: slot * count, end: (slot + 1) * count };
      const routed = {
        task,
        rollouts: rollouts.slice(own.start, own.end),
        advantages: advantages.combined.slice(own.start, own.end),
        anchored: z,
      };
      return buildTree(codec, routed, step, tasks.length, config);
    });
    for (const [index, rollout] of rollouts.entries()) {
      const phase = { step, phase: "train", decoding: "sampled" } as const;
      await sink.rollout(rolloutRecord(codec, rollout, rewards[index], phase, advantages.combined[index]));
    }
    const metrics = rolloutMetrics(
      rollouts,
      rewards.map((reward) => reward.total),
      count,
      codec.controlId("<think>"),
    );
    return { trees, rollouts, metrics: { ...metrics, "trace/anchored": anchored / tasks.length } };
  }

  /** The optimiser updates of a batch. */
  async #update(step: number, batches: readonly MicroBatch[]): Promise<MetricValues> {
    const { config, model } = this.#options;
    const current = { config: model, params: this.params };
    const rate = learningRate({
      step,
      steps: config.steps,
      peak: config.learningRate,
      warmupSteps: config.warmupSteps,
      finalFraction: config.finalLearningRate,
    });
    const norms: MetricValues =
      config.gradientNormsEvery > 0 && step % config.gradientNormsEvery === 0
        ? {
            "gradient/x": await termGradientNorm(current, batches, this.#objective, [lossTerm.anchored]),
            "gradient/h": await termGradientNorm(current, batches, this.#objective, [lossTerm.traced]),
            "gradient/sft": await termGradientNorm(current, batches, this.#objective, [
              lossTerm.sftReasoning,
              lossTerm.sftCall,
              lossTerm.sftAnswer,
            ]),
          }
        : {};
    const reference =
      config.klCoefficient > 0
        ? frozenLogProbs({ config: model, params: this.#options.params }, batches)
        : undefined;
    // One frozen denominator for all updates of the batch; with a single update its own forward is that denominator.
    const old = config.innerUpdates > 1 ? frozenLogProbs(current, batches) : undefined;
    let first: BatchGradient | undefined;
    let last: BatchGradient | undefined;
    let norm = 0;
    for (let update = 0; update < config.innerUpdates; update++) {
      last = await batchGradient(current, batches, this.#objective, { old, reference });
      first ??= last;
      this.#requireFinite(step, "loss", last.loss);
      const gradientNorm = this.#optimizer.step(last.grads, rate);
      norm = await gradientNorm.item();
      gradientNorm.dispose();
      disposeParams(last.grads);
      this.#requireFinite(step, "gradient norm", norm);
    }
    for (const frozen of [...(old ?? []), ...(reference ?? [])]) frozen.dispose();
    if (first === undefined || last === undefined) return {};
    return {
      ...tokenMetrics(batches, first.logProbs),
      ...clipMetrics(batches, first.logProbs, last.logProbs, this.#objective),
      ...norms,
      "loss/total": first.loss,
      "gradient/norm": norm,
      "schedule/learning_rate": rate,
    };
  }

  /** Stops a run whose numbers have left the floats: after this update nothing it computes means anything. */
  #requireFinite(step: number, name: string, value: number): void {
    if (Number.isFinite(value)) return;
    this.#finite = name === "loss";
    throw new NonFiniteError(
      `Training step ${step + 1}: the ${name} is ${value}. Lower learningRate (now ${this.#options.config.learningRate}) or clipNorm, ` +
        "or start from another base; the last good parameters are those of the checkpoint before.",
    );
  }

  /** Counts tokens and adds what does not come from rollouts or gradients. */
  #bookkeeping(step: number, batches: readonly MicroBatch[], rollouts: readonly Rollout[]): MetricValues {
    const { config } = this.#options;
    const updates = config.innerUpdates;
    for (const rollout of rollouts) this.#sampledTokens += countSampled(rollout);
    for (const batch of batches) {
      this.#trainedTokens += updates * batch.targets.length;
      this.#forwardTokens += updates * batch.packed.ids.length;
    }
    const schedules: MetricValues = {
      "schedule/call_weight":
        config.callSchedule === "scale"
          ? callWeight(step, config.steps, config.callWeightStart, config.callWeightEnd)
          : config.callWeightStart,
      "schedule/level": config.reasoningSchedule === "segment" ? prefixLevel(step, config.steps) : null,
    };
    return {
      // Without z = 0 prompts there is no component-aware SFT term to anneal.
      ...(config.method !== "sft" && config.anchorProbability < 1 ? schedules : {}),
      "tokens/sampled": this.#sampledTokens,
      "tokens/trained": this.#trainedTokens,
      "tokens/forward": this.#forwardTokens,
      "tasks/skipped": this.#skipped,
    };
  }
}

interface Explored {
  readonly trees: readonly PromptTree[];
  readonly rollouts: readonly Rollout[];
  readonly metrics: MetricValues;
}
