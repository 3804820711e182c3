/** Captured functions on webgpu: with immediates and without, after a lost device, and what a replay asks of WebGPU. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import {
  bitsOf,
  cases,
  reachedTwice,
  replayFails,
  sameBits,
  startsAnew,
  survivesException,
  trained,
} from "../helpers/capture-checks.ts";
import { rawGpu } from "../helpers/raw-gpu.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
const unfused = { fuse: false };
afterAll(() => void t.setDefaultDevice(before));

describe.skipIf(!device)("capture on webgpu", () => {
  test.each([...cases])("$name has the bits of the function, gradient included", (testCase) =>
    sameBits(testCase, device),
  );

  test("training steps in place, with live scalars, are those of the function", async () => {
    const rows = [3, 2, 3, 3];
    const expected = await trained(device, false, rows);
    expect(await trained(device, true, rows)).toEqual({ ...expected, recordings: 2 });
  });

  test("an exception changes nothing and leaves nothing behind", () => survivesException(device));

  test("a replay that fails changes nothing, and what it counted is taken back", () => replayFails(device));

  test("what the function makes and changes begins anew at each replay", async () => {
    expect(await startsAnew(device)).toEqual([
      [0, 7, 0],
      [0, 7, 7],
      [5, 0, 0],
      [0, 8, 0],
      [0, 8, 8],
      [5, 0, 0],
    ]);
  });

  test("an input that the function also reaches by itself is one memory", () => reachedTwice(device));

  test("a replay builds no pipeline and no bind group, and is one submission with its reading", async () => {
    const x = t.ones([700]);
    const f = t.capture((y: t.Tensor) => {
      let sum = y;
      for (let i = 0; i < 700; i++) sum = t.add(sum, 1);
      return sum;
    }, unfused);
    for (let i = 0; i < 3; i++) f(x).dispose();
    await device.synchronize();
    const { pipelines, bindGroups, submits, dispatches } = device.stats();
    const y = f(x);
    const immediates = (device.report.limits.maxImmediateSize ?? 0) >= 64;
    expect((await y.data())[0]).toBe(701);
    y.dispose();
    const after = device.stats();
    expect(after).toMatchObject({ pipelines, bindGroups, dispatches: dispatches + 700 });
    if (immediates) expect(after.submits - submits).toBe(2); // the replay, and the copy that is read
    f.dispose();
  });

  test("a kernel that makes a tensor of host values is refused: its memory is only planned", () => {
    const tabled: t.Op<null> = {
      name: "tabled",
      infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
      webgpu: ([x], [y]) => [
        {
          key: "tabled",
          source: () => ({
            buffers: [
              { name: "x", type: "f32" },
              { name: "table", type: "f32" },
              { name: "y", type: "f32", write: true },
            ],
            params: [],
            main: "y[i] = x[i] * table[i];",
          }),
          buffers: [x, t.tensor([2, 3]), y],
          params: [],
          count: y.size,
        },
      ],
    };
    using f = t.capture((x: t.Tensor) => t.apply(tabled, [x], null));
    expect(() => f(t.ones([2]))).toThrowErrorMatchingInlineSnapshot(
      `[DeviceError: capture: a kernel was planned with a tensor of host values, expected none. Pass it to the operation as an input.]`,
    );
  });

  test("device.trim() gives the temporaries' memory back; the next replay takes it again", async () => {
    const f = t.capture((y: t.Tensor) => t.sum(t.square(t.add(y, 1))), unfused);
    const x = t.ones([1000]);
    const first = await bitsOf(f(x));
    const held = device.memory().liveBytes;
    device.trim();
    expect(device.memory().liveBytes).toBeLessThan(held);
    expect(await bitsOf(f(x))).toEqual(first);
    f.dispose();
  });

  test("parameters in uniform buffers: the same bits; a lost device says so, and a new one records anew", async () => {
    const expected = await trained(device, true);
    const { gpu, device: own } = await rawGpu();
    expect(await trained(own, true)).toEqual(expected);
    const w = t.ones([4], { device: own });
    const f = t.capture((x: t.Tensor) => t.add(x, t.square(x)));
    expect([...(await f(w).data())]).toEqual([2, 2, 2, 2]);
    gpu.destroy();
    await gpu.lost;
    expect(() => f(w)).toThrow(t.DeviceLostError);
    const x = t.tensor([1, 2]);
    expect([...(await f(x).data())]).toEqual([2, 6]);
    expect(f.recordings).toBe(2);
    f.dispose();
  });
});
