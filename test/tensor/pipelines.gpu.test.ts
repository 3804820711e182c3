/** Pipelines are built in the background: what waits for them keeps its order, and everything works if they come late or never. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { rawGpu } from "../helpers/raw-gpu.ts";
import { requireGpu } from "../helpers/require.ts";

const present = await requireGpu();

/** A device whose pipelines are ready when `release` is called. */
async function slowGpu() {
  const { gpu, device } = await rawGpu();
  const build = gpu.createComputePipelineAsync.bind(gpu);
  let release = () => {};
  const gate = new Promise<void>((done) => {
    release = done;
  });
  gpu.createComputePipelineAsync = async (descriptor) => {
    await gate;
    return build(descriptor);
  };
  return { gpu, device, release: () => release() };
}

describe.skipIf(!present)("pipelines", () => {
  test("commands and reads behind a pipeline run in the order in which they were asked for", async () => {
    const { device, release } = await slowGpu();
    const x = t.tensor([1, 2], { device });
    const y = t.add(x, 10);
    const before = y.data();
    t.assignRows(y, Int32Array.of(0), t.tensor([5], { device }));
    const after = y.data();
    const early = x.data();
    x.dispose();
    const next = t.tensor([7, 7], { device }); // must not take x's buffer: a copy of it waits
    const padded = t.pad(next, [[1, 0]]);
    const sum = t.add(t.slice(padded, [0], [2]), y).data();
    expect(device.stats().submits).toBe(0);
    release();
    expect([await before, await after, await early, await sum].map((a) => [...a])).toEqual([
      [11, 12],
      [5, 12],
      [1, 2],
      [5, 19],
    ]);
    device.destroy();
  });

  test("what can not wait builds them at once", async () => {
    const { device } = await slowGpu();
    const x = t.add(t.ones([4], { device }), 1);
    device.trim();
    expect(device.stats()).toMatchObject({ pipelines: 1, submits: 1 });
    device.destroy();
    await expect(async () => x.data()).rejects.toThrow(t.DeviceError);
  });

  test("one that fails in the background is built when it is needed, and a lost device ends the wait", async () => {
    const { gpu, device } = await rawGpu();
    gpu.createComputePipelineAsync = () => Promise.reject(new Error("not today"));
    expect([...(await t.add(t.ones([2], { device }), 1).data())]).toEqual([2, 2]);
    gpu.createComputePipelineAsync = () => new Promise(() => {});
    const read = t.exp(t.ones([2], { device })).data();
    gpu.destroy();
    await expect(read).rejects.toThrow(t.DeviceLostError);
  });

  test("onPipeline is told of each", async () => {
    const told: number[][] = [];
    const onPipeline = (built: number, asked: number) => void told.push([built, asked]);
    const device = await t.createDevice({ device: "webgpu", onPipeline });
    const f = t.capture((x: t.Tensor) => t.sum(t.exp(t.matmul(x, x))), { fuse: false });
    expect(await f(t.zeros([4, 4], { device })).item()).toBe(16);
    const { pipelines } = device.stats();
    expect(told.map(([built]) => built)).toEqual(Array.from({ length: pipelines }, (_, i) => i + 1));
    expect(told.at(-1)).toEqual([pipelines, pipelines]);
    device.destroy();
  });
});
