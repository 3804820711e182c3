/** Generation on WebGPU: as the full forward there, and no pipeline for a new length. */
import { generate, generateTokens } from "@pact/nn";
import { key } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import * as checks from "./generation.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("generate on webgpu", () => {
  it.each(checks.distributions)("gives the log-probs of the full forward: %j", async (options) => {
    for (const config of [gpt, qwen3]) {
      await checks.equalsFullForward(config, randomParams(config, device), options, 5e-6);
    }
  });

  it("draws with the row's own key, whatever its neighbours", () =>
    checks.dependsOnItsKeyAlone(qwen3, randomParams(qwen3, device), 5e-6));

  it.each([gpt, qwen3])("draws what one step after another draws, to the bit", (config) =>
    checks.equalsStepByStep(config, randomParams(config, device)),
  );

  it("submits once a token", async () => {
    const model = { config: gpt, params: randomParams(gpt, device) };
    await generate(model, [[1, 2], [3]], { maxTokens: 3 });
    const { submits } = device.stats();
    await generate(model, [[1, 2], [3]], { maxTokens: 20 });
    expect(device.stats().submits - submits).toBe(20);
  });

  it("builds no pipeline for new lengths, prompts, rows or settings", async () => {
    const model = { config: qwen3, params: randomParams(qwen3, device) };
    const warm = { maxTokens: 3, samples: 2, topK: 4, topP: 0.9, minP: 0.01, logitBias: { 1: 1 } };
    await generate(model, [[1, 2, 3], [4]], warm);
    const { pipelines } = device.stats();
    const other = { maxTokens: 20, samples: 5, topK: 9, topP: 0.5, minP: 0.1, logitBias: { 4: -2 } };
    for (const column of [[[7, 8, 9, 10, 11]], [[5], [6, 6], [1, 2, 3, 4]]])
      await generate(model, column, { ...other, temperature: 0.6, key: key(8) });
    expect(device.stats().pipelines).toBe(pipelines);
  });

  it("frees its memory when left", async () => {
    const model = { config: qwen3, params: randomParams(qwen3, device) };
    const before = device.memory().liveTensors;
    for await (const _ of generateTokens(model, [[1, 2]], { maxTokens: 9 })) break;
    expect(device.memory().liveTensors).toBe(before);
  });
});
