/** Captured training steps of the models on webgpu. */
import { createDevice } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { batch } from "../../bench/workloads/model.ts";
import { training } from "../../bench/workloads/training.ts";
import { requireGpu } from "../helpers/require.ts";
import { decoded, trainedSteps } from "./captured.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("captured steps on webgpu", () => {
  test.each(["gpt", "qwen3"] as const)("steps of %s have the bits of the function", async (family) => {
    const expected = await trainedSteps(device, family, false);
    expect(await trainedSteps(device, family, true)).toEqual({ ...expected, recordings: 2 });
  });

  test("recorded decoding steps have the bits of the others", async () => {
    expect(await decoded(device, false)).toEqual(await decoded(device, true));
  });

  test("the benchmark's training step is what it is without capture, of at most 17 pipelines", async () => {
    const fresh = await createDevice({ device: "webgpu" });
    try {
      const losses: number[][] = [];
      for (const way of ["captured", "eager"] as const) {
        const step = training(fresh, way).stepOn(batch(32));
        losses.push([await step(), await step(), await step()]);
        if (way === "captured") expect(fresh.stats().pipelines).toBeLessThanOrEqual(17);
      }
      const [captured, eager] = losses;
      for (const [k, loss] of captured.entries()) expect(Math.abs(loss - eager[k])).toBeLessThan(1e-4);
      expect(captured[2]).toBeLessThan(captured[0]);
    } finally {
      fresh.destroy();
    }
  });
});
