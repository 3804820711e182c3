/** debug.checkFinite on the cpu device. */
import { createDevice, debug, log, tensor } from "@pact/tensor";
import { expect, test } from "vitest";
import { watchers } from "../../packages/tensor/src/watch.ts";
import { finiteChecks } from "../helpers/finite-checks.ts";

const device = await createDevice({ device: "cpu" });
finiteChecks(device);

test("f64, and nobody watches afterwards", async () => {
  const x = tensor(Float64Array.of(-1, 1e300), { device });
  await expect(debug.checkFinite(() => log(x))).rejects.toThrow("made 1 NaN among the elements of f64[2]");
  expect(watchers.size).toBe(0);
});
