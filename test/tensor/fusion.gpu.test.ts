/** Fusion on webgpu: as close to the functions themselves as rounding allows; sizes build no pipelines. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { fusedMatches } from "../helpers/fusion-checks.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

describe.skipIf(!device)("fusion on webgpu", () => {
  test("random graphs and their gradients", () =>
    fusedMatches(device, 12, { absolute: 1e-5, relative: 1e-5 }));

  test("f16 is rounded where the operations round it", async () => {
    if (!device.report.features.includes("shader-f16")) return;
    const x = t.tensor([1, 0.1, 2049, -3], { dtype: "f16" });
    const f = (a: t.Tensor) => [t.mul(t.mul(a, 1.3), 0.7), t.sum(t.cast(t.mul(a, a), "f32"))];
    using captured = t.capture(f);
    const [actual, expected] = [captured(x), f(x)];
    for (const k of expected.keys()) expect(await actual[k].data()).toEqual(await expected[k].data());
  });

  test("another size builds no pipeline, and few results of many elements take two kernels", async () => {
    const loss = (x: t.Tensor) => t.valueAndGrad((p: t.Tensor) => t.mean(t.square(t.sub(p, 1))))(x);
    using captured = t.capture(loss);
    captured(t.ones([1000]));
    const start = device.stats();
    const { value, grads } = captured(t.zeros([2001]));
    expect(device.stats()).toMatchObject({ pipelines: start.pipelines, dispatches: start.dispatches + 2 });
    expect(await value.item()).toBeCloseTo(1, 6);
    expect((await grads.data())[2000]).toBeCloseTo(-2 / 2001, 9);
  });
});
