/** Fusion on webgpu: as close to the functions themselves as rounding allows; sizes build no pipelines. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import type { Expression, Node } from "../../packages/tensor/src/fusion/expression.ts";
import { continued } from "../../packages/tensor/src/fusion/map-kernel.ts";
import { addOp, mulOp } from "../../packages/tensor/src/ops/arithmetic.ts";
import { matmulOp } from "../../packages/tensor/src/ops/matmul.ts";
import { expectClose } from "../helpers/compare.ts";
import { customFunctions } from "../helpers/custom-fusion.ts";
import { Draw } from "../helpers/draw.ts";
import { fusedMatches } from "../helpers/fusion-checks.ts";
import { gathersGradients } from "../helpers/placing-checks.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

describe.skipIf(!device)("fusion on webgpu", () => {
  test("random graphs and their gradients", () =>
    fusedMatches(device, 12, { absolute: 1e-5, relative: 1e-5 }));

  test.each([33, 1100])("gradients of weights under %i rows are written where they are gathered", (rows) =>
    gathersGradients(device, rows),
  );

  test("f16 is rounded where the operations round it", async () => {
    if (!device.report.features.includes("shader-f16")) return;
    const x = t.tensor([1, 0.1, 2049, -3], { dtype: "f16" });
    const f = (a: t.Tensor) => [t.mul(t.mul(a, 1.3), 0.7), t.sum(t.cast(t.mul(a, a), "f32"))];
    using captured = t.capture(f);
    const [actual, expected] = [captured(x), f(x)];
    for (const k of expected.keys()) expect(await actual[k].data()).toEqual(await expected[k].data());
  });

  test.each([2, 3])("a sum of %i matrices with column totals", async (terms) => {
    const draw = new Draw(terms);
    const xs = [0, 1, 2].map(() =>
      t.tensor(Float32Array.from(draw.floats(40 * 12, -1, 1)), { shape: [40, 12] }),
    );
    /** Totals of the sum, of what is in it, of what is beside it. */
    const f = (which: number) => (list: t.Tensor[]) => {
      const z = list.slice(0, terms).reduce((a, b) => t.add(a, b));
      return [z, t.sum([z, ...list][which], { axes: [0] })];
    };
    for (const which of [0, 1, 3]) {
      using captured = t.capture(f(which));
      const [actual, expected] = [captured(xs), f(which)(xs)];
      for (const [k, y] of expected.entries())
        expectClose(`result ${k}`, await actual[k].data(), await y.data(), {
          absolute: 1e-5,
          relative: 1e-5,
        });
    }
  });

  test.each([5, 6])(
    "a matrix that is a term twice, beside the totals of others, %i in all",
    async (count) => {
      const draw = new Draw(count);
      const xs = Array.from({ length: count }, () =>
        t.tensor(Float32Array.from(draw.floats(40 * 12, -1, 1)), { shape: [40, 12] }),
      );
      const twice: ((list: t.Tensor[]) => t.Tensor)[] = [
        ([x]) => t.mul(x, x),
        ([x]) => t.add(x, x),
        ([x, y]) => t.add(t.add(x, y), x),
        ([x, y]) => t.add(t.add(x, x), y),
      ];
      for (const [n, made] of twice.entries()) {
        const f = (list: t.Tensor[]) => {
          const y = made(list);
          return [y, t.concat(list.slice(1).map((x) => t.sum(x, { axes: [0] })))];
        };
        using captured = t.capture(f);
        const [actual, expected] = [captured(xs), f(xs)];
        for (const [k, y] of expected.entries())
          expectClose(`function ${n}, result ${k}`, await actual[k].data(), await y.data(), {
            absolute: 1e-5,
            relative: 1e-5,
          });
      }
    },
  );

  test.each(customFunctions)("operations from outside the package: %s", async (_name, f) => {
    const x = t.tensor(Float32Array.from(new Draw(9).floats(16)), { shape: [4, 4] });
    using captured = t.capture(f);
    expectClose("result", await captured(x).data(), await f(x).data(), { absolute: 1e-5, relative: 1e-5 });
  });

  test("products that would begin at odd places of one memory stay apart: attention reads four at once", async () => {
    const draw = new Draw(3);
    const [x, w] = [65, 6].map((rows) =>
      t.tensor(Float32Array.from(draw.floats(rows * 5, -1, 1)), { shape: [rows, 5] }),
    );
    const ranges = Int32Array.from({ length: 192 }, (_, n) => (n % 4 === 3 ? (n >> 2) + 1 : 0));
    const spans = t.attentionSpans(ranges, 48);
    const f = (x: t.Tensor, w: t.Tensor) => {
      const [q, k] = [0, 3].map((row) => {
        const y = t.linear(x, t.slice(w, [row, 0], [row + 3, 5])); // [65, 3]
        return t.reshape(t.slice(t.reshape(y, [-1]), [0], [192]), [48, 1, 4]);
      });
      return t.attention(q, k, k, spans);
    };
    using captured = t.capture(f);
    expectClose("attention", await captured(x, w).data(), await f(x, w).data(), {
      absolute: 1e-5,
      relative: 1e-5,
    });
  });

  test("a product with column totals and a total beside a sum take the kernel of sums with totals", async () => {
    const draw = new Draw(7);
    const xs = [0, 1, 2, 3].map(() =>
      t.tensor(Float32Array.from(draw.floats(40 * 12, -1, 1)), { shape: [40, 12] }),
    );
    const total = (x: t.Tensor) => t.sum(x, { axes: [0] });
    /** The product, and the totals of it and of others. */
    const product = ([a, b]: t.Tensor[], ...others: t.Tensor[]) => {
      const y = t.mul(a, b);
      return [y, t.concat([y, ...others].map(total))];
    };
    const functions: ((list: t.Tensor[]) => t.Tensor[])[] = [
      ([a, b]) => [t.add(a, b), total(b)],
      ([a, b]) => product([a, b]),
      ([a, b, c]) => product([a, b], a, c),
      ([a, b, c]) => [t.add(a, b), total(c)],
      ([a, b, c, d]) => [total(d), t.add(t.add(a, b), c)],
    ];
    const actual: t.Tensor[][] = [];
    let built = 0;
    for (const f of functions) {
      using captured = t.capture(f);
      const start = device.stats();
      actual.push(captured(xs));
      const { dispatches, pipelines } = device.stats();
      expect(dispatches - start.dispatches).toBe(1);
      built ||= pipelines;
      expect(pipelines).toBe(built);
    }
    const rounding = { absolute: 1e-5, relative: 1e-5 };
    for (const [n, f] of functions.entries())
      for (const [k, y] of f(xs).entries())
        expectClose(`function ${n}, result ${k}`, await actual[n][k].data(), await y.data(), rounding);
  });

  test("a block of a network and its gradients", async () => {
    const draw = new Draw(5);
    const drawn = (shape: number[]) =>
      t.tensor(
        Float32Array.from(
          draw.floats(
            shape.reduce((a, b) => a * b),
            -0.5,
            0.5,
          ),
        ),
        { shape },
      );
    const [table, w1, b1, w2, b2, gain, bias] = [[9, 8], [16, 8], [16], [8, 16], [8], [8], [8]].map(drawn);
    const rows = t.tensor(
      Array.from({ length: 70 }, (_, i) => i % 9),
      { dtype: "i32" },
    );
    const loss = ([emb, v1, c1, v2, c2, g, b]: t.Tensor[], by: t.Tensor) => {
      const x = t.add(t.take(emb, rows), by); // [70, 8]
      const y = t.linear(t.gelu(t.linear(t.layerNorm(x, g, b), v1, c1)), v2, c2);
      return t.mean(t.square(t.add(x, y)));
    };
    const f = (by: t.Tensor) => {
      const { value, grads } = t.valueAndGrad(loss)([table, w1, b1, w2, b2, gain, bias], by);
      return [value, ...grads];
    };
    using captured = t.capture(f);
    const by = drawn([70, 8]);
    const [actual, expected] = [captured(by), f(by)];
    for (const [k, y] of expected.entries())
      expectClose(`result ${k}`, await actual[k].data(), await y.data(), { absolute: 2e-6, relative: 2e-5 });
  });

  test.each([
    ["f32", 5],
    ["f32", 1100],
    ["f16", 12],
  ] as const)("a product in %s of depth %i goes on with its bias and the residual", async (dtype, depth) => {
    if (dtype === "f16" && !device.report.features.includes("shader-f16")) return;
    const draw = new Draw(depth);
    const drawn = (shape: number[]) =>
      t.tensor(
        Float32Array.from(
          draw.floats(
            shape.reduce((a, b) => a * b),
            -0.5,
            0.5,
          ),
        ),
        { shape, dtype },
      );
    const inputs = [drawn([13, depth]), t.transpose(drawn([9, depth])), drawn([9]), drawn([13, 9])];
    const map = (op: typeof addOp, from: number[]): Node => {
      const definition = op.definition as t.ElementwiseDefinition<unknown>;
      return { kind: "map", definition, attrs: null, from, dtype };
    };
    const load = (input: number, strides: number[]) => ({ kind: "load", input, strides, dtype }) as const;
    const expression: Expression = {
      shape: [13, 9],
      reduced: [false, false],
      nodes: [load(0, [9, 1]), load(1, [0, 1]), load(2, [9, 1]), map(addOp, [0, 1]), map(mulOp, [3, 2])],
      stores: [{ node: 4, strides: [9, 1], shape: [13, 9], dtype }],
      parts: 1,
    };
    const op: t.Op<null> = {
      name: "continued",
      strided: true,
      half: true,
      infer: () => [{ shape: [13, 9], dtype }],
      webgpu([a, b, bias, residual], outputs) {
        const y = device.empty([13, 9], dtype);
        const calls = [...(matmulOp.webgpu?.([a, b], [y], null) ?? [])];
        const last = continued(calls.pop()!, expression, 0, [y, bias, residual], outputs);
        y.dispose();
        return [...calls, ...(last ? [last] : [])];
      },
    };
    const actual = await t.apply(op, inputs, null).data();
    const [a, b, bias, residual] = inputs;
    const expected = await t.mul(t.add(t.matmul(a, b), bias), residual).data();
    const rounding = dtype === "f16" ? 2e-3 : 2e-6;
    expectClose("product", actual, expected, { absolute: rounding, relative: rounding });
  });

  test("another size builds no pipeline, and few results of many elements take two kernels", async () => {
    const loss = (x: t.Tensor) => t.valueAndGrad((p: t.Tensor) => t.mean(t.square(t.sub(p, 1))))(x);
    using captured = t.capture(loss);
    captured(t.ones([1000]));
    const start = device.stats();
    const { value, grads } = captured(t.zeros([2001]));
    expect(device.stats()).toMatchObject({ pipelines: start.pipelines, dispatches: start.dispatches + 2 });
    expect(await value.item()).toBeCloseTo(1, 6);
    expect((await grads.data())[2000]).toBeCloseTo(-2 / 2001, 9);
  });
});
