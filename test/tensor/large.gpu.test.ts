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
  sumCase([4099], undefined, t.min),
  ...[[100_003], [3, 5003], [5003, 3]].map((shape) =>
    one(`variance of [${shape}] along ${shape.indexOf(Math.max(...shape))}`, "variance", (draw) => ({
      operands: [floats(draw, shape)],
      run: ([x]) => t.variance(x, { axes: shape.indexOf(Math.max(...shape)) }),
    })),
  ),
  ...[[100_003], [3, 5003], [5003, 3], [601, 2053]].map((shape, i) =>
    one(`cumsum of [${shape}] along ${i % 2}`, "long sum", (draw) => ({
      operands: [floats(draw, shape)],
      run: ([x]) => t.cumsum(x, shape.length === 1 ? 0 : i % 2, { exclusive: i > 0, reverse: i > 1 }),
    })),
  ),
  ...[7, 31, 100].map((k) =>
    one(`topk of ${k} in [2, 5003]`, "topk", (draw) => ({
      operands: [floats(draw, [2, 5003])],
      run: ([x]) => t.topk(x, k, { largest: k !== 31 }).values,
    })),
  ),
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
  one("linearLogProb over pieces of a vocabulary", "logProbGather", (draw) => ({
    operands: [
      floats(draw, [37, 12]),
      floats(draw, [1003, 12], { low: -1, high: 1 }),
      ints(draw, [37], 0, 1002),
    ],
    run: ([h, w, ids]) => t.linearLogProb(h, w, ids, { chunk: 256 }),
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

/** A prefix, its branches and another document: more tokens than a subgroup has lanes, three query heads to a key head. */
cases.push(
  one("attention of 71 tokens", "attention", (draw) => {
    const own = [
      ...Array.from({ length: 29 }, (_, i) => [0, 0, 0, i + 1]),
      ...Array.from({ length: 11 }, (_, i) => [0, 29, 29, 30 + i]),
      ...Array.from({ length: 18 }, (_, i) => [0, 29, 40, 41 + i]),
      ...Array.from({ length: 13 }, (_, i) => [0, 0, 58, 59 + i]),
    ];
    return {
      operands: [floats(draw, [71, 3, 32]), floats(draw, [71, 1, 32]), floats(draw, [71, 1, 32])],
      run: ([q, k, v]) =>
        t.scope(() =>
          t.attention(q, k, v, t.attentionSpans(Int32Array.from(own.flat()), 71, { device: q.device })),
        ),
    };
  }),
);

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

  test("positions of extremes in long rows: the first of equals, in any part", async () => {
    const n = 5003;
    const data = Float32Array.from({ length: 2 * n }, (_, i) => (i * 37) % 101);
    for (const at of [4001, 999, 4999]) [data[at], data[n + at]] = [500, -500];
    const x = t.tensor(data, { shape: [2, n], device });
    const found = t.scope(() => [
      t.argmax(x, 1),
      t.argmin(t.slice(x, [1, 0], [2, n]), 1),
      t.argmin(x),
      t.topk(x, 4).indices,
      t.topk(x, 4, { largest: false }).indices,
    ]);
    const [top, low, lowest, largest, smallest] = await Promise.all(found.map((f) => f.data()));
    const firstHundred = data.indexOf(100, n) - n;
    const firstZero = data.indexOf(0);
    expect([...top]).toEqual([999, firstHundred]);
    expect([...low, ...lowest]).toEqual([999, n + 999]);
    expect([...largest.slice(0, 3), largest[4]]).toEqual([999, 4001, 4999, firstHundred]);
    expect([smallest[0], ...smallest.slice(4, 7)]).toEqual([firstZero, 999, 4001, 4999]);
    for (const tensor of [x, ...found]) tensor.dispose();
  });

  test("NaN has the place in topk and argmax that the cpu gives it", async () => {
    const x = t.tensor([1, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN, -1, -0, 0], { device });
    const found = t.scope(() => [
      t.topk(x, 7).indices,
      t.topk(x, 7, { largest: false }).indices,
      t.argmax(x, 0),
      t.argmin(x, 0),
    ]);
    const [largest, smallest, top, low] = await Promise.all(found.map((f) => f.data()));
    expect([...largest]).toEqual([1, 3, 2, 0, 5, 6, 4]);
    expect([...smallest]).toEqual([4, 5, 6, 0, 2, 1, 3]);
    expect([top[0], low[0]]).toEqual([1, 1]);
    for (const tensor of [x, ...found]) tensor.dispose();
  });

  test("reductions and running sums of more than 65,535 workgroups of rows", async () => {
    const rows = 4_194_319;
    const x = t.tensor(
      Float32Array.from({ length: 2 * rows }, (_, i) => i % 3),
      { shape: [rows, 2], device },
    );
    const results = t.scope(() => [
      t.cumsum(x, 1),
      t.argmin(x, 1),
      t.topk(x, 1).values,
      t.any(t.equal(x, 2), { axes: 1 }),
    ]);
    const [sums, least, top, two] = await Promise.all(results.map((r) => r.data()));
    let wrong = 0;
    for (let r = 0; r < rows; r++) {
      const [a, b] = [(2 * r) % 3, (2 * r + 1) % 3];
      if (sums[2 * r] !== a || sums[2 * r + 1] !== a + b) wrong++;
      if (least[r] !== Number(b < a) || top[r] !== Math.max(a, b)) wrong++;
      if (two[r] !== Number(a === 2 || b === 2)) wrong++;
    }
    expect(wrong).toBe(0);
    for (const tensor of [x, ...results]) tensor.dispose();
  });

  test("any and all of a long tensor, in parts", async () => {
    const n = 100_003;
    const none = t.zeros([n], { dtype: "bool", device });
    const one = t.scope(() => t.equal(t.arange(n, { dtype: "i32", device }), n - 1));
    const results = t.scope(() => [t.any(none), t.any(one), t.all(one), t.all(t.logicalNot(none))]);
    expect(await Promise.all(results.map((r) => r.item()))).toEqual([0, 1, 0, 1]);
    for (const tensor of [none, one, ...results]) tensor.dispose();
  });

  test("a new size of running sums, top-k and positions builds no pipeline", () => {
    const run = (n: number) =>
      t.scope(() => {
        const x = t.zeros([2, n], { device });
        t.cumsum(x, 1);
        t.topk(x, 3);
        t.argmin(x, 1);
        t.std(x, { axes: 1 });
      });
    run(11);
    run(2053);
    const before = device.stats().pipelines;
    run(17);
    run(4099);
    expect(device.stats().pipelines).toBe(before);
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
      `[DTypeError: zeros: dtype is f64, expected f32, i32, u32 or bool on the webgpu device. Use { dtype: "f32" }, or the device that has doubles: createDevice({ device: "cpu" }).]`,
    );
  });
});
