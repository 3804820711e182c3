/** Finite differences of every loss, in f64 on cpu. */
import { valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { cpuDevice } from "../device.ts";
import { at, lossPoints } from "./cases.ts";

const device = await cpuDevice();
const step = 1e-6;

describe("central differences confirm the gradient of", () => {
  it.each(lossPoints.map((point) => [point.name, point] as const))("%s", async (_, point) => {
    const { grads } = valueAndGrad(point.compute)(at(point, point.data, device));
    const analytic = Array.from(await grads.data(), Number);
    const frozen = point.frozen ?? point.compute;
    for (let i = 0; i < point.data.length; i++) {
      const moved = (by: number) => frozen(at(point, point.data.with(i, point.data[i] + by), device)).item();
      const numeric = ((await moved(step)) - (await moved(-step))) / (2 * step);
      expect(Math.abs(analytic[i] - numeric), `element ${i}: ${analytic[i]} and ${numeric}`).toBeLessThan(
        1e-7,
      );
    }
    expect(analytic.some((gradient) => gradient !== 0)).toBe(true);
  });
});
