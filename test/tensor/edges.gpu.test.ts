/** Powers and functions at the edges of their domains on webgpu, where WGSL promises less than JavaScript. */
import {
  createDevice,
  expm1,
  log1p,
  pow,
  sigmoid,
  silu,
  softplus,
  type Tensor,
  tanh,
  tensor,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const cpu = await createDevice({ device: "cpu" });

describe.skipIf(!device)("edges on webgpu", () => {
  async function compare(f: (x: Tensor) => Tensor, values: number[], allowed: (e: number) => number) {
    const on = async (where: typeof device, dtype: "f32" | "f64") =>
      f(tensor(Float32Array.from(values), { dtype, device: where })).data();
    const [actual, expected] = [await on(device, "f32"), await on(cpu, "f64")];
    expected.forEach((e, i) => {
      const near = Math.abs(actual[i] - e) <= allowed(Math.abs(e));
      expect(near || Object.is(actual[i], e), `f(${values[i]}) is ${actual[i]}, expected ${e}`).toBe(true);
    });
  }

  test("negative bases have real powers for whole exponents only", async () => {
    const bases = [-2, -3, -1.5, 0, 0, 4];
    for (const b of [0, 1, 2, 3, -1]) {
      await compare(
        (x) => pow(x, b),
        b < 0 ? [-2, 4] : bases,
        (e) => 1e-5 * e,
      );
    }
    expect(await pow(tensor([-2], { device }), 0.5).item()).toBeNaN();
  });

  test("activations saturate without NaN", async () => {
    const far = [-3e38, -1e4, -200, -90, -20, 0, 20, 90, 200, 1e4, 3e38];
    await compare(tanh, far, () => 1e-7);
    await compare(sigmoid, far, () => 2e-7);
    await compare(silu, far.slice(1, -1), (e) => 1e-6 * e + 1e-6);
    await compare(softplus, far, (e) => 1e-6 * e + 1e-6);
  });

  test("log1p and expm1 keep their relative accuracy near 0", async () => {
    const near = [1e-8, -1e-6, 1e-4, 0.009, -0.0099, 0.011, 0.049, -0.051];
    await compare(log1p, near, (e) => 1e-5 * e);
    await compare(expm1, near, (e) => 1e-5 * e);
  });
});
