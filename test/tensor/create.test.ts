/** Making tensors and reading them back: shapes, dtypes, conversions, copies; devices and the default one. */
import { inspect } from "node:util";
import {
  arange,
  cast,
  createDevice,
  defaultDevice,
  full,
  init,
  ones,
  type Tensor,
  tensor,
  zeros,
} from "@pact/tensor";
import { afterEach, describe, expect, test, vi } from "vitest";

const device = await createDevice({ device: "cpu" });
const read = async (t: Tensor) => ({ shape: t.shape, dtype: t.dtype, data: await t.data() });

describe("tensor", () => {
  test("is shown by its dtype, shape and device, not by its storage", () => {
    expect(inspect({ x: zeros([2, 3], { device }) })).toBe("{ x: Tensor f32[2, 3] on cpu }");
  });

  test.each([
    [3, { shape: [], dtype: "f32", data: Float32Array.of(3) }],
    [[], { shape: [0], dtype: "f32", data: new Float32Array(0) }],
    [[[], []], { shape: [2, 0], dtype: "f32", data: new Float32Array(0) }],
    [[[[1], [2]]], { shape: [1, 2, 1], dtype: "f32", data: Float32Array.of(1, 2) }],
    [[true, false], { shape: [2], dtype: "bool", data: Uint8Array.of(1, 0) }],
    [Int32Array.of(-1, 2), { shape: [2], dtype: "i32", data: Int32Array.of(-1, 2) }],
    [Uint32Array.of(4_000_000_000), { shape: [1], dtype: "u32", data: Uint32Array.of(4_000_000_000) }],
    [Float64Array.of(0.1), { shape: [1], dtype: "f64", data: Float64Array.of(0.1) }],
  ])("of %j", async (data, expected) => {
    expect(await read(tensor(data, { device }))).toEqual(expected);
  });

  test("takes a shape and a dtype, rounding as asked", async () => {
    const t = tensor(Float64Array.of(0.1, 2, 3, 4), { shape: [2, 2], dtype: "f32", device });
    expect(await read(t)).toEqual({
      shape: [2, 2],
      dtype: "f32",
      data: Float32Array.of(Math.fround(0.1), 2, 3, 4),
    });
    expect(await tensor([0, 0.5, -3], { dtype: "bool", device }).data()).toEqual(Uint8Array.of(0, 1, 1));
  });

  test("copies what it is given, and data() copies what it gives", async () => {
    const source = Float32Array.of(1, 2);
    const t = tensor(source, { device });
    source[0] = 9;
    const copy = await t.data();
    copy[1] = 9;
    expect([...(await t.data())]).toEqual([1, 2]);
  });

  test("full, zeros, ones, arange", async () => {
    expect([...(await full([2], -1.5, { device }).data())]).toEqual([-1.5, -1.5]);
    expect([...(await full([2], 7, { dtype: "bool", device }).data())]).toEqual([1, 1]);
    expect([...(await zeros([0, 3], { device }).data())]).toEqual([]);
    expect([...(await ones([], { dtype: "i32", device }).data())]).toEqual([1]);
    expect([...(await arange(3, { dtype: "u32", device }).data())]).toEqual([0, 1, 2]);
  });

  test("casts stop at the ends of the integers and keep bits between them", async () => {
    const x = tensor([3e9, -3e9, -1.9, 1.9, 5e9], { dtype: "f64", device });
    const top = 2 ** 31 - 1;
    expect([...(await cast(x, "i32").data())]).toEqual([top, -(2 ** 31), -1, 1, top]);
    expect([...(await cast(x, "u32").data())]).toEqual([3e9, 0, 0, 1, 2 ** 32 - 1]);
    expect([...(await cast(tensor(Int32Array.of(-1), { device }), "u32").data())]).toEqual([2 ** 32 - 1]);
    expect(cast(x, "f64")).toBe(x);
  });
});

describe("init", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("makes the default device and says why in one line", async () => {
    const lines: string[] = [];
    const made = await init({ device: "cpu", log: (line) => lines.push(line) });
    expect(defaultDevice()).toBe(made);
    expect(zeros([1]).device).toBe(made);
    expect(lines).toEqual(["cpu: asked for"]);
    made.destroy();
    expect(() => defaultDevice()).toThrow(/there is no device yet/);
  });

  test("falls back to the cpu where there is no adapter, unless webgpu is asked for", async () => {
    vi.stubEnv("PACT_DRIVER", "none");
    const fallback = await createDevice();
    expect(fallback.report).toMatchObject({
      kind: "cpu",
      driver: "none",
      why: "cpu: none: PACT_DRIVER=none",
    });
    await expect(createDevice({ device: "webgpu" })).rejects.toThrow(/no WebGPU adapter .*PACT_DRIVER=none/);
  });
});
