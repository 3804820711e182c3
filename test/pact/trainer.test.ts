import { type Params, paramsFromSafetensors, type TransformerConfig } from "@pact/nn";
import { defaultDevice, full } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { defaultConfig, type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { contextTokens } from "../../packages/pact/src/contexts.ts";
import { CheckpointError, NonFiniteError } from "../../packages/pact/src/errors.ts";
import { metricDescriptions } from "../../packages/pact/src/metric-table.ts";
import {
  type Checkpoint,
  nullSink,
  type RunSink,
  type StepMetrics,
} from "../../packages/pact/src/run-sink.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { decodeState } from "../../packages/pact/src/trainer-state.ts";
import { testDialect } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";
import { trace } from "./tasks.ts";
import { runTraining, startModel, shortTasks as tasks } from "./training.ts";

let model: TransformerConfig;
let params: Params;
beforeAll(async () => {
  await cpuDevice();
  ({ model, params } = await startModel());
});

/** A short run of tasks with short traces, cut into several micro-batches. */
const train: typeof runTraining = (given, options, steps) =>
  runTraining({ rolloutsPerPrompt: 2, tokenBudget: 250, ...given }, { tasks, ...options }, steps);

describe("a training run", () => {
  it("is the same run twice: parameters, metrics and records, bit for bit", async () => {
    const first = await train();
    const second = await train();
    expect(second).toEqual(first);
    expect(first.lines.length).toBe(2);
    expect(first.records.length).toBe(8);
    expect((await train({ seed: 2 })).trained).not.toEqual(first.trained);
  });

  it("stopped at any checkpoint and gone on with is the run that was never stopped, bit for bit", async () => {
    const given = { steps: 4, checkpointEvery: 1, innerUpdates: 2, klCoefficient: 0.01 };
    const whole = await train(given);
    expect(whole.checkpoints.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    for (const stop of [1, 3]) {
      const { model: weights, state } = whole.checkpoints[stop - 1];
      const resumed = paramsFromSafetensors(model, weights);
      const rest = await train(given, {
        resume: { state: decodeState(state), params: resumed, lines: whole.lines.slice(0, stop) },
      });
      expect(rest.lines).toEqual(whole.lines.slice(stop));
      expect(rest.records).toEqual(whole.records.filter(({ step }) => step >= stop));
      expect(rest.checkpoints).toEqual(whole.checkpoints.slice(stop));
      expect(rest.trained).toEqual(whole.trained);
      expect(rest.result).toEqual(whole.result);
    }
  });

  it("saves at the end, and on the way as often as asked for", async () => {
    const steps = async (checkpointEvery: number) =>
      (await train({ steps: 3, checkpointEvery })).checkpoints.map(({ step }) => step);
    expect(await steps(0)).toEqual([3]);
    expect(await steps(2)).toEqual([2, 3]);
    expect(await steps(3)).toEqual([3]);
  });

  it("refuses the state of another model", async () => {
    const { checkpoints } = await train();
    const state = decodeState(checkpoints[0].state);
    const other = { ...state, m: state.m.subarray(1), v: state.v.subarray(1) };
    expect(
      () =>
        new Trainer({
          config: trainConfig({ steps: 2 }),
          model,
          params,
          dialect: testDialect,
          tasks,
          sink: nullSink,
          resume: { state: other, params },
        }),
    ).toThrow(CheckpointError);
  });

  it("with q = 1 equals MatchTIR bit for bit, and the traces do not matter", async () => {
    const matchtir = await train({ method: "matchtir" });
    const pact = await train({ anchorProbability: 1 });
    expect(pact.trained).toEqual(matchtir.trained);
    expect(pact.lines).toEqual(matchtir.lines);
    // The reference calls of the reward stay the same; only the reasoning of the trace differs.
    const reworded = { ...trace.turns[1], chunks: [{ type: "other" as const, text: "Zzz." }] };
    const others = tasks.map((entry) => ({ ...entry, trace: { ...trace, turns: [reworded] } }));
    expect((await train({ method: "matchtir" }, { tasks: others })).trained).toEqual(matchtir.trained);
    expect((await train({}, { tasks: others })).trained).not.toEqual((await train()).trained);
  });

  it("stops at a loss that is no number, names the operation it began in, and saves no checkpoint of it", async () => {
    const [name, first] = Object.entries(params)[0];
    const broken = { ...params, [name]: full(first.shape, Number.NaN, { dtype: first.dtype }) };
    const saved: Checkpoint[] = [];
    const sink = { ...nullSink, checkpoint: async (checkpoint: Checkpoint) => void saved.push(checkpoint) };
    const failed = await train({}, { params: broken, sink }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(NonFiniteError);
    expect(String(failed)).toMatch(
      /Training step 1: the loss is NaN\. Where it began: reshape was the first to use/,
    );
    expect(saved).toEqual([]);
  });

  it("names the operation that makes an infinity of finite parameters", async () => {
    const [name, first] = Object.entries(params)[0];
    const large = { ...params, [name]: full(first.shape, 1e30) };
    const failed = await train({ innerUpdates: 2 }, { params: large }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(NonFiniteError);
    expect(String(failed)).toMatch(
      /is Infinity\. Where it began: square made \d+ infinite .* out of finite inputs/,
    );
  });

  it("saves no step whose metrics could not be written", async () => {
    const saved: number[] = [];
    const sink = {
      ...nullSink,
      metrics: async ({ step }: StepMetrics) => {
        if (step === 2) throw new Error("disk full");
      },
      checkpoint: async ({ step }: Checkpoint) => void saved.push(step),
    };
    await expect(train({ steps: 4, checkpointEvery: 2 }, { sink })).rejects.toThrow("disk full");
    expect(saved).toEqual([2]);
  });

  it("writes the times of its parts apart from the values, and warnings once, on the line where they begin", async () => {
    const times: string[][] = [];
    const lines: StepMetrics[] = [];
    const sink: RunSink = {
      ...nullSink,
      metrics: async (line, parts = {}) => {
        lines.push(line);
        times.push(Object.keys(parts));
        for (const seconds of Object.values(parts)) expect(seconds).toBeGreaterThanOrEqual(0);
      },
    };
    await train({ steps: 3 }, { sink });
    expect(times).toEqual(lines.map(() => ["rollouts", "rewards", "frozen", "gradients", "update"]));
    // The scripted sampler's log-probs are invented, so sampler and trainer disagree.
    const warned = lines.filter(({ health = [] }) =>
      health.some((text) => text.startsWith("sampler and trainer")),
    );
    expect(warned).toHaveLength(1);
    expect(lines.filter(({ health }) => health?.length === 0)).toEqual([]);
  });

  it("with one update per batch has no clipping and sampled tokens differ from the scripted log-probs only in logs", async () => {
    const { lines } = await train();
    for (const { values } of lines) {
      expect(values["policy/clip_fraction"]).toBe(0);
      expect(values["policy/approximate_kl"]).toBe(0);
    }
  });

  it("logs only documented, finite metrics", async () => {
    const { params: precise } = await tinyModel(3); // f64
    const { lines } = await train({ gradientNormsEvery: 1 }, { params: precise });
    for (const { values } of lines) {
      for (const [name, value] of Object.entries(values)) {
        expect(Object.keys(metricDescriptions), name).toContain(name);
        if (value !== null) expect(Number.isFinite(value), name).toBe(true);
      }
    }
    const mixed = lines.find(({ values }) => values["loss/h"] !== null && values["loss/x"] !== null);
    const { values } = mixed ?? lines[0];
    const total =
      (values["loss/x"] ?? 0) + (values["loss/h"] ?? 0) + defaultConfig.sftWeight * (values["loss/sft"] ?? 0);
    expect(values["loss/total"]).toBeCloseTo(total, 9);
  });

  it("trains plain SFT without a rollout, and its loss falls", async () => {
    const { lines, records, result } = await train({ method: "sft", steps: 6, learningRate: 0.02 });
    expect(records).toEqual([]);
    expect(result.sampledTokens).toBe(0);
    expect(lines.at(-1)?.values["loss/total"]).toBeLessThan(lines[0].values["loss/total"]!);
  });

  it("raises the reward's share of what is rewarded: L^x lifts the log-prob of the better rollouts", async () => {
    const { lines } = await train({ method: "matchtir", steps: 4, learningRate: 0.02, innerUpdates: 2 });
    // With a second update the surrogate has moved away from its value at ratio 1.
    expect(lines.some(({ values }) => values["policy/approximate_kl"] !== 0)).toBe(true);
  });

  it("saves what was done when the iteration is broken off", async () => {
    const { checkpoints, result } = await train({ steps: 5 }, {}, 2);
    expect(result.stepsDone).toBe(2);
    expect(checkpoints.map((checkpoint) => checkpoint.step)).toEqual([2]);
    expect(checkpoints[0].model.length).toBeGreaterThan(1000);
  });

  it("skips and counts tasks whose context is too long, and refuses when none is left", async () => {
    const long = { ...tasks[0], id: "long", question: "x".repeat(99) };
    const config = trainConfig({ maxTurnTokens: 60, maxRolloutTokens: 120 });
    const maxContextTokens = Math.max(...tasks.map((entry) => contextTokens(testDialect, entry, config)));
    const { lines } = await train({ maxContextTokens }, { tasks: [...tasks, long] });
    expect(lines[0].values["tasks/skipped"]).toBe(1);
    await expect(train({ maxContextTokens: 100 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ContextLengthError: None of the 3 training tasks fits into a context of 100 tokens together with its trace and a rollout. Raise maxContextTokens (and the model's maxPositions), or lower maxRolloutTokens.]`,
    );
  });

  it("stops at an abort and gives all memory back", async () => {
    const before = defaultDevice().memory().liveTensors;
    await expect(
      train({}, { signal: AbortSignal.abort(new Error("stop")), policy: undefined }),
    ).rejects.toThrow("stop");
    const live = defaultDevice().memory().liveTensors;
    await train({ klCoefficient: 0.1, innerUpdates: 2, gradientNormsEvery: 1 });
    expect(defaultDevice().memory().liveTensors).toBe(live);
    expect(live - before).toBeGreaterThan(0); // the aborted trainer was not disposed; nothing else is left
  });
});

describe("every option changes the training it belongs to", () => {
  const changes: Partial<TrainConfig>[] = [
    { promptsPerStep: 3 },
    { rolloutsPerPrompt: 2 },
    { maxTurns: 1 },
    { maxTurnTokens: 7 },
    { maxRolloutTokens: 12 },
    { gamma: 0.5 },
    { advantageEpsilon: 0.5 },
    { soloTurn: "zero" },
    { unmatchedCallPenalty: 0 },
    { anchorProbability: 0 },
    { sftWeight: 1 },
    { sftNormaliser: "count" },
    { reasoningSchedule: "none" },
    { callSchedule: "none" },
    { callWeightStart: 0.3 },
    { callWeightEnd: 0.7 },
    { reasoningTags: "exclude" },
    { traceDelimiter: "question" },
    { clipLow: 0.001, innerUpdates: 3 },
    { clipHigh: 0.001, innerUpdates: 3 },
    { dualClip: 1.001, innerUpdates: 3 },
    { klCoefficient: 5 },
    { innerUpdates: 3 },
    { learningRate: 1e-2 },
    { warmupSteps: 1 },
    { finalLearningRate: 1 },
    { beta1: 0.5 },
    { beta2: 0.5 },
    { weightDecay: 0.5 },
    { clipNorm: 1e-3 },
  ];

  // Large steps, so that ratios leave the clip range; the seed's gate opens both ways within two steps.
  const base: Partial<TrainConfig> = {
    steps: 2,
    rolloutsPerPrompt: 3,
    seed: 7,
    learningRate: 5e-2,
    warmupSteps: 0,
    clipNorm: 10,
    sftWeight: 5,
  };
  const plainRuns = new Map<number, Promise<number[]>>();
  const plain = (innerUpdates: number) => {
    const run =
      plainRuns.get(innerUpdates) ?? train({ ...base, innerUpdates }).then(({ trained }) => trained);
    plainRuns.set(innerUpdates, run);
    return run;
  };

  it.each(changes.map((change) => [JSON.stringify(change), change] as const))("%s", async (_, change) => {
    // Clipping needs several updates: its options are compared with as many of them.
    const several = Object.keys(change).length > 1 ? (change.innerUpdates ?? 1) : 1;
    expect((await train({ ...base, ...change })).trained).not.toEqual(await plain(several));
  });
});
