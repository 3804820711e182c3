/**
 * Sizes that take another path on webgpu: beyond one workgroup, beyond 65,535 workgroups, sums cut into parts, products
 * cut along k, rows longer than a tile, tables with more rows than lanes; and the limit of one binding.
 */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { attentionProblem } from "../helpers/network-cases.ts";
import { floats, ints, type OpCase } from "../helpers/problem.ts";
import { gradientOnce, matchOnce } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

/** A case with one problem. */
function one(name: string, tolerance: string, draw: OpCase["draw"]): OpCase {
  return { name, tolerance, gradient: true, draw };
}

function sumCase(shape: number[], axes: number[] | undefined, reduce: typeof t.sum = t.sum): OpCase {
  return one(`${reduce.name} of [${shape}] over ${axes ?? "all"}`, `long ${reduce.name}`, (draw) => ({
    operands: [floats(draw, shape)],
    run: ([x]) => reduce(x, { axes }),
  }));
}

function productCase(m: number, k: number, n: number, transposeA = false, transposeB = false): OpCase {
  const name = `matmul [${m}, ${k}]·[${k}, ${n}]${transposeA ? " aᵀ" : ""}${transposeB ? " bᵀ" : ""}`;
  return one(name, "long matmul", (draw) => ({
    operands: [
      floats(draw, transposeA ? [k, m] : [m, k], { layout: "plain" }),
      floats(draw, transposeB ? [n, k] : [k, n], { layout: "plain" }),
    ],
    run: ([a, b]) => t.matmul(a, b, { transposeA, transposeB }),
  }));
}

const cases: OpCase[] = [
  ...[63, 64, 65, 257].map((n) =>
    one(`exp of ${n}`, "exp", (draw) => ({ operands: [floats(draw, [n])], run: ([x]) => t.exp(x) })),
  ),
  sumCase([2053], undefined),
  sumCase([100_003], undefined),
  sumCase([3, 5003], [1]),
  sumCase([5003, 3], [0]),
  sumCase([7, 47, 11, 13], [0, 2]),
  sumCase([4099], undefined, t.max),
  sumCase([5, 3001], [1], t.max),
  // k beyond 3·256 is cut into parts; sizes around the tiles of 4 and 8, in each pair of layouts.
  productCase(5, 1499, 7),
  productCase(12, 1024, 20),
  ...[true, false].flatMap((a) => [true, false].map((b) => productCase(12, 1032, 20, a, b))),
  ...[true, false].flatMap((a) => [true, false].map((b) => productCase(20, 36, 12, a, b))),
  ...[true, false].flatMap((a) => [true, false].map((b) => productCase(33, 17, 65, a, b))),
  one("softmax of a long row", "softmax", (draw) => ({
    operands: [floats(draw, [3, 4099], { low: -8, high: 8 })],
    run: ([x]) => t.softmax(x),
  })),
  one("logProbGather over a large vocabulary", "logProbGather", (draw) => ({
    operands: [floats(draw, [5, 8009], { low: -8, high: 8 }), ints(draw, [5], 0, 8008)],
    run: ([x, ids]) => t.logProbGather(x, ids, { temperature: 0.8 }),
  })),
  one("layerNorm of many rows", "layerNorm", (draw) => ({
    operands: [floats(draw, [131, 67]), floats(draw, [67]), floats(draw, [67])],
    run: ([x, w, b]) => t.layerNorm(x, w, b),
  })),
  one("embedding of few rows many times", "long sum", (draw) => ({
    operands: [floats(draw, [7, 5]), ints(draw, [3001], 0, 6)],
    run: ([w, ids]) => t.embedding(w, ids),
  })),
  one("embedding of many rows", "take", (draw) => ({
    operands: [floats(draw, [3001, 5]), ints(draw, [67], 0, 3000)],
    run: ([w, ids]) => t.embedding(w, ids),
  })),
  one("concat of 70 tensors", "movement", (draw) => ({
    operands: Array.from({ length: 70 }, (_, i) => floats(draw, [1 + (i % 3), 3])),
    run: (xs) => t.concat(xs, 0),
  })),
  ...[1, 6, 12].map((size) =>
    one(`attention with heads of ${size}`, "attention", (draw) =>
      attentionProblem(draw, "prefix tree", size),
    ),
  ),
];

describe.skipIf(!device)("sizes on webgpu", () => {
  test.each(cases)("$name", async (testCase) => {
    const problem = testCase.draw(new Draw(17));
    await matchOnce(testCase, problem, device);
    await gradientOnce(testCase, problem, device);
  });

  // 65,535 workgroups of 64 are 4,194,240 elements; prime and by fours take different kernels.
  test.each([4_194_319, 4 * 4_194_304 + 4])("elementwise on %s elements", async (n) => {
    const x = t.scope(() => {
      const ramp = t.full([n], 2, { device });
      return t.add(t.mul(ramp, 3), ramp);
    });
    const marks = [0, 63, 64, 4_194_239, 4_194_240, 4_194_303, n - 2, n - 1];
    for (const at of marks) {
      const part = t.slice(x, [at], [at + 1]);
      expect(await part.item()).toBe(8);
      part.dispose();
    }
    const total = t.scope(() => t.max(t.abs(t.sub(x, 8))));
    expect(await total.item()).toBe(0);
    total.dispose();
    x.dispose();
  });

  test("indices beyond 65,535 workgroups are right: every element its own value", async () => {
    const n = 4_300_001;
    const x = t.tensor(
      Float32Array.from({ length: n }, (_, i) => i),
      { device },
    );
    const y = t.scope(() => t.add(x, 1));
    const data = await y.data();
    let wrong = 0;
    for (let i = 0; i < n; i++) if (data[i] !== i + 1) wrong++;
    expect(wrong).toBe(0);
    x.dispose();
    y.dispose();
  });

  test("positions in the thousands turn rope by the right angle", async () => {
    const [rows, size] = [64, 16];
    const draw = new Draw(3);
    const values = draw.floats(rows * size);
    const positions = Int32Array.from({ length: rows }, (_, i) => 8191 - 61 * i);
    const x = t.tensor(values, { shape: [rows, 1, size], dtype: "f32", device });
    const y = t.scope(() => t.rope(x, t.tensor(positions, { device })));
    const data = await y.data();
    for (let row = 0; row < rows; row++) {
      for (let d = 0; d < size / 2; d++) {
        const angle = positions[row] * 10000 ** ((-2 * d) / size);
        const [a, b] = [values[row * size + d], values[row * size + d + size / 2]];
        // An f32 angle is off by up to 2⁻²³·angle, and its frequency once more by that.
        const allowed = 1e-5 + 4 * 2 ** -23 * angle * Math.hypot(a, b);
        expect(Math.abs(data[row * size + d] - (a * Math.cos(angle) - b * Math.sin(angle)))).toBeLessThan(
          allowed,
        );
      }
    }
    x.dispose();
    y.dispose();
  });

  test("a softmax under −∞ masks is finite and exact", async () => {
    const x = t.tensor([[1, 2, 3, 4]], { device });
    const mask = t.tensor([[false, true, false, true]], { device });
    const y = t.scope(() => t.softmax(t.maskedFill(x, mask, Number.NEGATIVE_INFINITY)));
    const data = await y.data();
    const p = 1 / (1 + Math.exp(2));
    [p, 0, 1 - p, 0].forEach((e, i) => {
      expect(Math.abs(data[i] - e)).toBeLessThan(1e-6);
    });
    for (const tensor of [x, mask, y]) tensor.dispose();
  });

  test("a tensor beyond the limit of one binding is a clear error before anything is allocated", () => {
    const limit = device.report.limits.maxStorageBufferBindingSize;
    const row = t.zeros([1, 1024], { device });
    const before = device.memory();
    const rows = Math.floor(limit / 4096) + 1;
    const x = t.expand(row, [rows, 1024]);
    expect(() => t.mul(x, x)).toThrow(t.OutOfMemoryError);
    expect(() => t.mul(x, x)).toThrow(/exceeds this adapter's limit of \d+ bytes for one binding/);
    x.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
    row.dispose();
  });

  test("f64 is a clear error", () => {
    expect(() => t.zeros([1], { dtype: "f64", device })).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: dtype f64 is not available on the webgpu device. Use dtype "f32", or createDevice({ device: "cpu" }) for f64.]`,
    );
  });
});
