/** A GPU that goes away: what is pending and what comes later says so, and a new device works in the same process. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { rawGpu } from "../helpers/raw-gpu.ts";
import { requireGpu } from "../helpers/require.ts";

const present = await requireGpu();
const before = t.setDefaultDevice(undefined);
afterAll(() => void t.setDefaultDevice(before));

describe.skipIf(!present)("a lost device", () => {
  test("rejects pending and later work with DeviceLostError, and init() gives a new one", async () => {
    const { gpu, device } = await rawGpu();
    const x = t.tensor([1, 2, 3], { device });
    const y = t.add(x, 1);
    const view = t.slice(x, [1], [3]);
    const pending = [y.data(), t.sum(x).item(), device.synchronize()];
    const settled = Promise.allSettled(pending);
    gpu.destroy(); // by force: not through device.destroy()
    const [read, item] = await settled;
    expect(read).toMatchObject({ status: "rejected", reason: { name: "DeviceLostError" } });
    expect(item).toMatchObject({ status: "rejected", reason: { code: "device-lost" } });
    await gpu.lost;

    expect(() => y.data()).toThrow(t.DeviceLostError);
    expect(() => y.data()).toThrowErrorMatchingInlineSnapshot(
      `[DeviceLostError: data: the GPU device was lost (device was destroyed) and its tensors with it. Call init() for a new device and load the last checkpoint.]`,
    );
    const uses: Record<string, () => unknown> = {
      "an operation": () => t.add(x, x),
      "an operation in place": () => t.assignRows(x, Int32Array.of(0), t.slice(x, [0], [1])),
      "a view": () => t.reshape(x, [3, 1]),
      "a reading view": () => view.data(),
      "a new tensor": () => t.zeros([2], { device }),
      "random bits": () => t.randomBits(t.key(1), [2], { device }),
      "a gradient": () => t.grad((p: t.Tensor) => t.sum(p))(x),
    };
    for (const [what, use] of Object.entries(uses)) {
      expect(use, what).toThrow(t.DeviceLostError);
    }
    await expect(x.item()).rejects.toThrow(t.DeviceLostError);
    await expect(device.synchronize()).rejects.toThrow(t.DeviceLostError);
    for (const tensor of [x, y, view]) tensor.dispose();
    device.trim();
    expect(device.memory().liveTensors).toBe(1); // the sum

    const next = await t.init({ device: "webgpu" });
    expect(await t.add(t.tensor([1, 2, 3]), 1).data()).toEqual(Float32Array.of(2, 3, 4));
    next.destroy();
  });

  test("is no surprise after destroy(): pending reads and later uses say that it was destroyed", async () => {
    const { device } = await rawGpu();
    const x = t.tensor([1, 2, 3], { device });
    const pending = x.data().catch((error: Error) => error);
    device.destroy();
    device.destroy();
    expect(await pending).toMatchInlineSnapshot(
      `[DeviceError: read: the webgpu device was destroyed. Call init() for a new one.]`,
    );
    expect(() => t.reshape(x, [3, 1])).toThrowErrorMatchingInlineSnapshot(
      `[DeviceError: reshape: this webgpu device was destroyed. Call init() for a new one, and make its tensors there.]`,
    );
    expect(() => t.add(x, 1)).toThrow(t.DeviceError);
    expect(() => x.data()).toThrow(/^data: this webgpu device was destroyed/);
    await expect(device.synchronize()).rejects.toThrow(t.DeviceError);
    x.dispose();
    device.trim();
    expect(device.memory()).toMatchObject({ liveBytes: 0, liveTensors: 0, pooledBytes: 0 });
  });
});
