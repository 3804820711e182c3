/** Captured training steps of the models on webgpu. */
import { describe, expect, test } from "vitest";
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
});
