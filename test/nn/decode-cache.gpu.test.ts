/** The kept cache on WebGPU: as without it, and no pipeline for what it leaves out. */
import { DecodeCache, generate } from "@pact/nn";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import * as checks from "./caching.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("a cache kept between calls on webgpu", () => {
  it("changes nothing that a model says", async () => {
    for (const config of [gpt, qwen3]) await checks.saysTheSame(config, randomParams(config, device), 5e-6);
  });

  it("submits once a token, the next begun before this one is read", async () => {
    const model = { config: qwen3, params: randomParams(qwen3, device) };
    using cache = new DecodeCache();
    await generate(model, [[1, 2, 3]], { maxTokens: 3, cache });
    const { submits } = device.stats();
    await generate(model, [[1, 2, 3, 4, 5]], { maxTokens: 12, cache });
    expect(device.stats().submits - submits).toBe(12);
  });

  it("builds no pipeline for a further turn", async () => {
    const model = { config: qwen3, params: randomParams(qwen3, device) };
    using cache = new DecodeCache();
    await generate(model, [[1, 2, 3]], { maxTokens: 3, cache });
    await generate(model, [[1, 2, 3, 4, 5]], { maxTokens: 3, cache });
    const { pipelines } = device.stats();
    await generate(model, [[1, 2, 3, 4, 5, 6, 7, 8, 9]], { maxTokens: 3, cache });
    expect(cache.reused).toBeGreaterThan(0);
    expect(device.stats().pipelines).toBe(pipelines);
  });
});
