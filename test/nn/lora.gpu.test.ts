/** LoRA on WebGPU: beside and merged, trained alone, with the cpu's gradients. */
import { type Params, withLora } from "@pact/nn";
import { createDevice, tensor, valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { equalsMerged, lossOf, trained, trainsAdaptersAlone } from "./adapters.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("LoRA on webgpu", () => {
  it.each([{ config: gpt }, { config: qwen3 }])(
    "is the same beside the weights and merged into them: $config.modelType",
    ({ config }) => equalsMerged(config, randomParams(config, device), 1e-4),
  );

  it("trains the adapters alone", () => trainsAdaptersAlone(qwen3, device));

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
        expect(Math.abs(value - reference[i])).toBeLessThan(2e-4 * Math.max(1, Math.abs(reference[i])));
      });
    }
  });
});
