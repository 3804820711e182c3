/** checkpoint, customVjp and debug.checkFinite on webgpu. */
import {
  add,
  checkpoint,
  customVjp,
  exp,
  log,
  log1p,
  matmul,
  mul,
  sigmoid,
  sum,
  type Tensor,
  tanh,
  tensor,
  valueAndGrad,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { finiteChecks } from "../helpers/finite-checks.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("on webgpu", () => {
  describe("debug.checkFinite", () => finiteChecks(device));

  test("checkpoint: same bits as without, less memory", async () => {
    const size = 16;
    const wave = (phase: number) =>
      tensor(
        new Float32Array(size * size).map((_, i) => Math.sin(i + phase) / 4),
        { shape: [size, size], device },
      );
    const params = Array.from({ length: 16 }, (_, n) => wave(n));
    const x = wave(100);
    const layers = (ps: Tensor[], h: Tensor) => ps.reduce((h, w) => add(tanh(matmul(h, w)), h), h);
    const run = async (group: typeof layers) => {
      const live = device.memory().liveBytes;
      device.resetPeak();
      const loss = (ps: Tensor[]) => sum([0, 4, 8, 12].reduce((h, at) => group(ps.slice(at, at + 4), h), x));
      const { value, grads } = valueAndGrad(loss)(params);
      const peak = device.memory().peakBytes - live;
      const bits = [
        await value.item(),
        ...(await Promise.all(grads.map(async (g) => [...(await g.data())]))),
      ];
      for (const t of [value, ...grads]) t.dispose();
      return { peak, bits };
    };
    const [plain, remade] = [await run(layers), await run(checkpoint(layers))];
    expect(remade.bits).toEqual(plain.bits);
    expect(remade.peak).toBeLessThan(plain.peak * 0.6);
  });

  test("logarithms of 0 and below are what they are on cpu", async () => {
    const x = tensor([-3, -1, -0.5, -0, 0, 1, Number.POSITIVE_INFINITY], { device });
    const { NaN: none, NEGATIVE_INFINITY: down, POSITIVE_INFINITY: up } = Number;
    expect([...(await log(x).data())]).toEqual([none, none, none, down, down, 0, up]);
    const plusOne = [...(await log1p(x).data())];
    expect(plusOne.slice(0, 2)).toEqual([none, down]);
    expect(plusOne.at(-1)).toBe(up);
  });

  test("customVjp takes its gradient from backward", async () => {
    const softplus = customVjp(
      (x: Tensor) => log(add(exp(x), 1)),
      ({ inputs: [x] }, dy) => [mul(dy, sigmoid(x))],
    );
    const { grads } = valueAndGrad((x: Tensor) => sum(softplus(x)))(tensor([0, 200], { device }));
    expect([...(await grads.data())]).toEqual([0.5, 1]);
  });
});
