/** Truncated sampling on WebGPU: the definition, the cpu's ids, no new pipelines. */
import { createDevice, sampleTokens, zeros } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import * as checks from "../helpers/sampling-checks.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("sampleTokens on webgpu", () => {
  test.each(checks.truncations)("follows the definition: %j", async (options) => {
    await checks.followsDefinition(device, options, 2e-6);
  });

  test("follows it on long rows", () => checks.followsDefinitionOnLongRows(device, 5003, 2e-6));

  test("draws the cpu's ids", async () => {
    const cpu = await createDevice({ device: "cpu" });
    for (const options of checks.truncations) {
      const [a, b] = [
        await checks.draws(device, checks.tied, 500, options),
        await checks.draws(cpu, checks.tied, 500, options),
      ];
      expect(a.ids).toEqual(b.ids);
    }
  });

  test("shows NaN and survives rows of nothing", () => checks.survivesBrokenRows(device));

  test("adds its bias first", () => checks.addsBias(device));

  test("builds no pipeline for another number of rows, vocabulary or truncation", async () => {
    const sample = (rows: number, size: number, options: object) =>
      sampleTokens(zeros([rows, size], { device }), new Uint32Array(2 * rows), {
        temperature: 1,
        ...options,
      });
    await sample(2, 10, { topK: 3, topP: 0.5, minP: 0.1 }).ids.data();
    const { pipelines } = device.stats();
    await sample(3, 77, { topK: 5, topP: 0.9, minP: 0.2 }).ids.data();
    await sample(1, 4000, { topP: 0.3 }).ids.data();
    expect(device.stats().pipelines).toBe(pipelines);
  });
});
