/** Figures: medians with their range, the line of JSON, and counts of WebGPU calls on a device that only counts. */
import { describe, expect, test } from "vitest";
import { countCalls, countedOnce } from "../../bench/counts.ts";
import { resultLine } from "../../bench/result.ts";
import { interleaved, timingOf } from "../../bench/timing.ts";

const sampled = (...times: number[]) =>
  timingOf(times.map((milliseconds) => ({ milliseconds, processorMs: 2 * milliseconds })));

describe("timingOf", () => {
  test("an odd number of samples has a middle one", () => {
    const expected = { medianMs: 3, minMs: 1, maxMs: 5, samples: 3, processorMs: 6 };
    expect(sampled(5, 1, 3)).toEqual(expected);
  });

  test("of an even number it is the mean of the two in the middle", () => {
    expect(sampled(4, 1, 2, 9).medianMs).toBe(3);
  });
});

describe("interleaved", () => {
  test("takes works in turn and each as often as asked", async () => {
    const calls: string[] = [];
    const work = (name: string) => async () => {
      calls.push(name);
    };
    const times = await interleaved({ a: work("a"), b: work("b") }, 3);
    expect(calls.join("")).toBe("ababab");
    expect(times.a.samples).toBe(3);
    expect(times.a.processorMs).toBeGreaterThanOrEqual(0);
  });

  test("an interrupt ends it, a failing work fails it", async () => {
    const interrupt = new AbortController();
    const stop = async () => interrupt.abort(new Error("enough"));
    await expect(interleaved({ stop }, 2, interrupt.signal)).rejects.toThrow("enough");
    const broken = async () => {
      throw new Error("broken");
    };
    await expect(interleaved({ broken }, 1)).rejects.toThrow("broken");
  });
});

test("the last line of --json says where it was measured", () => {
  const line = resultLine(
    { adapterName: "an adapter", driver: "lavapipe" },
    { W1: { medianMs: 1.23456789 } },
  );
  expect(line).not.toContain("\n");
  const { adapter, driver, commit, W1 } = JSON.parse(line);
  expect({ adapter, driver, W1 }).toEqual({
    adapter: "an adapter",
    driver: "lavapipe",
    W1: { medianMs: 1.2346 },
  });
  expect(commit).toMatch(/^[0-9a-f]{7,}\+?$|^unknown$/);
});

/** Classes with WebGPU's methods that do nothing. */
function emptyDevice() {
  class Buffer {
    readonly size: number;
    constructor(size: number) {
      this.size = size;
    }
    destroy() {}
  }
  class Pass {
    dispatchWorkgroups() {}
    dispatchWorkgroupsIndirect() {}
    setImmediates(_index: number, _data: ArrayBufferView) {}
    end() {}
  }
  class Encoder {
    beginComputePass() {
      return new Pass();
    }
    finish() {}
  }
  class Queue {
    submit() {}
    writeBuffer(_buffer: Buffer, _at: number, _data: ArrayBufferView, _from?: number, _size?: number) {}
  }
  class Device {
    readonly queue = new Queue();
    createComputePipeline() {}
    createBindGroup() {}
    createBuffer({ size }: { size: number; mappedAtCreation?: boolean }) {
      return new Buffer(size);
    }
    createCommandEncoder() {
      return new Encoder();
    }
  }
  return new Device();
}

describe("countCalls", () => {
  test("counts calls and bytes until it is stopped", async () => {
    const device = emptyDevice();
    const gpu = device as unknown as GPUDevice;
    const work = async () => {
      device.createComputePipeline();
      const buffer = device.createBuffer({ size: 16 });
      const second = device.createBuffer({ size: 8, mappedAtCreation: true });
      device.createBindGroup();
      device.queue.writeBuffer(buffer, 0, new Float32Array(4), 1, 2);
      const pass = device.createCommandEncoder().beginComputePass();
      pass.setImmediates(0, new Uint32Array(3));
      pass.dispatchWorkgroups();
      pass.dispatchWorkgroupsIndirect();
      device.queue.submit();
      buffer.destroy();
      second.destroy();
      device.createBuffer({ size: 20 });
    };
    const before = Object.getPrototypeOf(device).createBuffer;
    const counts = await countedOnce(gpu, work);
    expect(counts).toEqual({
      pipelines: 1,
      dispatches: 2,
      passes: 1,
      submits: 1,
      bindGroups: 1,
      buffers: 3,
      bytesWritten: 8 + 8 + 12,
      peakBufferBytes: 24,
    });
    expect(Object.getPrototypeOf(device).createBuffer).toBe(before);
  });

  test("a failing work leaves nothing wrapped", async () => {
    const device = emptyDevice();
    const submit = Object.getPrototypeOf(device.queue).submit;
    const failing = countedOnce(device as unknown as GPUDevice, async () => {
      throw new Error("broken");
    });
    await expect(failing).rejects.toThrow("broken");
    expect(Object.getPrototypeOf(device.queue).submit).toBe(submit);
    countCalls(device as unknown as GPUDevice).stop();
    expect(Object.getPrototypeOf(device.queue).submit).toBe(submit);
  });
});
