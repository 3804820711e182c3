/** Attention without a table for gradients, as decoding asks for it: over a cache in f16, and of whole prompts. */
import { attention, attentionSpans, cast, createDevice, key, randomNormal, tensor } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const device = await requireGpu();
const half = device?.report.features.includes("shader-f16") ?? false;
if (device && !half) console.warn(`f16 part skipped: ${device.report.adapterName} lacks shader-f16`);

/** Two prompts of 70 and 50 keys, then a stretch of 40 for each of six rows, which have grown by 1 to 31 tokens. */
const rows = Int32Array.from(
  [0, 0, 0, 1, 1, 1].flatMap((prompt, row) => {
    const own = 120 + 40 * row;
    return [70 * prompt, 70 + 50 * prompt, own, own + 1 + 6 * row];
  }),
);
const keyCount = 120 + 6 * 40;

describe.skipIf(!device)("attention without gradients on webgpu", () => {
  it.skipIf(!half).each([16, 10])("reads a cache in f16 as it is, head size %i", async (size) => {
    const cpu = await createDevice({ device: "cpu" });
    const made = [1, 2, 3].map((seed) =>
      cast(
        randomNormal(key(seed), [seed === 1 ? 6 : keyCount, seed === 1 ? 4 : 2, size], { device: device! }),
        "f16",
      ),
    );
    const spans = attentionSpans(rows, keyCount, { device: device!, gradients: false });
    const before = device!.memory().liveBytes;
    const y = attention(made[0], made[1], made[2], spans);
    expect(y.dtype).toBe("f16");
    expect(device!.memory().liveBytes - before).toBe(2 * y.size);
    const [q, k, v] = await Promise.all(
      made.map(async (x) => tensor(await x.data(), { shape: x.shape, device: cpu })),
    );
    const exact = await attention(q, k, v, attentionSpans(rows, keyCount, { device: cpu })).data();
    // The f16 row of docs/numerics.md: computed in f32, rounded once.
    (await y.data()).forEach((value, i) => {
      expect(Math.abs(Number(value) - Number(exact[i]))).toBeLessThan(
        1e-6 + Math.abs(Number(exact[i])) / 2048,
      );
    });
  });

  it("takes the kernel of training for prompts, however large the cache", async () => {
    const [tokens, slots] = [300, 4000];
    const causal = Int32Array.from({ length: 4 * tokens }, (_, n) => [0, 0, 100, 101 + (n >> 2)][n % 4]);
    const [q, k, v] = [tokens, slots, slots].map((n, seed) =>
      randomNormal(key(seed), [n, 2, 16], { device: device! }),
    );
    const results = [true, false].map((gradients) =>
      attention(q, k, v, attentionSpans(causal, slots, { device: device!, gradients })).data(),
    );
    expect(await results[1]).toEqual(await results[0]);
  });
});
