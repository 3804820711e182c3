/** `device.memory()` on both devices: exact numbers for views, scalars, in-place steps, and a long training loop. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const gpu = await requireGpu();
const cpu = await t.createDevice({ device: "cpu" });
const devices: [string, t.Device][] = [["cpu", cpu]];
if (gpu) devices.push(["webgpu", gpu]);

describe.each(devices)("memory on %s", (_name, device) => {
  test("counts storage once, whatever looks at it", () => {
    const start = device.memory();
    device.resetPeak();
    const grown = () => {
      const { liveBytes, liveTensors, peakBytes } = device.memory();
      return [liveBytes - start.liveBytes, liveTensors - start.liveTensors, peakBytes - start.liveBytes];
    };
    const x = t.zeros([6, 4], { device }); // 96 bytes
    expect(grown()).toEqual([96, 1, 96]);
    const views = [t.reshape(x, [24]), t.slice(x, [1, 0], [3, 4]), t.expand(x, [9, 6, 4])];
    expect(grown()).toEqual([96, 4, 96]);
    const scalar = t.full([], 3, { device });
    expect(grown()).toEqual([100, 5, 100]);
    const empty = t.zeros([0, 5], { device });
    expect(grown()).toEqual([100, 6, 100]);
    const copy = t.add(x, scalar);
    expect(grown()).toEqual([196, 7, 196]);
    const rows = t.slice(x, [0, 0], [2, 4]);
    t.assignRows(copy, Int32Array.of(2, 5), rows);
    rows.dispose();
    copy.dispose();
    copy.dispose();
    expect(grown()[0]).toBe(100);
    expect(grown()[2]).toBe(204); // beside the copy, the two row numbers of assignRows
    device.resetPeak();
    expect(grown()[2]).toBe(100);
    x.dispose();
    expect(grown()[0]).toBe(100); // the views hold it
    for (const tensor of [...views, scalar, empty]) tensor.dispose();
    expect(grown()[0]).toBe(0);
  });

  test("stays flat over 1,000 steps of training", async () => {
    const [wide, rows] = [8, 16];
    const size = 3 * wide + wide; // two layers: [wide, 3] and [1, wide]
    const arena = () => t.zeros([size], { device });
    const start = device.memory();
    const initial = Float32Array.from({ length: size }, (_, i) => Math.sin(7 * i));
    const state = {
      ...{ params: t.tensor(initial, { device }), m: arena(), v: arena(), decayMask: arena() },
      clipScale: t.ones([], { device }),
    };
    const loss = (p: t.Tensor, x: t.Tensor, target: t.Tensor) => {
      const first = t.reshape(t.slice(p, [0], [3 * wide]), [wide, 3]);
      const second = t.reshape(t.slice(p, [3 * wide], [size]), [1, wide]);
      return t.mean(t.square(t.sub(t.linear(t.tanh(t.linear(x, first)), second), target)));
    };
    const step = (number: number) =>
      t.scope(() => {
        const batch = Float32Array.from({ length: 3 * rows }, (_, i) => Math.sin(number + 3 * i));
        const target = Float32Array.from({ length: rows }, (_, i) =>
          Math.tanh(batch[3 * i] - batch[3 * i + 2]),
        );
        const x = t.tensor(batch, { shape: [rows, 3], device });
        const y = t.tensor(target, { shape: [rows, 1], device });
        const { value, grads } = t.valueAndGrad(loss)(state.params, x, y);
        const settings = { lr: 1e-2, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step: number };
        t.adamWStep({ ...state, grads }, settings);
        return value;
      });
    const seen = new Set<string>();
    const losses: number[] = [];
    for (let number = 1; number <= 1000; number++) {
      const value = step(number);
      if (number % 100 === 1 || number === 1000) losses.push(await value.item());
      value.dispose();
      // The pool fills while the first uploads wait for their turn.
      if (number >= 100) seen.add(JSON.stringify({ ...device.memory(), peakBytes: 0 }));
    }
    expect([...seen]).toHaveLength(1);
    expect(losses[losses.length - 1]).toBeLessThan(0.5 * losses[0]);
    for (const tensor of Object.values(state)) tensor.dispose();
    expect(device.memory()).toMatchObject({ liveBytes: start.liveBytes, liveTensors: start.liveTensors });
  });
});
