/** Training in less memory, on the cpu device: adapters, recomputed blocks, accumulated gradients; what they keep and change. */
import { initParams, loraFromPeft, type Params, type TransformerConfig } from "@pact/nn";
import { cast, defaultDevice, key } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import type { TrainConfig } from "../../packages/pact/src/config.ts";
import { ConfigError } from "../../packages/pact/src/errors.ts";
import type { Checkpoint } from "../../packages/pact/src/run-sink.ts";
import { decodeState } from "../../packages/pact/src/trainer-state.ts";
import { cpuDevice } from "./device.ts";
import { runTraining, startModel, shortTasks as tasks } from "./training.ts";

let model: TransformerConfig;
let params: Params;
beforeAll(async () => {
  await cpuDevice();
  ({ model, params } = await startModel());
});

const train: typeof runTraining = (given, options, steps) =>
  runTraining({ rolloutsPerPrompt: 2, ...given }, { tasks, ...options }, steps);

/** A run, and the most memory it took beyond what was there. */
async function measured(given: Partial<TrainConfig>, options?: Parameters<typeof runTraining>[1]) {
  const device = defaultDevice();
  device.resetPeak();
  const before = device.memory().liveBytes;
  const run = await train(given, options);
  expect(device.memory().liveBytes).toBe(before);
  return { ...run, peakBytes: device.memory().peakBytes - before };
}

const bits = async (own: Params) => {
  const values = Object.entries(own).map(async ([name, value]) => [name, [...(await value.data())]] as const);
  return Object.fromEntries(await Promise.all(values));
};

const adaptersOf = ({ model: weights, adapterConfig }: Checkpoint) =>
  loraFromPeft(model, {
    "adapter_model.safetensors": weights,
    "adapter_config.json": adapterConfig ?? {},
  });

describe("a run with loraRank", () => {
  const given = { loraRank: 2, steps: 4, checkpointEvery: 1, klCoefficient: 0.1, innerUpdates: 2 };

  it("trains adapters alone: the base keeps its bits, and state is of the adapters", async () => {
    const before = await bits(params);
    const { checkpoints, trained, result } = await train(given);
    expect(await bits(params)).toEqual(before);
    const [last] = checkpoints.slice(-1);
    const { settings, weights } = adaptersOf(last);
    expect(settings).toMatchObject({ rank: 2, alpha: 2 });
    expect(settings.targets).toHaveLength(7);
    const stored = (await Promise.all(Object.values(weights).map((value) => value.data()))).flatMap((data) =>
      Array.from(data, Number),
    );
    expect(stored).toEqual(trained);
    // B begins at 0; every layer's has moved.
    for (const [name, value] of Object.entries(weights))
      if (name.includes("lora_B"))
        expect(Math.max(...(await value.data()).map(Math.abs)), name).toBeGreaterThan(0);
    const { m } = decodeState(last.state);
    expect(m.length).toBeLessThan(trained.length + 64 * Object.keys(weights).length);
    expect(result.trainedTokens).toBe((await train({ ...given, loraRank: 0 })).result.trainedTokens);
  });

  it("stopped at any checkpoint and gone on with is the run that was never stopped, bit for bit", async () => {
    const whole = await train(given);
    for (const stop of [1, 3]) {
      const saved = whole.checkpoints[stop - 1];
      const rest = await train(given, {
        resume: {
          state: decodeState(saved.state),
          params: adaptersOf(saved).weights,
          lines: whole.lines.slice(0, stop),
        },
      });
      expect(rest.lines).toEqual(whole.lines.slice(stop));
      expect(rest.records).toEqual(whole.records.filter(({ step }) => step >= stop));
      expect(rest.checkpoints).toEqual(whole.checkpoints.slice(stop));
      expect(rest.trained).toEqual(whole.trained);
    }
  });

  it("starts at the base: the first step's losses are those of the base, and its KL to it is 0", async () => {
    const one = { steps: 1, klCoefficient: 0.1 };
    const [adapted] = (await train({ ...one, loraRank: 2 })).lines;
    const [full] = (await train(one)).lines;
    for (const name of ["loss/total", "loss/h", "policy/entropy"])
      expect(adapted.values[name], name).toBe(full.values[name]);
    expect(adapted.values["loss/kl"]).toBe(0);
    expect(adapted.values["gradient/norm"]).not.toBe(full.values["gradient/norm"]);
  });

  it("samples rollouts with the adapters", async () => {
    const run = async (learningRate: number) => {
      const config = { ...given, learningRate, innerUpdates: 1, maxTurnTokens: 8 };
      return (await train(config, { policy: undefined })).records.map(({ trained }) => trained?.ids);
    };
    const [moved, still] = [await run(1), await run(0)];
    const perStep = still.length / given.steps;
    expect(moved.slice(0, perStep)).toEqual(still.slice(0, perStep));
    expect(moved.slice(perStep)).not.toEqual(still.slice(perStep));
  });

  it.each<[string, Partial<TrainConfig>]>([
    ["loraRank", { loraRank: 3 }],
    ["loraAlpha", { loraRank: 2, loraAlpha: 8 }],
    ["loraTargets", { loraRank: 2, loraTargets: ["q_proj", "up_proj"] }],
    ["seed of A", { loraRank: 2, seed: 8 }],
  ])("%s changes it", async (_, change) => {
    const usual = await train({ loraRank: 2, steps: 1 });
    expect((await train({ steps: 1, ...change })).trained).not.toEqual(usual.trained);
  });

  it("refuses a rank above a layer's smaller side, by the layer's name", async () => {
    const refused = await train({ loraRank: 5, steps: 1 }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConfigError);
    expect(String(refused)).toMatch(
      /loraRank is 5, more than the smaller side of model\.layers\.0\.self_attn\.k_proj \[4,7\].* Set loraRank 4 at most, or leave/,
    );
    // That layer alone is so narrow.
    const { result } = await train({ loraRank: 5, steps: 1, loraTargets: ["q_proj", "up_proj"] });
    expect(result.stepsDone).toBe(1);
  });

  it("refuses layers that the model does not have", async () => {
    await expect(train({ loraRank: 2, loraTargets: ["c_attn"] })).rejects.toThrow(
      /\["c_attn"\] name no linear layer of the blocks\. Choose among q_proj/,
    );
  });
});

describe("memory", () => {
  /** Deep enough that what blocks keep outweighs one block's work. */
  const deep = async () => {
    const config = { ...model, numLayers: 8 };
    const double = initParams(config, key(3), { device: await cpuDevice(), dtype: "f64" });
    return { model: config, params: double };
  };

  it("recomputed blocks give the same bits in less", async () => {
    const options = await deep();
    const plain = await measured({ steps: 1 }, options);
    const lean = await measured({ steps: 1, activationCheckpointing: true }, options);
    expect(lean.trained).toEqual(plain.trained);
    expect(lean.lines).toEqual(plain.lines);
    expect(lean.peakBytes).toBeLessThan(0.6 * plain.peakBytes);
  });

  it("recomputed blocks under adapters, too", async () => {
    const options = await deep();
    const plain = await measured({ steps: 2, loraRank: 2 }, options);
    const lean = await measured({ steps: 2, loraRank: 2, activationCheckpointing: true }, options);
    expect(lean.trained).toEqual(plain.trained);
    expect(lean.peakBytes).toBeLessThan(0.6 * plain.peakBytes);
  });

  it("gradients accumulated over several forwards are those of one, up to rounding, in less", async () => {
    const options = await deep();
    const whole = await measured({ steps: 1, tokenBudget: 100_000 }, options);
    const parts = await measured({ steps: 1, tokenBudget: 200 }, options);
    expect(parts.lines[0].values["gradient/norm"]).toBeCloseTo(whole.lines[0].values["gradient/norm"]!, 12);
    expect(parts.lines[0].values["loss/total"]).toBeCloseTo(whole.lines[0].values["loss/total"]!, 12);
    expect(parts.trained).not.toEqual(whole.trained);
    // Adam divides by the gradient's size, so an entry that is 0 but for rounding may move by a whole step: the norm counts.
    expect(parts.peakBytes).toBeLessThan(0.8 * whole.peakBytes);
  });

  it("of adapters is less: no gradients, moments or copy of the base", async () => {
    const wide: TransformerConfig = { ...model, hiddenSize: 64, intermediateSize: 128 };
    const double = initParams(wide, key(3), { device: await cpuDevice(), dtype: "f64" });
    const single = Object.fromEntries(
      Object.entries(double).map(([name, value]) => [name, cast(value, "f32")]),
    );
    const bytes = Object.values(single).reduce((sum, { size }) => sum + 4 * size, 0);
    const options = { model: wide, params: single };
    const short = { steps: 1, tokenBudget: 1, activationCheckpointing: true };
    const full = await measured(short, options);
    const adapted = await measured({ ...short, loraRank: 1 }, options);
    // The arena, two moments and the mask of decay, less those of the adapters.
    expect(full.peakBytes - adapted.peakBytes).toBeGreaterThan(3.5 * bytes);
  });
});

describe("precision f16", () => {
  it("is refused by name where the device has none", async () => {
    const error = await train({ precision: "f16" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(
      /precision is f16, and this cpu device \(.*\) does not compute in it\. Set precision f32, or run on a GPU/,
    );
  });
});
