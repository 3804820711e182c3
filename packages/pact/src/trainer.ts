/**
 * The training loop, readable from top to bottom:
 *
 *     rollouts → rewards → advantages → gate → prefix trees → old log-probs → updates → metrics
 *
 * arXiv 2606.16215 (PACT); the methods it is compared with are the same loop with other options (methods.ts), imitation
 * phases train on expert episodes instead of rollouts. Departures from the paper: one update per batch by default, KL off
 * by default, settings of small scale; docs/algorithms/pact.md lists them. Left out: asynchronous rollouts.
 */
import { AdamW, type Params } from "@pact/nn";
import { foldIn, type Key, key } from "@pact/tensor";
import type { Task } from "@pact/tools-sim";
import { advantageEstimator } from "./advantage-registry.ts";
import { fittingTasks } from "./contexts.ts";
import { countSampled, type MetricValues } from "./counts.ts";
import { freezeBatch } from "./denominators.ts";
import { finiteGradient, termNorms } from "./gradient-norms.ts";
import { Health } from "./health.ts";
import { LossScale, type LossScaleState } from "./loss-scale.ts";
import { objectiveAt, phaseAt } from "./methods.ts";
import { noMetrics, scheduleMetrics, updateMetrics } from "./metrics.ts";
import { rolloutMetrics } from "./metrics-rollouts.ts";
import { type Model, type StartModel, samplingParams, startModel, storedWeights } from "./model.ts";
import { nonFiniteError } from "./nonfinite.ts";
import { type MicroBatch, microBatches } from "./pack.ts";
import { modelPolicy } from "./policy.ts";
import { rolloutRecord } from "./records.ts";
import { collectRollouts, type Rollout, rolloutPrompt, withoutTrace } from "./rollout.ts";
import { isAnchored, learningRate } from "./schedules.ts";
import { endlessly, uniformOf } from "./shuffle.ts";
import { StepWatch } from "./timings.ts";
import type { Material, TrainEvent, TrainOptions, TrainResult } from "./train-types.ts";
import { captureState, encodeState, restoreOptimizer, type TrainerState } from "./trainer-state.ts";
import { trainingRewards } from "./training-rewards.ts";
import { buildEpisode, type PromptTree, type RoutedPrompt, stepTrees } from "./trees.ts";
import { type BatchGradient, batchGradient, disposeParams, frozenLogProbs, tokenLosses } from "./update.ts";

/** Names of the random streams under the run's seed; model.ts has that of fresh adapters. */
const streams = { order: 1, gate: 2, rollouts: 3 } as const;

/**
 * A training run in progress: live parameters and counters, and the steps as an async iterator.
 *
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 269, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 4096, tie_word_embeddings: true,
 * });
 * const settings = trainConfig({ method: "sft", steps: 1, promptsPerStep: 1, maxContextTokens: 4096 });
 * const params = initParams(config, key(0));
 * const trainer = new Trainer({ config: settings, model: config, params, dialect: nativeDialect(codec), tasks: [task], sink: nullSink });
 * const kinds: string[] = [];
 * for await (const event of trainer.steps()) kinds.push(event.kind);
 * kinds; // → ["rollouts", "step"]
 * trainer.result.stepsDone; // → 1
 * trainer.dispose();
 * ```
 */
export class Trainer {
  readonly #options: TrainOptions;
  readonly #tasks: readonly Task[];
  readonly #optimizer: AdamW;
  readonly #model: Model;
  readonly #start: StartModel;
  /** Only where gradients pass through f16. */
  readonly #lossScale: LossScale | undefined;
  readonly #root: Key;
  readonly #skipped: number;
  readonly #health = new Health();
  readonly #watch: StepWatch;
  #stepsDone = 0;
  #saved = 0;
  /** The parameters are those of `#stepsDone` whole steps that are all in the metrics: only then are they saved. */
  #isSettled = true;
  /** The loss scale behind those steps: a step that fails may have made it smaller. */
  #settledScale: LossScaleState | undefined;
  #sampledTokens = 0;
  #trainedTokens = 0;
  #forwardTokens = 0;

  /**
   * @throws ContextLengthError when no task fits into the context limit; ConfigError for `precision` f16 on a device without
   *   it; ParameterError for `loraTargets` that are no layers of the model
   */
  constructor(options: TrainOptions) {
    const { config, model, params, dialect, resume } = options;
    this.#options = options;
    this.#watch = new StepWatch(options.onPart);
    this.#tasks = fittingTasks(dialect, options.tasks, config, model.maxPositions);
    this.#skipped = options.tasks.length - this.#tasks.length;
    const start = startModel(model, params, config, resume?.params);
    this.#optimizer = new AdamW(start.model.params, {
      beta1: config.beta1,
      beta2: config.beta2,
      weightDecay: config.weightDecay,
      clipNorm: config.clipNorm,
    });
    disposeParams(start.fresh);
    this.#model = { ...start.model, params: this.#optimizer.params };
    this.#start = start;
    this.#lossScale = config.precision === "f16" ? new LossScale(resume?.state.lossScale) : undefined;
    this.#settledScale = this.#lossScale?.state;
    if (resume) this.#restore(resume.state);
    this.#root = key(config.seed);
    for (const line of resume?.lines ?? []) this.#health.observe(line);
  }

  /** The model with its live parameters; they change in place. To sample from it take `samplingParams(trainer.model)`. */
  get model(): Model {
    return this.#model;
  }

  /** What is trained: all parameters, or with LoRA the weights of the adapters. They change in place. */
  get params(): Params {
    return this.#model.params;
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
   * Runs the steps. However the iteration ends (done, `break`, an error), what was trained is saved as a checkpoint: whole
   * steps that are in the metrics. An error amid an update leaves the checkpoint before it.
   */
  async *steps(): AsyncGenerator<TrainEvent, TrainResult> {
    const { config, sink } = this.#options;
    try {
      while (this.#stepsDone < config.steps) {
        const step = this.#stepsDone;
        const tasks = this.#tasksOf(step);
        this.#watch.skip();
        const { trees, plain, rollouts, metrics }: Material =
          phaseAt(config, step) === "imitate"
            ? { trees: this.#episodes(tasks), plain: [], rollouts: [], metrics: {} }
            : await this.#explore(step, tasks);
        yield { kind: "rollouts", step, rollouts };
        this.#watch.skip();
        const batches = microBatches(trees, config);
        const plainBatches = plain.length === 0 ? [] : microBatches(plain, config);
        const updated = await this.#update(step, batches, plainBatches);
        this.#stepsDone += 1;
        const values = {
          ...noMetrics,
          ...metrics,
          ...updated,
          ...this.#bookkeeping(step, batches, rollouts),
        };
        const health = this.#health.observe({ values });
        const line = { step, values, ...(health.length > 0 ? { health } : {}) };
        await sink.metrics(line, this.#watch.take());
        this.#isSettled = true;
        this.#settledScale = this.#lossScale?.state;
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
    if (this.#stepsDone === this.#saved || !this.#isSettled) return;
    const { stepsDone: step, ...counters } = this.result;
    const { baseModel, sink } = this.#options;
    const lossScale = this.#settledScale && { lossScale: this.#settledScale };
    const state = encodeState(await captureState(this.#optimizer, { step, ...counters, ...lossScale }));
    await sink.checkpoint({ step, ...(await storedWeights(this.#model, baseModel)), state });
    this.#saved = step;
  }

  #restore(state: TrainerState): void {
    restoreOptimizer(this.#optimizer, state);
    this.#stepsDone = this.#saved = state.step;
    this.#sampledTokens = state.sampledTokens;
    this.#trainedTokens = state.trainedTokens;
    this.#forwardTokens = state.forwardTokens;
  }

  /** Frees what is trained and the optimiser's state. */
  dispose(): void {
    this.#optimizer.dispose();
    disposeParams(this.#start.copies);
  }

  /** The tasks of a step: consecutive slices of one shuffle of all tasks per epoch. */
  #tasksOf(step: number): Task[] {
    const { promptsPerStep } = this.#options.config;
    const order = foldIn(this.#root, streams.order);
    const count = this.#tasks.length;
    return endlessly(order, count, step * promptsPerStep, promptsPerStep).map((index) => this.#tasks[index]);
  }

  /** The expert episodes of tasks. */
  #episodes(tasks: readonly Task[]): PromptTree[] {
    const { dialect, config } = this.#options;
    return tasks.map((task) => buildEpisode(dialect, task, tasks.length, config.maxContextTokens));
  }

  /** Rollouts from the prompts alone, their rewards and advantages, the gate, and the trees to train on. */
  async #explore(step: number, tasks: readonly Task[]): Promise<Material> {
    const { config, model, dialect, sink } = this.#options;
    const count = config.rolloutsPerPrompt;
    const prompts = tasks.map((task, slot) => rolloutPrompt(dialect, withoutTrace(task), slot));
    const sampling = samplingParams(this.#model);
    const rollouts = await collectRollouts(prompts, {
      dialect,
      policy: (this.#options.policy ?? modelPolicy)(model, sampling.params),
      rolloutsPerPrompt: count,
      temperature: 1,
      maxTurns: config.maxTurns,
      maxTurnTokens: config.maxTurnTokens,
      maxRolloutTokens: config.maxRolloutTokens,
      key: foldIn(foldIn(this.#root, streams.rollouts), step),
      createRunner: this.#options.createRunner,
      onTokens: this.#options.onTokens,
      signal: this.#options.signal,
    }).finally(() => sampling.dispose());
    this.#watch.lap("rollouts");
    const rewards = rollouts.map((rollout, index) =>
      trainingRewards(rollout, tasks[Math.floor(index / count)], config),
    );
    const advantages = advantageEstimator(config.advantage)(
      rewards.map((reward) => reward.perTurn),
      rollouts.map((_, index) => Math.floor(index / count)),
      { gamma: config.gamma, epsilon: config.advantageEpsilon, soloTurn: config.soloTurn },
    );
    const gateKey = foldIn(foldIn(this.#root, streams.gate), step);
    const isGated = config.anchor === "gate";
    const routed = tasks.map((task, slot): RoutedPrompt => {
      const own = { start: slot * count, end: (slot + 1) * count };
      return {
        task,
        rollouts: rollouts.slice(own.start, own.end),
        advantages: advantages.slice(own.start, own.end),
        anchored: isGated && isAnchored(uniformOf(foldIn(gateKey, slot)), config.anchorProbability),
      };
    });
    for (const [index, rollout] of rollouts.entries()) {
      const phase = { step, phase: "train", decoding: "sampled" } as const;
      const training = {
        advantages: advantages[index],
        anchored: routed[Math.floor(index / count)].anchored,
      };
      await sink.rollout(rolloutRecord(dialect, rollout, rewards[index], phase, training));
    }
    const metrics = rolloutMetrics(rollouts, rewards, count, (ids) => dialect.opensReasoning(ids));
    const anchored = routed.filter((prompt) => prompt.anchored).length / tasks.length;
    const trees = stepTrees(dialect, routed, step, config);
    this.#watch.lap("rewards");
    return {
      ...trees,
      rollouts,
      metrics: { ...metrics, "trace/anchored": isGated ? anchored : null },
    };
  }

  /** Old log-probs in the routed context, then the optimiser updates of a batch. */
  async #update(
    step: number,
    given: readonly MicroBatch[],
    plain: readonly MicroBatch[],
  ): Promise<MetricValues> {
    const { config } = this.#options;
    const current = this.#model;
    const scale = this.#lossScale;
    const objective = objectiveAt(config, step);
    const rate = learningRate({
      step,
      steps: config.steps,
      peak: config.learningRate,
      warmupSteps: config.warmupSteps,
      finalFraction: config.finalLearningRate,
    });
    // One frozen denominator for all updates of the batch; with a single update its own forward is that denominator.
    const frozen = await freezeBatch(current, given, plain, config);
    const { batches, old } = frozen;
    const norms =
      config.gradientNormsEvery > 0 && step % config.gradientNormsEvery === 0
        ? await termNorms(current, batches, objective, old, scale)
        : {};
    const reference = objective.klCoefficient ? frozenLogProbs(this.#start.reference, batches) : undefined;
    this.#watch.lap("frozen");
    let first: BatchGradient | undefined;
    let last: BatchGradient | undefined;
    let norm = 0;
    let used: number | null = null;
    for (let update = 0; update < config.innerUpdates; update++) {
      const compute = (lossScale = 1) =>
        batchGradient(current, batches, { ...objective, lossScale }, { old, reference });
      const checked = await finiteGradient(scale, compute);
      last = checked.gradient;
      first ??= last;
      this.#watch.lap("gradients");
      if (!Number.isFinite(checked.norm)) {
        disposeParams(last.grads);
        const isLoss = !Number.isFinite(last.loss);
        const [name, value] = isLoss ? ["loss", last.loss] : ["gradient norm", checked.norm];
        throw await nonFiniteError(step, String(name), Number(value), compute);
      }
      this.#isSettled = false;
      const clipped = this.#optimizer.step(last.grads, rate);
      norm = await clipped.item();
      clipped.dispose();
      disposeParams(last.grads);
      used = scale?.value ?? null;
      scale?.update();
      this.#watch.lap("update");
    }
    for (const tensor of [...(old ?? []), ...(reference ?? [])]) tensor.dispose();
    if (first === undefined || last === undefined) return {};
    const losses = await tokenLosses(current, batches, first.logProbs, frozen.oldValues, objective);
    return {
      ...updateMetrics(frozen, first, last, losses, objective),
      ...norms,
      "gradient/norm": norm,
      "gradient/loss_scale": used,
      "schedule/learning_rate": rate,
    };
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
    return {
      ...scheduleMetrics(config, step),
      "tokens/sampled": this.#sampledTokens,
      "tokens/trained": this.#trainedTokens,
      "tokens/forward": this.#forwardTokens,
      "tasks/skipped": this.#skipped,
    };
  }
}
