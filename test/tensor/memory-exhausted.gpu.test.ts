/**
 * A GPU without memory, imitated: filling the real one would take the machine's memory. The refused buffer is invalid
 * as a real one is, so the submissions that use it fail for real.
 */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { rawGpu, refuseBuffers, throwAtBuffers } from "../helpers/raw-gpu.ts";
import { requireGpu } from "../helpers/require.ts";

const present = await requireGpu();
const { gpu, device } = present ? await rawGpu() : ({} as Awaited<ReturnType<typeof rawGpu>>);
const big = 2 ** 18; // elements: 1 MiB
const outOfMemory = expect.objectContaining({ name: "OutOfMemoryError", code: "out-of-memory" });
const failure = (work: Promise<unknown>) => work.catch((error: Error) => error);

describe.skipIf(!present)("a GPU without memory", () => {
  test("loses what was being computed, by name, and nothing else", async () => {
    const kept = t.tensor([1, 2, 3], { device });
    const early = t.add(kept, 10);
    await early.data();
    const end = refuseBuffers(gpu, 4 * big);
    const x = t.expand(kept, [big, 3]);
    const lost = t.add(x, 1);
    const after = t.sum(lost);
    const reads = [lost.data(), after.item(), kept.data(), early.data()].map(failure);
    const [first, second, ...fine] = await Promise.all(reads);
    expect(first).toEqual(outOfMemory);
    expect(first).toMatchInlineSnapshot(
      `[OutOfMemoryError: The GPU has no memory for a buffer of 3145728 bytes (the GPU is full); what was being computed is lost. Use smaller batches, or give tensors back earlier with scope(() => …) or dispose().]`,
    );
    expect(second).toEqual(outOfMemory);
    // These two were read by the submission that failed, not written.
    expect(fine).toEqual([Float32Array.of(1, 2, 3), Float32Array.of(11, 12, 13)]);
    expect(() => t.mul(after, 2)).toThrow(t.OutOfMemoryError);
    expect(await failure(lost.data())).toEqual(outOfMemory);
    for (const tensor of [x, lost, after]) tensor.dispose();

    const small = t.add(kept, 1); // the same device, still without memory
    expect(await small.data()).toEqual(Float32Array.of(2, 3, 4));
    end();
    const again = t.scope(() => t.sum(t.expand(kept, [big, 3])));
    expect(await again.item()).toBe(6 * big);
    for (const tensor of [kept, early, small, again]) tensor.dispose();
    expect(device.memory()).toMatchObject({ liveBytes: 0, liveTensors: 0 });
  });

  test("also loses a tensor that was uploaded", async () => {
    const end = refuseBuffers(gpu, 4 * big);
    const x = t.ones([big], { device });
    expect(await failure(x.data())).toEqual(outOfMemory);
    end();
    x.dispose();
    const y = t.ones([big], { device });
    expect((await y.data())[big - 1]).toBe(1);
    y.dispose();
  });

  test("a refusal at once frees the idle buffers and is tried again", async () => {
    t.zeros([5000], { device }).dispose();
    expect(device.memory().pooledBytes).toBeGreaterThan(0);
    const end = throwAtBuffers(gpu, 1);
    const x = t.ones([70_000], { device });
    end();
    expect(device.memory().pooledBytes).toBe(0);
    expect((await x.data())[69_999]).toBe(1);
    x.dispose();
  });

  test("refused twice, it is an OutOfMemoryError that leaves nothing behind", async () => {
    const x = t.ones([3], { device });
    device.trim();
    const before = device.memory();
    const end = throwAtBuffers(gpu, 2);
    expect(() => t.scope(() => t.add(t.expand(x, [1000, 3]), 1))).toThrow(t.OutOfMemoryError);
    end();
    x.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes - 12);
    const y = t.scope(() => t.add(t.ones([3], { device }), 1));
    expect(await y.data()).toEqual(Float32Array.of(2, 2, 2));
    y.dispose();
  });

  test("a replay whose temporaries find no memory fails alone: the next has its own again", async () => {
    using f = t.capture((x: t.Tensor) => t.sum(t.square(t.add(x, 1))), { fuse: false });
    const [small, large] = [t.ones([100], { device }), t.ones([90_000], { device })];
    f(large).dispose();
    device.trim();
    f(small).dispose();
    const end = throwAtBuffers(gpu, 2); // in place of the larger temporaries
    expect(() => f(large)).toThrow(t.OutOfMemoryError);
    end();
    const results = [f(small), f(large), f(small)];
    expect(await Promise.all(results.map((y) => y.item()))).toEqual([400, 360_000, 400]);
    for (const x of [small, large, ...results]) x.dispose();
    device.trim();
  });

  test("trim() gives idle buffers back, between commands not yet submitted too", async () => {
    const x = t.ones([1000], { device });
    const y = t.scope(() => t.add(t.mul(x, 2), 1)); // the product's buffer is idle and not yet computed
    expect(device.memory().pooledBytes).toBeGreaterThanOrEqual(4000);
    device.trim();
    expect(device.memory().pooledBytes).toBe(0);
    expect((await y.data())[999]).toBe(3);
    for (const tensor of [x, y]) tensor.dispose();
    device.trim();
    expect(device.memory()).toMatchObject({ liveBytes: 0, pooledBytes: 0 });
  });
});
