/** What plans say, without any GPU; that they are right is tested in memory-plan.gpu.test.ts. */
import {
  forwardHidden,
  InputError,
  type PlanOptions,
  packSequences,
  paramSpecs,
  planMemory,
  type TransformerConfig,
} from "@pact/nn";
import { add, createDevice, type Device, matmul, planningDevice, ShapeError, sum, zeros } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { gpt, qwen3 } from "./models.ts";

const large: TransformerConfig = {
  ...qwen3,
  vocabSize: 151936,
  hiddenSize: 1024,
  numLayers: 28,
  numHeads: 16,
  numKvHeads: 8,
  headSize: 128,
  intermediateSize: 3072,
  maxPositions: 40960,
};

describe("planMemory", () => {
  it("plans a model of 0.6 billion parameters without the memory for one", () => {
    const before = process.memoryUsage().rss;
    const plan = planMemory(large, { tokens: 1024, targets: 256 });
    expect(plan.trainable).toBe(596_049_920); // Qwen3-0.6B
    expect(plan.parameterBytes).toBe(4 * 596_049_920);
    expect(plan.optimizerBytes).toBeGreaterThanOrEqual(3 * plan.parameterBytes);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  });

  it("a frozen base has no gradients and no state, recomputed blocks or not", () => {
    const plan = (options: Partial<PlanOptions>) =>
      planMemory(large, { tokens: 512, targets: 64, ...options });
    for (const checkpointBlocks of [false, true]) {
      const full = plan({ checkpointBlocks });
      const some = plan({ checkpointBlocks, lora: { rank: 8 } });
      const widths = [1024 + 2048, 1024 + 1024, 1024 + 1024, 2048 + 1024, 3 * (1024 + 3072)]; // in + out: q, k, v, o, MLP
      expect(some.trainable).toBe(28 * 8 * widths.reduce((a, b) => a + b));
      expect(some.optimizerBytes).toBeLessThan(full.optimizerBytes / 50);
      expect(full.peakBytes - some.peakBytes).toBeGreaterThan(3.5 * full.parameterBytes);
    }
    const half = plan({ lora: { rank: 8 }, dtype: "f16", checkpointBlocks: true });
    expect(half.parameterBytes).toBe(2 * 596_049_920);
  });

  it("grows with tokens, and takes more tokens than positions as several sequences", () => {
    const peaks = [10, 100, 1000].map((tokens) => planMemory(gpt, { tokens, targets: 5 }).peakBytes);
    expect(peaks).toEqual(peaks.toSorted((a, b) => a - b));
    expect(peaks[2]).toBeGreaterThan(5 * peaks[1]);
  });

  it("refuses sizes that are none", () => {
    expect(() => planMemory(gpt, { tokens: 1 })).toThrow(/tokens is 1, expected a whole number ≥ 2/);
    expect(() => planMemory(gpt, { tokens: 10, targets: 10 })).toThrow(InputError);
    expect(() => planMemory({ ...gpt, numLayers: 0 }, { tokens: 10 })).toThrow(/numLayers/);
  });
});

describe("passes in f16", () => {
  it("keep little more than half of what those in f32 keep", () => {
    const config = { ...qwen3, hiddenSize: 64, intermediateSize: 192, headSize: 16, numLayers: 6 };
    const kept = (computeDtype: "f32" | "f16") =>
      planMemory(config, { tokens: 2000, targets: 1900, computeDtype }).workingBytes;
    expect(kept("f16") / kept("f32")).toBeLessThan(0.7);
    expect(kept("f16") / kept("f32")).toBeGreaterThan(0.5);
  });
});

describe("a forward pass that is not differentiated", () => {
  it.each([false, true])(
    "gives a block's temporaries back before the next (checkpointBlocks %s)",
    (checkpointBlocks) => {
      const tokens = 64;
      const working = (numLayers: number): number => {
        const config = { ...qwen3, numLayers };
        const device = planningDevice();
        const params = Object.fromEntries(
          paramSpecs(config).map(({ name, shape }) => [name, device.empty(shape, "f32")]),
        );
        const before = device.memory().liveBytes;
        forwardHidden(config, params, packSequences([new Int32Array(tokens)]), { checkpointBlocks });
        const { peakBytes } = device.memory();
        device.destroy();
        return peakBytes - before;
      };
      const hidden = 4 * tokens * qwen3.hiddenSize; // what goes from block to block
      expect(working(9) - working(3)).toBe(6 * hidden);
    },
  );
});

describe("planningDevice", () => {
  it("counts as a device that computes, keeps its shapes and errors, and reads zeros", async () => {
    const peak = (device: Device) => {
      const [a, b] = [zeros([20, 30], { device }), zeros([30, 40], { device })];
      const total = sum(add(matmul(a, b), 1));
      return [device.memory(), total] as const;
    };
    const [planned, total] = peak(planningDevice());
    const [computed] = peak(await createDevice({ device: "cpu" }));
    expect(planned.liveBytes).toBe(computed.liveBytes);
    expect(planned.liveTensors).toBe(computed.liveTensors);
    expect(await total.item()).toBe(0);
    const device = planningDevice();
    expect(() => matmul(zeros([2, 3], { device }), zeros([2, 3], { device }))).toThrow(ShapeError);
    expect(() => zeros([2], { device, dtype: "f64" })).toThrow(/f64/);
  });

  it("remembers what was alive at the peak, from the last resetPeak on", () => {
    const device = planningDevice();
    const a = zeros([20, 30], { device });
    const b = matmul(a, zeros([30, 40], { device }));
    b.dispose();
    add(a, 1).dispose(); // less than b
    expect(device.atPeak().map(({ op, shape }) => [op, ...shape])).toEqual([
      ["zeros", 20, 30],
      ["zeros", 30, 40],
      ["matmul", 20, 40],
    ]);
    expect(device.atPeak().reduce((sum, { bytes }) => sum + bytes, 0)).toBe(device.memory().peakBytes);
    expect(device.largestTensor).toEqual({ op: "zeros", shape: [30, 40], dtype: "f32", bytes: 4800 });
    device.resetPeak();
    expect(device.largestTensor).toBeUndefined();
    expect(device.atPeak()).toHaveLength(2);
    const half = zeros([7], { device, dtype: "f16" });
    expect(device.atPeak().at(-1)).toEqual({ op: "zeros", shape: [7], dtype: "f16", bytes: 14 });
    half.dispose();
    expect(device.atPeak()).toHaveLength(3);
  });

  it("keeps freed buffers in size classes, as the pool of a device does", () => {
    const device = planningDevice();
    zeros([1000], { device }).dispose(); // 4000 bytes in a class of 4096
    expect(device.memory().pooledBytes).toBe(4096);
    const again = zeros([1024], { device });
    expect(device.memory().pooledBytes).toBe(0);
    again.dispose();
    zeros([2000], { device }).dispose();
    expect(device.memory().pooledBytes).toBe(4096 + 8192);
    device.trim();
    expect(device.memory().pooledBytes).toBe(0);
  });
});
