/** Captured training steps of the models on the cpu device. */
import { expect, test } from "vitest";
import { reference as device } from "../helpers/properties.ts";
import { decoded, trainedSteps } from "./captured.ts";

test.each(["gpt", "qwen3"] as const)("steps of %s have the bits of the function", async (family) => {
  const expected = await trainedSteps(device, family, false);
  expect(await trainedSteps(device, family, true)).toEqual({ ...expected, recordings: 2 });
});

test("recorded decoding steps have the bits of the others", async () => {
  expect(await decoded(device, false)).toEqual(await decoded(device, true));
});
