import {
  forwardHidden,
  logits,
  lora,
  loraFromPeft,
  loraLayers,
  loraToPeft,
  ParameterError,
  readSafetensors,
  targetLogits,
  withLora,
  writeSafetensors,
} from "@pact/nn";
import {
  AutodiffError,
  createDevice,
  gradcheck,
  key,
  type Tensor,
  take,
  tensor,
  valueAndGrad,
} from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { equalsMerged, lossOf, packed, trained, trainsAdaptersAlone } from "./adapters.ts";
import { gpt, models, qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const params = randomParams(qwen3, device);

describe.each(models)("LoRA on $name", ({ config }) => {
  it("is the same beside the weights and merged into them, full and cached, and comes out again", () =>
    equalsMerged(config, randomParams(config, device), 1e-11));

  it("starts at the base, to the bit", async () => {
    const base = randomParams(config, device);
    const adapters = lora(config, base, { rank: 3, key: key(1) });
    const hidden = async (p: typeof base) => await forwardHidden(config, p, packed).data();
    expect(await hidden(withLora(base, adapters))).toEqual(await hidden(base));
  });
});

describe("LoRA", () => {
  it("trains the adapters alone", () => trainsAdaptersAlone(qwen3, device));

  it("has the gradients of finite differences", async () => {
    const adapters = trained(qwen3, params, ["v_proj", "up_proj"]);
    const names = Object.keys(adapters.weights);
    const points = await Promise.all(
      names.map(async (name) => {
        const { shape } = adapters.weights[name];
        return { shape, data: [...(await adapters.weights[name].data())] };
      }),
    );
    const worst = await gradcheck((values) => {
      const weights = Object.fromEntries(names.map((name, i) => [name, values[i]]));
      return lossOf(qwen3, withLora(randomParams(qwen3, values[0].device), { ...adapters, weights }));
    }, points);
    expect(worst).toBeLessThan(1e-6);
  });

  it("keeps no gradients of the base: a pass peaks at less memory than one over everything", () => {
    const adapters = lora(qwen3, params, { rank: 1, targets: ["q_proj"], key: key(1) });
    const peak = (run: () => Record<string, Tensor>) => {
      device.resetPeak();
      const start = device.memory().liveBytes;
      const grads = run();
      for (const gradient of Object.values(grads)) gradient.dispose();
      return device.memory().peakBytes - start;
    };
    const all = peak(() => valueAndGrad((p: typeof params) => lossOf(qwen3, p))(params).grads);
    const some = peak(
      () =>
        valueAndGrad((weights: typeof params) => lossOf(qwen3, withLora(params, { ...adapters, weights })))(
          adapters.weights,
        ).grads,
    );
    const base = Object.values(params).reduce((sum, { size }) => sum + 8 * size, 0);
    expect(all - some).toBeGreaterThan(base / 2);
  });

  it("draws A from U(−1/√in, 1/√in) by its key", async () => {
    const a = (seed: number) =>
      lora(qwen3, params, { rank: 40, targets: ["up_proj"], key: key(seed) }).weights[
        "model.layers.1.mlp.up_proj.lora_A.weight"
      ].data();
    const values = [...(await a(5))];
    const bound = 1 / Math.sqrt(10);
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(0.2); // 400 draws: 4.5 standard errors
    expect(await a(5)).toEqual(Float64Array.from(values));
    expect(await a(6)).not.toEqual(Float64Array.from(values));
  });

  it("drops inputs of the adapters in training, by its key, and nothing otherwise", async () => {
    const adapters = trained(qwen3, params, ["o_proj"]);
    const dropping = { ...adapters, settings: { ...adapters.settings, dropout: 0.4 } };
    const hidden = async (seed?: number) => {
      const training = seed === undefined ? undefined : { tokens: packed.ids.length, key: key(seed) };
      return [...(await forwardHidden(qwen3, withLora(params, dropping, training), packed).data())];
    };
    const plain = await hidden();
    expect(plain).toEqual([...(await forwardHidden(qwen3, withLora(params, adapters), packed).data())]);
    expect(await hidden(1)).toEqual(await hidden(1));
    expect(await hidden(1)).not.toEqual(await hidden(2));
    expect(await hidden(1)).not.toEqual(plain);
  });

  it("drops the same inputs where the last block computes few rows", async () => {
    const adapters = trained(qwen3, params);
    const dropping = { ...adapters, settings: { ...adapters.settings, dropout: 0.4 } };
    const theta = withLora(params, dropping, { tokens: packed.ids.length, key: key(1) });
    const few = Int32Array.of(6, 2); // of eight tokens: rows 5 and 1
    const scores = targetLogits(qwen3, theta, packed, few);
    const all = logits(qwen3, theta, forwardHidden(qwen3, theta, packed));
    const expected = await take(all, tensor([5, 1], { dtype: "i32", device })).data();
    for (const [i, value] of (await scores.data()).entries()) expect(value).toBeCloseTo(expected[i], 12);
    const one = await targetLogits(qwen3, theta, packed, Int32Array.of(2)).data();
    for (const [i, value] of one.entries()) expect(value).toBeCloseTo(expected[qwen3.vocabSize + i], 12);
  });

  it("selects layers by last name, full name or predicate", () => {
    const chosen = (targets: readonly string[] | ((name: string) => boolean)) =>
      lora(qwen3, params, { rank: 1, targets, key: key(0) }).settings.targets;
    expect(loraLayers(qwen3, ["k_proj"])).toEqual(chosen(["k_proj"]));
    expect(chosen(["k_proj"])).toEqual([0, 1].map((layer) => `model.layers.${layer}.self_attn.k_proj`));
    expect(chosen(["model.layers.1.mlp.gate_proj"])).toEqual(["model.layers.1.mlp.gate_proj"]);
    expect(chosen((name) => name.includes("layers.0.mlp")).length).toBe(3);
    expect(lora(gpt, randomParams(gpt, device), { rank: 1, key: key(0) }).settings.targets.length).toBe(12);
  });

  it("refuses to train a layer's own weight together with its adapter, rather than lose its gradient", () => {
    const adapters = trained(qwen3, params, ["v_proj"]);
    const both = (p: typeof params) => lossOf(qwen3, withLora(p, adapters));
    expect(() => valueAndGrad(both)(params)).toThrow(AutodiffError);
    const { "model.norm.weight": norm } = params;
    const apart = (weight: Tensor) =>
      lossOf(qwen3, withLora({ ...params, "model.norm.weight": weight }, adapters));
    expect(valueAndGrad(apart)(norm).grads.shape).toEqual(norm.shape);
  });

  it("refuses what it can not adapt", () => {
    const make = (options: object) => () => lora(qwen3, params, { rank: 2, key: key(0), ...options });
    expect(make({ rank: 0 })).toThrow(/rank is 0/);
    expect(make({ alpha: Number.NaN })).toThrow(/alpha is NaN/);
    expect(make({ dropout: 1 })).toThrow(/dropout is 1/);
    expect(make({ targets: () => false })).toThrow(/targets select no linear layer/);
    expect(make({ targets: ["q_proj", "embed_tokens"] })).toThrow(
      /\["embed_tokens"\] name no linear layer.*q_proj/,
    );
    const adapters = trained(qwen3, params);
    expect(() => withLora(params, { ...adapters, weights: {} })).toThrow(ParameterError);
  });
});

describe("PEFT files", () => {
  it("have PEFT's names, layout and settings, and load back to the same bits", async () => {
    const single = { dtype: "f32", device } as const;
    const adapters = loraFromPeft(qwen3, await loraToPeft(trained(qwen3, params, ["q_proj"])), single);
    const files = await loraToPeft(adapters, { baseModel: "some/model" });
    expect(files["adapter_config.json"]).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "some/model",
      r: 2,
      lora_alpha: 3,
      lora_dropout: 0,
      target_modules: ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"],
      bias: "none",
    });
    const entries = readSafetensors(files["adapter_model.safetensors"]);
    const first = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    expect([...entries.keys()].toSorted()[0]).toBe(first);
    expect(entries.get(first)).toMatchObject({ dtype: "F32", shape: [2, 10] });
    const json = JSON.parse(JSON.stringify(files["adapter_config.json"]));
    const back = loraFromPeft(qwen3, { ...files, "adapter_config.json": json }, single);
    expect(back.settings).toEqual(adapters.settings);
    for (const [name, value] of Object.entries(adapters.weights))
      expect(await back.weights[name].data()).toEqual(await value.data());
  });

  it("are refused by name where they do not fit", async () => {
    const files = await loraToPeft(trained(qwen3, params, ["q_proj"]));
    const config = (changes: object) => ({
      ...files,
      "adapter_config.json": { ...files["adapter_config.json"], ...changes },
    });
    const load =
      (given: typeof files, model = qwen3) =>
      () =>
        loraFromPeft(model, given, { device });
    expect(load(config({ use_dora: true, bias: "all", rank_pattern: { q: 3 } }))).toThrow(
      /bias: expected "none", received "all"[\s\S]*use_dora: expected false[\s\S]*rank_pattern: expected \{\}/,
    );
    // Each changes what the adapter computes, in PEFT 0.21.
    const unbuilt = {
      ...{ lora_bias: true, use_qalora: true, use_bdlora: {}, target_parameters: ["x"], kasa_config: {} },
      ...{
        trainable_token_indices: [1],
        alora_invocation_tokens: [1],
        arrow_config: {},
        monteclora_config: {},
      },
    };
    for (const [name, value] of Object.entries(unbuilt))
      expect(load(config({ [name]: value }))).toThrow(new RegExp(`${name}: expected`));
    expect(load(config({ lora_alpha: Number.NaN }))).toThrow(/lora_alpha: expected a number/);
    expect(load(config({ lora_dropout: 1 }))).toThrow(/lora_dropout: expected a number from 0 to below 1/);
    for (const json of [null, [], 3])
      expect(load({ ...files, "adapter_config.json": json as never })).toThrow(/must be a JSON object/);
    const ints = [...readSafetensors(files["adapter_model.safetensors"])].map(([name, { shape, data }]) => {
      return [name, { dtype: "I32", shape, data: Int32Array.from(data as Float64Array) }] as const;
    });
    expect(load({ ...files, "adapter_model.safetensors": writeSafetensors(ints) })).toThrow(/has dtype I32/);
    expect(load(config({ r: 3 }))).toThrow(/lora_A.weight" has shape \[2,10\], expected \[3,10\]/);
    expect(load(config({ r: "x", peft_type: "IA3" }))).toThrow(
      /peft_type: .*"IA3"[\s\S]*r: expected a whole number/,
    );
    expect(load(files, { ...qwen3, hiddenSize: 12 })).toThrow(ParameterError);
    expect(load(files, gpt)).toThrow(
      /unexpected "base_model.model.model.layers.0[\s\S]*no adapter for any linear layer/,
    );
    const entries = [...readSafetensors(files["adapter_model.safetensors"])];
    const fewer = { ...files, "adapter_model.safetensors": writeSafetensors(entries.slice(1)) };
    expect(load(fewer)).toThrow(/missing "base_model.model/);
  });
});
