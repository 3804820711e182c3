/** Tensors that can not exist: refused by name, with bytes, limit and fix, before anything is allocated. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const gpu = await requireGpu();
const cpu = await t.createDevice({ device: "cpu" });
const devices: [string, t.Device][] = [["cpu", cpu]];
if (gpu) devices.push(["webgpu", gpu]);

describe.each(devices)("sizes that %s can not hold", (kind, device) => {
  const limit = device.backend.maxTensorBytes;
  const words = limit / 4; // f32 elements that just fit
  /** The error of `f`, after checking that it left no tensor and no byte behind. */
  function refused(f: () => unknown): Error {
    const before = device.memory();
    device.resetPeak();
    let caught: unknown;
    try {
      f();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(t.OutOfMemoryError);
    const { liveBytes, liveTensors, peakBytes } = device.memory();
    expect({ liveBytes, liveTensors }).toEqual({
      liveBytes: before.liveBytes,
      liveTensors: before.liveTensors,
    });
    expect(peakBytes - liveBytes).toBeLessThanOrEqual(4); // a literal, or the anchor of random bits
    return caught as Error;
  }
  const exceeds = (where: string, elements: number) =>
    new RegExp(
      `^${where}: a tensor f32\\[.*\\] of ${4 * elements} bytes exceeds .* limit of ${limit} bytes .* Split it`,
    );

  test("creation", () => {
    const shape = [words / 64 + 1, 64];
    for (const make of [t.zeros, t.ones]) {
      expect(refused(() => make(shape, { device })).message).toMatch(exceeds(make.name, words + 64));
    }
    expect(refused(() => t.full(shape, 1, { device })).message).toMatch(exceeds("full", words + 64));
    expect(refused(() => t.arange(words + 1, { device })).message).toMatch(exceeds("arange", words + 1));
    expect(refused(() => t.randomBits(t.key(1), shape, { device })).message).toMatch(
      /^randomBits: .* of \d+ bytes/,
    );
  });

  test("results of operations", () => {
    const column = t.zeros([1024, 1], { device });
    const wide = t.expand(column, [1024, words / 1024 + 1]);
    const tooMany = words + 1024;
    expect(refused(() => t.mul(wide, 2)).message).toMatch(exceeds("mul", tooMany));
    expect(refused(() => t.reshape(wide, [-1])).message).toMatch(exceeds("copy", tooMany));
    const half = t.expand(column, [1024, words / 2048 + 1]);
    expect(refused(() => t.concat([half, half], 1)).message).toMatch(exceeds("concat", words + 2048));
    const base = t.zeros([1, 1], { device });
    const rows = t.expand(base, [words / 1024 + 1, 1]);
    expect(refused(() => t.matmul(column, rows, { transposeB: true })).message).toMatch(
      exceeds("matmul", tooMany),
    );
    expect(
      refused(() => t.grad((x: t.Tensor) => t.sum(t.exp(t.expand(x, wide.shape))))(column)).message,
    ).toMatch(exceeds("exp", tooMany));
    for (const tensor of [wide, half, rows, base, column]) tensor.dispose();
  });

  test("more elements than can be counted, also of views", () => {
    const message = "has 4294967296 elements, a tensor has at most 4294967295. Split it";
    expect(refused(() => t.zeros([2 ** 16, 2 ** 16], { device })).message).toContain(message);
    expect(refused(() => t.zeros([2 ** 53, 2 ** 53], { device })).message).toMatch(/at most 4294967295/);
    const one = t.zeros([1], { device });
    expect(refused(() => t.expand(one, [2 ** 16, 2 ** 16])).message).toContain(message);
    const [line, upright] = [t.expand(one, [2 ** 16]), t.expand(one, [2 ** 16, 1])];
    expect(refused(() => t.add(line, upright)).message).toContain(message);
    for (const tensor of [line, upright, one]) tensor.dispose();
  });

  test("the device works on", async () => {
    using y = t.scope(() => t.add(t.ones([3], { device }), 1));
    expect(await y.data()).toEqual(Float32Array.of(2, 2, 2));
    expect(device.kind).toBe(kind);
  });
});

test("an array that JavaScript refuses is an OutOfMemoryError too", () => {
  const refuse = () => {
    throw new RangeError("Array buffer allocation failed");
  };
  expect(() => cpu.allocating("exp", "f32", 3, refuse)).toThrowErrorMatchingInlineSnapshot(
    `[OutOfMemoryError: exp: no memory for 12 bytes (Array buffer allocation failed). Use smaller batches, or give tensors back earlier with scope(() => …) or dispose().]`,
  );
  const other = () => {
    throw new TypeError("a mistake");
  };
  expect(() => cpu.allocating("exp", "f32", 3, other)).toThrow(TypeError);
});
