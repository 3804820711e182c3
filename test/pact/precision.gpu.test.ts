/** Whole runs with `precision` f16 on a GPU: f32 masters, f16 sampling, a loss scale that backs off, exact resume. */
import {
  initParams,
  loraFromPeft,
  type Params,
  paramsFromSafetensors,
  type TransformerConfig,
} from "@pact/nn";
import { key, setDefaultDevice } from "@pact/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { agrees, explainStep } from "../../packages/pact/src/explain.ts";
import { samplingParams } from "../../packages/pact/src/model.ts";
import { trainedRollout } from "../../packages/pact/src/records.ts";
import { type Checkpoint, nullSink } from "../../packages/pact/src/run-sink.ts";
import { decodeState } from "../../packages/pact/src/trainer-state.ts";
import { requireGpu } from "../helpers/require.ts";
import { testDialect } from "./codec.ts";
import { cpuDevice } from "./device.ts";
import { runTraining, startModel, shortTasks as tasks } from "./training.ts";

const gpu = (await requireGpu())!;
const cpu = await cpuDevice();
const half = gpu?.report.features.includes("shader-f16") ?? false;
if (gpu && !half) console.warn(`f16 runs skipped: ${gpu.report.adapterName} lacks shader-f16`);

let model: TransformerConfig;
let params: Params;
beforeAll(async () => {
  if (!half) return;
  ({ model } = await startModel());
  model = { ...model, numLayers: 2 };
  setDefaultDevice(gpu);
  params = initParams(model, key(3), { device: gpu, std: 0.1 });
});
afterAll(() => setDefaultDevice(cpu));

const train: typeof runTraining = (given, options, steps) =>
  runTraining(
    { rolloutsPerPrompt: 2, learningRate: 1e-3, ...given },
    { tasks, model, params, ...options },
    steps,
  );
const halves = { precision: "f16" } as const;

describe.skipIf(!half)("a run with precision f16", () => {
  it("trains f32 masters close to those of an f32 run, and gives all memory back", async () => {
    const before = gpu.memory().liveTensors;
    const exact = await train();
    const rough = await train(halves);
    expect(gpu.memory().liveTensors).toBe(before);
    expect(rough.trained).not.toEqual(exact.trained);
    rough.lines.forEach(({ values }, step) => {
      const expected = exact.lines[step].values;
      expect(values["gradient/loss_scale"]).toBeLessThanOrEqual(2 ** 16);
      expect(expected["gradient/loss_scale"]).toBeNull();
      // The rows of docs/numerics.md.
      for (const [name, bound] of [
        ["loss/total", 1e-4],
        ["gradient/norm", 2e-3],
      ] as const) {
        const relative = Math.abs(values[name]! - expected[name]!) / Math.abs(expected[name]!);
        expect(relative, name).toBeLessThan(bound);
      }
    });
    // Masters are not rounded to f16.
    const stored = paramsFromSafetensors(model, rough.checkpoints[0].model);
    const values = (await Promise.all(Object.values(stored).map((value) => value.data()))).flatMap((data) => [
      ...data,
    ]);
    for (const value of Object.values(stored)) value.dispose();
    expect(
      values.some((value) => Math.fround(value) !== Math.fround(Math.round(value * 2 ** 20) / 2 ** 20)),
    ).toBe(true);
    expect(decodeState(rough.checkpoints[0].state).lossScale?.scale).toBe(
      rough.lines[1].values["gradient/loss_scale"],
    );
  });

  it("stopped and gone on with is the run that was never stopped, loss scale included", async () => {
    const given = {
      ...halves,
      steps: 3,
      checkpointEvery: 1,
      gradientNormsEvery: 1,
      activationCheckpointing: true,
    };
    const whole = await train(given);
    const saved = whole.checkpoints[0];
    const weights = paramsFromSafetensors(model, saved.model);
    const rest = await train(given, {
      resume: { state: decodeState(saved.state), params: weights, lines: whole.lines.slice(0, 1) },
    });
    for (const value of Object.values(weights)) value.dispose();
    expect(rest.lines).toEqual(whole.lines.slice(1));
    expect(rest.checkpoints).toEqual(whole.checkpoints.slice(1));
    expect(rest.trained).toEqual(whole.trained);
  });

  it("computes a gradient that left the floats again with a smaller scale, and says so", async () => {
    const given = { ...halves, steps: 2, checkpointEvery: 1, sftWeight: 100 };
    const usual = await train(given);
    const saved = usual.checkpoints[0];
    const weights = paramsFromSafetensors(model, saved.model);
    const state = { ...decodeState(saved.state), lossScale: { scale: 2 ** 24, goodUpdates: 3 } };
    const rest = await train(given, {
      resume: { state, params: weights, lines: usual.lines.slice(0, 1) },
    });
    for (const value of Object.values(weights)) value.dispose();
    const scale = rest.lines[0].values["gradient/loss_scale"]!;
    expect(scale).toBeLessThan(2 ** 24);
    expect(decodeState(rest.checkpoints[0].state).lossScale).toEqual({ scale, goodUpdates: 1 });
    // Larger scales only keep more of what is small.
    const expected = usual.lines[1].values["gradient/norm"]!;
    expect(Math.abs(rest.lines[0].values["gradient/norm"]! - expected)).toBeLessThan(1e-3 * expected);
  });

  it("saves the loss scale of whole steps, also where the next one made it smaller and failed", async () => {
    // The first prompt is anchored, the second is not: only its gradient has the SFT term, and leaves the floats.
    const given = { ...halves, promptsPerStep: 1, anchorProbability: 0.5, sftWeight: 1e3, seed: 1 };
    const whole = await train({ ...given, checkpointEvery: 1 });
    expect(whole.lines.map(({ values }) => values["trace/anchored"])).toEqual([1, 0]);
    expect(whole.lines[1].values["gradient/loss_scale"]).toBeLessThan(2 ** 16);
    let gradients = 0;
    const saved: Checkpoint[] = [];
    const failing = train(given, {
      sink: { ...nullSink, checkpoint: async (checkpoint) => void saved.push(checkpoint) },
      onPart(part) {
        if (part === "gradients" && ++gradients === 2) throw new Error("no more memory");
      },
    });
    await expect(failing).rejects.toThrow("no more memory");
    expect(saved).toEqual(whole.checkpoints.slice(0, 1));
  });

  it("samples in f16, with log-probs that are the trainer's up to rounding", async () => {
    const given = { maxTurnTokens: 12, steps: 1 };
    const rough = await train({ ...given, ...halves }, { policy: undefined });
    const exact = await train(given, { policy: undefined });
    for (const { lines } of [rough, exact])
      expect(Math.abs(lines[0].values["policy/sampler_kl"]!)).toBeLessThan(1e-3);
    expect(rough.lines[0].values["policy/sampler_kl"]).not.toBe(exact.lines[0].values["policy/sampler_kl"]);
    using sampling = samplingParams({ config: model, params, forward: { computeDtype: "f16" } });
    const { "model.embed_tokens.weight": embedding, ...blocks } = sampling.params;
    expect(embedding).toBe(params["model.embed_tokens.weight"]);
    expect(new Set(Object.values(blocks).map(({ dtype }) => dtype))).toEqual(new Set(["f16"]));
  });

  it("is explained with an entropy term: the forward passes are the trainer's", async () => {
    const given = { ...halves, steps: 1, promptsPerStep: 1, entropyWeight: 1, anchor: "none" } as const;
    // Far from uniform, or the entropy would be that of any rounding.
    const params = initParams(model, key(4), { device: gpu, std: 0.5 });
    const { lines, records } = await train(given, { params });
    const config = trainConfig({ rolloutsPerPrompt: 2, ...given });
    const own = records.map(({ trained: kept, advantages }) => ({
      rollout: trainedRollout(kept!),
      advantages,
    }));
    const explained = await explainStep({
      config,
      step: 0,
      dialect: testDialect,
      model: { config: model, params, forward: { computeDtype: "f16" } },
      prompts: [
        {
          task: tasks.find(({ id }) => id === records[0].taskId)!,
          rollouts: own.map(({ rollout }) => rollout),
          advantages: own.map(({ advantages }) => advantages),
          anchored: false,
        },
      ],
    });
    const { "loss/total": total, "loss/entropy": entropy } = lines[0].values;
    expect(agrees(explained, total!)).toBe(true);
    // Computed in f32 it is 6e-5 off, in f16 1e-7 (lavapipe).
    const found = explained.tokens
      .flatMap(({ terms }) => terms)
      .reduce((sum, { term, contribution }) => (term === "entropy" ? sum + contribution : sum), 0);
    expect(Math.abs(found + entropy!)).toBeLessThan(3e-6);
    for (const value of Object.values(params)) value.dispose();
  });

  it("trains adapters beside a base in f16", async () => {
    const before = gpu.memory().liveTensors;
    const given = { loraRank: 2, steps: 2 };
    const exact = await train(given);
    const rough = await train({ ...given, ...halves });
    expect(gpu.memory().liveTensors).toBe(before);
    const [expected, found] = [exact, rough].map(({ lines }) => lines[1].values["gradient/norm"]!);
    expect(Math.abs(found - expected)).toBeLessThan(2e-3 * expected);
    const { model: weights, adapterConfig = {} } = rough.checkpoints[0];
    const adapters = loraFromPeft(model, {
      "adapter_model.safetensors": weights,
      "adapter_config.json": adapterConfig,
    });
    for (const value of Object.values(adapters.weights)) {
      expect(value.dtype).toBe("f32");
      value.dispose();
    }
  });
});
