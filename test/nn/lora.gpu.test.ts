/** LoRA on WebGPU: beside and merged, trained alone, with the cpu's gradients. */
import {
  AdamW,
  generate,
  initParams,
  lora,
  type Params,
  packSequences,
  tokenLogProbs,
  withLora,
} from "@pact/nn";
import { cast, createDevice, key, tensor, valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { equalsMerged, lossOf, trained, trainsAdaptersAlone } from "./adapters.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = (await requireGpu())!;
const half = device?.report.features.includes("shader-f16") ?? false;
if (device && !half) console.warn(`f16 part skipped: ${device.report.adapterName} lacks shader-f16`);

describe.skipIf(!device)("LoRA on webgpu", () => {
  it.each([{ config: gpt }, { config: qwen3 }])(
    "is the same beside the weights and merged into them: $config.modelType",
    ({ config }) => equalsMerged(config, randomParams(config, device), 1e-5),
  );

  it("trains the adapters alone", () => trainsAdaptersAlone(qwen3, device));

  it.skipIf(!half)("adapts and samples from a base in f16, which takes half the memory", async () => {
    const full = initParams(qwen3, key(3), { device, std: 0.2 });
    const before = device.memory().liveBytes;
    const base = Object.fromEntries(Object.entries(full).map(([name, value]) => [name, cast(value, "f16")]));
    const bytes = Object.values(full).reduce((sum, { size }) => sum + 4 * size, 0);
    expect(device.memory().liveBytes - before).toBe(bytes / 2);
    const adapters = lora(qwen3, base, { rank: 2, alpha: 8, key: key(4) });
    const optimizer = new AdamW(adapters.weights, { weightDecay: 0 });
    const losses: number[] = [];
    const step = valueAndGrad((weights: Params) => lossOf(qwen3, withLora(base, { ...adapters, weights })));
    for (let i = 0; i < 8; i++) {
      const { value, grads } = step(optimizer.params);
      losses.push(await value.item());
      optimizer.step(grads, 0.05).dispose();
    }
    expect(losses[7]).toBeLessThan(losses[0] - 0.2);
    const params = withLora(base, { ...adapters, weights: optimizer.params });
    const [{ ids, modelLogProbs }] = await generate({ config: qwen3, params }, [[1, 2]], { maxTokens: 6 });
    const sequence = packSequences([[1, 2, ...ids]]);
    const full16 = await tokenLogProbs(
      qwen3,
      params,
      sequence,
      Int32Array.from(ids, (_, i) => i + 2),
    ).data();
    // Logits of this model are below 8, where f16 is 2⁻⁸ apart; cached and full forward round in other places.
    full16.forEach((p, i) => {
      expect(Math.abs(p - modelLogProbs[i])).toBeLessThan(4 * 2 ** -8);
    });
  });

  it("has the cpu's gradients", async () => {
    const cpu = await createDevice({ device: "cpu" });
    const [base, exact] = [randomParams(qwen3, device), randomParams(qwen3, cpu)];
    const adapters = trained(qwen3, exact);
    const weights: Params = {};
    for (const [name, value] of Object.entries(adapters.weights))
      weights[name] = tensor(await value.data(), { shape: value.shape, dtype: "f32", device });
    const grads = (p: Params, w: Params) =>
      valueAndGrad((own: Params) => lossOf(qwen3, withLora(p, { ...adapters, weights: own })))(w).grads;
    const [actual, expected] = [grads(base, weights), grads(exact, adapters.weights)];
    for (const name of Object.keys(weights)) {
      const reference = await expected[name].data();
      (await actual[name].data()).forEach((value, i) => {
        expect(Math.abs(value - reference[i])).toBeLessThan(2e-5 * Math.max(1, Math.abs(reference[i])));
      });
    }
  });
});
