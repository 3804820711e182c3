/** Every loss on webgpu in f32 against cpu in f64: value and gradient, and exact ones before the first update. */
import { sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { policyLossRegistry } from "../../../packages/pact/src/losses/policy-registry.ts";
import { requireGpu } from "../../helpers/require.ts";
import { cpuDevice } from "../device.ts";
import { at, like, lossPoints, tokens } from "./cases.ts";

const gpu = await requireGpu();
const cpu = await cpuDevice();

describe.skipIf(!gpu)("losses on webgpu", () => {
  it.each(lossPoints.map((point) => [point.name, point] as const))("%s", async (_, point) => {
    const exact = valueAndGrad(point.compute)(at(point, point.data, cpu));
    const single = tensor(Float32Array.from(point.data), { shape: point.shape, device: gpu! });
    const actual = valueAndGrad(point.compute)(single);
    const near = (value: number, reference: number) =>
      expect(Math.abs(value - reference)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(reference)));
    near(await actual.value.item(), await exact.value.item());
    const reference = await exact.grads.data();
    (await actual.grads.data()).forEach((gradient, i) => {
      near(Number(gradient), Number(reference[i]));
    });
  });

  it("every ratio is exactly 1 where the log-probs are equal", async () => {
    const x = tensor(Float32Array.from(tokens.new), { device: gpu! });
    const advantages = like(x, tokens.advantages);
    for (const name of ["vanilla", "gspo"] as const) {
      const losses = (logProbs: Tensor) =>
        policyLossRegistry[name].losses({
          newLogProbs: logProbs,
          oldLogProbs: x,
          advantages,
          sequences: tokens.sequences,
        });
      expect(Array.from(await losses(x).data())).toEqual(tokens.advantages.map((a) => -Math.fround(a)));
      const { grads } = valueAndGrad((logProbs: Tensor) => sum(losses(logProbs)))(x);
      expect(Array.from(await grads.data())).toEqual(Array.from(await losses(x).data()));
    }
  });
});
