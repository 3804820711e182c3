import { CapacityError, DecodeCache, DecodeSession, generate, generateTokens, InputError } from "@pact/nn";
import { createDevice, key, mul, NonFiniteError, scope } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import * as checks from "./caching.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const params = randomParams(qwen3, device);
const model = { config: qwen3, params };

describe("a cache kept between calls", () => {
  it.each([gpt, qwen3])("changes nothing that $modelType says", (config) =>
    checks.saysTheSame(config, randomParams(config, device), 1e-12),
  );

  it("is read anew in more room when the text outgrows it, and by another model", async () => {
    const wide = { config: { ...qwen3, maxPositions: 1024 }, params };
    using cache = new DecodeCache();
    const prompt = Array.from({ length: 250 }, (_, i) => i % 23);
    await generate(wide, [prompt], { maxTokens: 6, cache });
    const longer = [...prompt, 1, 2, 3, 4, 5, 6];
    const [row] = await generate(wide, [longer], { maxTokens: 8, temperature: 0, cache });
    expect(cache.reused).toBe(0);
    expect(row.ids).toEqual((await generate(wide, [longer], { maxTokens: 8, temperature: 0 }))[0].ids);
    await generate(wide, [longer], { maxTokens: 200, stopTokens: row.ids, cache });
    expect(cache.reused).toBe(longer.length - 1);
    await generate({ ...wide, params: { ...params } }, [longer], { maxTokens: 1, cache });
    expect(cache.reused).toBe(0);
  });

  it("holds what was read when sampling is left early", async () => {
    using cache = new DecodeCache();
    const ids: number[] = [];
    for await (const [token] of generateTokens(model, [[1, 2]], { maxTokens: 9, cache })) {
      ids.push(token.id);
      if (ids.length === 3) break;
    }
    await generate(model, [[1, 2, ...ids, 5]], { maxTokens: 2, key: key(1), cache });
    expect(cache.reused).toBe(4);
  });

  it("frees its memory when disposed, and can be used again", async () => {
    const before = device.memory().liveTensors;
    using cache = new DecodeCache();
    await generate(model, [[1, 2]], { maxTokens: 3, cache });
    expect(device.memory().liveTensors).toBe(before + 2 * qwen3.numLayers);
    cache.dispose();
    expect(device.memory().liveTensors).toBe(before);
    await generate(model, [[1, 2, 3]], { maxTokens: 3, cache });
    expect(cache.reused).toBe(0);
  });

  it("is empty after an error", async () => {
    const name = "model.norm.weight";
    const infinite = scope(() => mul(mul(params[name], 1e308), 1e308));
    const broken = { config: qwen3, params: { ...params, [name]: infinite } };
    const before = device.memory().liveTensors;
    using cache = new DecodeCache();
    await generate(model, [[1, 2]], { maxTokens: 3, cache });
    const sampled = generate(broken, [[1, 2]], { maxTokens: 3, cache });
    await expect(sampled).rejects.toThrow(NonFiniteError);
    expect(device.memory().liveTensors).toBe(before);
    expect(cache.reused).toBe(0);
    infinite.dispose();
  });

  it("refuses several rows and texts that do not fit", async () => {
    using cache = new DecodeCache();
    const two = generate(model, [[1], [2]], { maxTokens: 2, cache });
    await expect(two).rejects.toThrow(InputError);
    await expect(generate(model, [[1]], { maxTokens: 2, samples: 2, cache })).rejects.toThrow(InputError);
    const long = generate(model, [Array.from({ length: 60 }, () => 1)], { maxTokens: 9, cache });
    await expect(long).rejects.toThrow(CapacityError);
    await expect(generate(model, [[]], { maxTokens: 2, cache })).rejects.toThrow(InputError);
    expect((await generate(model, [[1]], { maxTokens: 64, cache }))[0].ids).toHaveLength(64);
  });
});

it("a row goes back to a length it had, and to no other", () => {
  using session = new DecodeSession(qwen3, params, { prompts: [[1]], rows: [{ prompt: 0, capacity: 4 }] });
  session.prefill().dispose();
  session.append([{ row: 0, ids: [2, 3, 4] }]).dispose();
  session.rewind(0, 1);
  expect([session.length(0), session.remaining(0)]).toEqual([1, 3]);
  for (const [row, length] of [
    [0, 2],
    [0, -1],
    [0, 0.5],
    [1, 0],
  ])
    expect(() => session.rewind(row, length)).toThrow(InputError);
});
