/** AdamW on WebGPU: the parameters are views of the arena there too, and each step is the cpu's to rounding. */
import { AdamW, type Params, packSequences, tokenLogProbs } from "@pact/nn";
import { createDevice, type Device, mean, neg, tensor, valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { qwen3, randomParams } from "./models.ts";

const device = await requireGpu();

/** Losses of a few steps, and the final parameters by name. */
async function train(on: Device, given: Params) {
  const optimizer = new AdamW(given, { clipNorm: 0.5 });
  const packed = packSequences([
    [1, 2, 3, 4, 5],
    [6, 7, 8],
  ]);
  const targets = Int32Array.of(1, 2, 3, 4, 6, 7);
  const step = valueAndGrad((params: Params) => neg(mean(tokenLogProbs(qwen3, params, packed, targets))));
  const losses: number[] = [];
  for (let i = 0; i < 5; i++) {
    const { value, grads } = step(optimizer.params);
    losses.push(await value.item());
    optimizer.step(grads, 1e-2).dispose();
    for (const used of [value, ...Object.values(grads)]) used.dispose();
  }
  await on.synchronize();
  const flat = await optimizer.arena.data();
  return { losses, flat, optimizer };
}

describe.skipIf(!device)("AdamW on webgpu", () => {
  it("walks with the cpu and frees all memory", async () => {
    const cpu = await createDevice({ device: "cpu" });
    const exact = randomParams(qwen3, cpu);
    const params: Params = {};
    for (const [name, value] of Object.entries(exact))
      params[name] = tensor(await value.data(), { shape: value.shape, dtype: "f32", device });
    const before = device!.memory();
    const expected = await train(cpu, exact);
    const actual = await train(device!, params);
    expected.losses.forEach((loss, i) => {
      expect(Math.abs(actual.losses[i] - loss)).toBeLessThan(1e-5);
    });
    expect(actual.losses[4]).toBeLessThan(actual.losses[0]);
    actual.flat.forEach((value, i) => {
      expect(Math.abs(value - expected.flat[i])).toBeLessThan(1e-4);
    });
    actual.optimizer.dispose();
    expect(device!.memory()).toMatchObject({ liveBytes: before.liveBytes, liveTensors: before.liveTensors });
  });
});
