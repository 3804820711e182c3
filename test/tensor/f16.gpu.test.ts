/**
 * The dtype f16 on webgpu: what is stored, the operations against the f64 reference on inputs that f16 holds, and
 * training in f16. Needs an adapter with `shader-f16` (lavapipe has it, SwiftShader not); the errors without it are
 * tested everywhere.
 */
import {
  acquireAdapter,
  adamWStep,
  add,
  assignRows,
  cast,
  concat,
  createDevice,
  crossEntropy,
  embedding,
  expand,
  gather,
  grad,
  less,
  linear,
  logSumExp,
  matmul,
  max,
  mean,
  mul,
  narrowF16,
  pad,
  relu,
  reshape,
  scope,
  slice,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
  valueAndGrad,
  variance,
  widenF16,
  zeros,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { holdDevice } from "../../packages/tensor/src/backends/webgpu/adapter.ts";
import { WebGpuBackend } from "../../packages/tensor/src/backends/webgpu/backend.ts";
import { Device } from "../../packages/tensor/src/device.ts";
import { expectClose } from "../helpers/compare.ts";
import { Draw } from "../helpers/draw.ts";
import { elementwiseCases } from "../helpers/elementwise-cases.ts";
import { networkCases } from "../helpers/network-cases.ts";
import { opCases } from "../helpers/op-cases.ts";
import { halfGradientMatches, halfMatchesReference, reference } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const offered = device?.report.features.includes("shader-f16") ?? false;
if (device && !offered) console.warn(`skipped, no f16: ${device.report.adapterName} lacks shader-f16`);

const cases = [...elementwiseCases, ...opCases, ...networkCases];
const f16 = { dtype: "f16", device } as const;

/** The f16 numbers nearest to `values`. */
const halves = (values: ArrayLike<number>) => widenF16(narrowF16(Float32Array.from(values)));
const drawn = (count: number, seed = count) => new Float32Array(halves(new Draw(seed).floats(count)));

/** Reads a tensor as plain numbers and gives its memory back. */
async function take(t: Tensor): Promise<number[]> {
  const data = await t.data();
  t.dispose();
  return [...data];
}

describe.skipIf(!offered)("f16 operations", () => {
  test.each(cases)("$name matches the reference", (testCase) => halfMatchesReference(testCase, device, 8));
  test.each(cases.filter((c) => c.gradient))("the gradient of $name matches", (testCase) =>
    halfGradientMatches(testCase, device, 5),
  );
});

describe.skipIf(!offered)("f16 storage", () => {
  test.each([0, 1, 2, 3, 5, 7, 64, 257, 1021, 100_003])("%i elements take two bytes each", async (count) => {
    const { liveBytes } = device.memory();
    const values = drawn(count);
    const x = tensor(values, f16);
    expect(device.memory().liveBytes - liveBytes).toBe(2 * count);
    const data = await x.data();
    expect(data).toBeInstanceOf(Float32Array);
    expect(data).toEqual(values);
    expect(await take(add(x, x))).toEqual([...halves(values.map((v) => 2 * v))]);
    x.dispose();
    expect(device.memory().liveBytes).toBe(liveBytes);
  });

  test("every bit pattern comes back, NaN as NaN", async () => {
    const every = widenF16(Uint16Array.from({ length: 0x10000 }, (_, i) => i));
    const back = await take(tensor(every, f16));
    back.forEach((value, i) => {
      if (!Object.is(value, every[i])) throw new Error(`pattern ${i}: ${value}, expected ${every[i]}`);
    });
  });

  test("numbers round once to the nearest, ties to even", async () => {
    const aboveTie = 2049 + 2 ** -40; // as f32 this is the tie itself
    const values = [0.1, 2049, aboveTie, 2051, 65519, 65520, -1e9, 2 ** -25, 3 * 2 ** -25, 1e-9];
    const expected = [0.0999755859375, 2048, 2050, 2052, 65504, Infinity, -Infinity, 0, 2 ** -23, 0];
    expect(await take(tensor(values, f16))).toEqual(expected);
    expect(await take(tensor(Float64Array.of(aboveTie), f16))).toEqual([2050]);
    expect(await take(tensor(Float32Array.of(0.1, 2049), f16))).toEqual([0.0999755859375, 2048]);
  });

  test("windows that begin or end inside a word are read and computed with", async () => {
    const values = drawn(23);
    const x = tensor(values, f16);
    for (let begin = 0; begin < 6; begin++) {
      for (const length of [1, 2, 3, 4, 5, 8]) {
        const part = values.slice(begin, begin + length);
        const window = slice(x, [begin], [begin + length]);
        expect(await take(mul(window, window))).toEqual([...halves(part.map((v) => v * v))]);
        expect(await take(max(window))).toEqual([Math.max(...part)]);
        expect(await take(window)).toEqual([...part]);
      }
    }
    x.dispose();
  });

  test("rows and elements are looked up without widening the table", async () => {
    const values = drawn(4096 * 8);
    const table = tensor(values, { ...f16, shape: [4096, 8] });
    const index = tensor(Int32Array.of(4095, 0, 7), { device });
    device.resetPeak();
    const { liveBytes } = device.memory();
    const rows = embedding(table, index);
    const row = tensor(Int32Array.of(7, 0, 3, 2), { shape: [1, 4], device });
    const picked = gather(slice(table, [5, 0], [6, 8]), 1, row);
    expect(device.memory().peakBytes - liveBytes).toBeLessThan(4096);
    const expected = [4095, 0, 7].flatMap((r) => [...values.slice(8 * r, 8 * r + 8)]);
    expect(await take(rows)).toEqual(expected);
    expect(await take(picked)).toEqual([7, 0, 3, 2].map((c) => values[8 * 5 + c]));
    for (const t of [table, index, row]) t.dispose();
  });

  test("neighbours in one word do not disturb each other", async () => {
    const values = drawn(5001);
    const x = tensor(values, f16);
    const one = tensor([7], f16);
    const joined = scope(() => concat([one, x, one, one, slice(x, [1], [5001])]));
    expect(await take(joined)).toEqual([7, ...values, 7, 7, ...values.slice(1)]);
    expect(await take(pad(x, [[1, 2]], 3))).toEqual([3, ...values, 3, 3]);
    for (const t of [x, one]) t.dispose();
  });

  test("rows are assigned in place, beside others in the same word", async () => {
    const cache = zeros([4, 3], f16);
    const rows = tensor(
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      f16,
    );
    assignRows(cache, Int32Array.of(3, 1), rows);
    rows.dispose();
    expect(await take(cache)).toEqual([0, 0, 0, 4, 5, 6, 0, 0, 0, 1, 2, 3]);
  });

  test("converts from and to every type", async () => {
    const x = tensor([-2.5, 0, 0.1, 3, 65504], f16);
    const as = (dtype: "f32" | "i32" | "u32" | "bool") => take(cast(x, dtype));
    expect(await as("f32")).toEqual([...halves([-2.5, 0, 0.1, 3, 65504])]);
    expect(await as("i32")).toEqual([-2, 0, 0, 3, 65504]);
    expect(await as("u32")).toEqual([0, 0, 0, 3, 65504]);
    expect(await as("bool")).toEqual([1, 0, 1, 1, 1]);
    expect(await take(less(x, 0.05))).toEqual([1, 1, 0, 0, 0]);
    const from = (dtype: "f32" | "i32" | "u32" | "bool", values: number[]) =>
      take(scope(() => cast(tensor(values, { dtype, device }), "f16")));
    expect(await from("f32", [0.1, 2049, 2051, 2 ** -24])).toEqual([0.0999755859375, 2048, 2052, 2 ** -24]);
    expect(await from("i32", [-2049, 7, 2051])).toEqual([-2048, 7, 2052]);
    expect(await from("u32", [2049, 65504])).toEqual([2048, 65504]);
    expect(await from("bool", [1, 0])).toEqual([1, 0]);
    x.dispose();
  });

  test("a cast carries the gradient back in the type it came from", async () => {
    const x = tensor([1, 2, 3], { device });
    const slope = grad((x: Tensor) => sum(mul(cast(x, "f16"), tensor([0.5, 4, 0.1], f16))))(x);
    expect(slope.dtype).toBe("f32");
    expect(await take(slope)).toEqual([0.5, 4, 0.0999755859375]);
    x.dispose();
  });
});

describe.skipIf(!offered)("f16 sums", () => {
  const twoColumns = (x: Tensor) => expand(reshape(x, [x.size, 1]), [x.size, 2]);

  // Added up in f16, 4,096 times 0.1 would stop growing at 256.
  const total = 4096 * 0.0999755859375;

  test("are kept in f32", async () => {
    const x = tensor(new Float32Array(4096).fill(0.1), f16);
    expect(await take(sum(x))).toEqual([...halves([total])]);
    expect(await take(sum(reshape(x, [2, 2048]), { axes: 1 }))).toEqual([...halves([total / 2, total / 2])]);
    x.dispose();
  });

  test("that are only steps on the way may pass the largest f16", async () => {
    const x = tensor(new Float32Array(70_001).fill(3), f16);
    const targets = zeros([70_001], { dtype: "i32", device });
    expect(await take(mean(x))).toEqual([3]);
    expect(await take(variance(x))).toEqual([0]);
    expect(await take(logSumExp(x))).toEqual([...halves([3 + Math.log(70_001)])]);
    const loss = scope(() => crossEntropy(twoColumns(x), targets));
    expect(await take(loss)).toEqual([...halves([Math.log(2)])]);
    for (const t of [x, targets]) t.dispose();
  });

  test.each([255, 256, 1499, 4096])("of products over %i are kept in f32", async (inner) => {
    const [a, b] = [drawn(3 * inner, 1), drawn(inner * 5, 2)];
    const on = (where: Device, dtype: "f16" | "f64") =>
      take(
        scope(() => {
          const place = { device: where, dtype };
          return matmul(
            tensor(a, { shape: [3, inner], ...place }),
            tensor(b, { shape: [inner, 5], ...place }),
          );
        }),
      );
    const expected = await on(reference, "f64");
    expectClose("matmul", await on(device, "f16"), expected, { absolute: 2e-4, relative: 4.9e-4 });
  });

  test("of products stay f32 where the result is wide, and its gradients are f16", async () => {
    const [a, b] = [drawn(3 * 1499, 1), drawn(1499 * 5, 2)];
    const on = (where: Device, dtype: "f16" | "f64") =>
      scope(() => {
        const place = { device: where, dtype };
        const right = tensor(b, { shape: [5, 1499], ...place });
        const product = (left: Tensor) => matmul(left, right, { transposeB: true, wide: true });
        const left = tensor(a, { shape: [3, 1499], ...place });
        const square = (x: Tensor) => sum(mul(product(x), product(x)));
        return { y: product(left), slope: grad(square)(left) };
      });
    const [half, exact] = [on(device, "f16"), on(reference, "f64")];
    expect([half.y.dtype, half.slope.dtype, exact.y.dtype]).toEqual(["f32", "f16", "f64"]);
    expectClose("matmul", await take(half.y), await take(exact.y), { absolute: 2e-5, relative: 1e-6 });
    // Ten terms of up to 150 that cancel, each with a rounded upstream gradient.
    expectClose("slope", await take(half.slope), await take(exact.slope), { absolute: 0.3, relative: 2e-3 });
  });
});

describe.skipIf(!offered)("f16 training", () => {
  const [inputs, hidden, outputs, rows] = [7, 11, 3, 13];
  const shapes = [[hidden, inputs], [hidden], [outputs, hidden], [outputs]];
  const sizes = shapes.map((s) => s.reduce((a, b) => a * b, 1));
  const total = sizes.reduce((a, b) => a + b, 0);

  /** Mean squared error of two layers, whose parameters lie in one arena. */
  function loss(arena: Tensor, dtype: "f16" | "f64"): Tensor {
    const place = { dtype, device: arena.device };
    let start = 0;
    const [w1, b1, w2, b2] = shapes.map((shape, i) => {
      start += sizes[i];
      return reshape(slice(arena, [start - sizes[i]], [start]), shape);
    });
    const x = tensor(drawn(rows * inputs, 3), { shape: [rows, inputs], ...place });
    const y = tensor(drawn(rows * outputs, 4), { shape: [rows, outputs], ...place });
    const error = sub(linear(relu(linear(x, w1, b1)), w2, b2), y);
    return mean(mul(error, error));
  }

  test("a step in f16 follows the f64 reference", async () => {
    const start = drawn(total, 5);
    const step = (where: Device, dtype: "f16" | "f64") =>
      scope(() => {
        const arena = tensor(start, { dtype, device: where });
        const { value, grads } = valueAndGrad((p: Tensor) => loss(p, dtype))(arena);
        expect([value.dtype, grads.dtype]).toEqual([dtype, dtype]);
        return { value, next: sub(arena, mul(grads, 0.125)) };
      });
    const [half, exact] = [step(device, "f16"), step(reference, "f64")];
    expectClose("loss", await take(half.value), await take(exact.value), { absolute: 0, relative: 2e-3 });
    expectClose("parameters", await take(half.next), await take(exact.next), {
      absolute: 2e-3,
      relative: 2e-3,
    });
  });

  test("f32 parameters learn through an f16 loss, and memory stays flat", async () => {
    const flat = (values = new Float32Array(total)) => tensor(values, { device });
    const state = { params: flat(drawn(total, 5)), m: flat(), v: flat(), decayMask: flat() };
    const clipScale = tensor(1, { device });
    const { liveBytes } = device.memory();
    const losses: number[] = [];
    for (let step = 1; step <= 40; step++) {
      const value = scope(() => {
        const { value, grads } = valueAndGrad((p: Tensor) => loss(cast(p, "f16"), "f16"))(state.params);
        const settings = { lr: 0.05, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step };
        adamWStep({ ...state, grads, clipScale }, settings);
        return value;
      });
      losses.push(...(await take(value)));
      expect(device.memory().liveBytes).toBe(liveBytes);
    }
    expect(losses[39]).toBeLessThan(0.2 * losses[0]);
    for (const t of [...Object.values(state), clipScale]) t.dispose();
  });

  test("AdamW does not take f16 parameters", () => {
    scope(() => {
      const flat = () => zeros([3], f16);
      const state = { params: flat(), grads: flat(), m: flat(), v: flat(), decayMask: flat() };
      const settings = { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step: 1 };
      expect(() =>
        adamWStep({ ...state, clipScale: tensor(1, f16) }, settings),
      ).toThrowErrorMatchingInlineSnapshot(
        `[DTypeError: adamWStep: params is f16[3], expected f32 or f64: smaller types round small steps away. Keep f32 parameters and convert them inside the loss: cast(params, "f16").]`,
      );
    });
  });

  test("f16 does not mix with f32 unasked", () => {
    scope(() => {
      const [a, b] = [tensor([[1]], f16), tensor([[1]], { device })];
      expect(() => add(a, b)).toThrowErrorMatchingInlineSnapshot(
        `[DTypeError: add: dtypes differ: a is f16[1, 1], b is f32[1, 1]; expected one. Convert one: cast(b, "f16").]`,
      );
      expect(() => matmul(a, transpose(b))).toThrowErrorMatchingInlineSnapshot(
        `[DTypeError: matmul: a is f16[1, 1], b is f32[1, 1]; expected two f32, two f64 or two f16. Convert: cast(b, "f16").]`,
      );
    });
  });
});

describe.skipIf(!device)("f16 where it is not offered", () => {
  test("is an error on an adapter without shader-f16", async () => {
    const { adapter } = await acquireAdapter();
    const plain = new WebGpuBackend(holdDevice(await adapter!.requestDevice()));
    const without = new Device(plain, { ...device.report, features: [] });
    expect(() => tensor([1], { dtype: "f16", device: without })).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: tensor: dtype is f16, expected another on this webgpu device, whose adapter lacks the feature "shader-f16". Use { dtype: "f32" }.]`,
    );
    expect(() => cast(tensor([1], { device: without }), "f16")).toThrow("shader-f16");
    without.destroy();
  });

  test("is an error on the cpu device", async () => {
    const cpu = await createDevice({ device: "cpu" });
    expect(() => tensor([1], { dtype: "f16", device: cpu })).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: tensor: dtype is f16, expected another on this cpu device, which computes in f32 and f64. Use { dtype: "f32" }.]`,
    );
    expect(() => cast(tensor([1], { device: cpu }), "f16")).toThrow("f16");
  });
});
