/** Captured training steps of the models on the cpu device. */
import { expect, test } from "vitest";
import { reference as device } from "../helpers/properties.ts";
import { trainedSteps } from "./captured.ts";

test.each(["gpt", "qwen3"] as const)("steps of %s have the bits of the function", async (family) => {
  const expected = await trainedSteps(device, family, false);
  expect(await trainedSteps(device, family, true)).toEqual({ ...expected, recordings: 2 });
});
