/** Fusion on the cpu device, where fused results have the bits of the members. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { cases, sameBits, trained } from "../helpers/capture-checks.ts";
import { Draw } from "../helpers/draw.ts";
import { fusedMatches } from "../helpers/fusion-checks.ts";
import { gathersGradients } from "../helpers/placing-checks.ts";
import { reference as device } from "../helpers/properties.ts";
import { gradientMatches, residualMatches } from "../helpers/residual-checks.ts";

t.setDefaultDevice(device);
const exact = { absolute: 0, relative: 0 };

test("random graphs and their gradients keep their bits", () => fusedMatches(device, 150, exact));
test("random graphs in f64 too", () => fusedMatches(device, 40, exact, { dtype: "f64" }));

describe("every operation keeps its bits", () => {
  test.each([...cases])("$name, gradient included", (testCase) => sameBits(testCase, device, true));
});

test("zero and negative zero are two numbers", async () => {
  const one = t.ones([2]);
  using f = t.capture((x: t.Tensor) => [0, -0].map((zero) => t.div(x, t.tensor(zero))));
  const [up, down] = f(one);
  expect([...(await up.data()), ...(await down.data())]).toEqual([1, 1, -1, -1].map((sign) => sign / 0));
});

test("training steps in place keep their bits", async () => {
  const rows = [3, 2, 3, 3];
  const expected = await trained(device, false, rows);
  expect(await trained(device, true, rows, true)).toEqual({ ...expected, recordings: 2 });
});

test("finite differences of a captured function are its captured gradient", async () => {
  const options = { dtype: "f64" } as const;
  const f = (x: t.Tensor) =>
    t.sum(t.mul(t.tanh(t.mul(x, x)), t.clamp(t.sum(x, { axes: 0, keepDims: true }), { min: -1, max: 1 })));
  using value = t.capture(f);
  using gradient = t.capture((x: t.Tensor) => t.grad(f)(x));
  const at = [0.3, -0.7, 0.2, 0.9, -0.4, 0.1];
  const slopes = await gradient(t.tensor([at.slice(0, 3), at.slice(3)], options)).data();
  for (const k of at.keys()) {
    const moved = (by: number) =>
      t.tensor(
        Float64Array.from(at, (v, i) => (i === k ? v + by : v)),
        { shape: [2, 3] },
      );
    const [high, low] = [await value(moved(1e-5)).item(), await value(moved(-1e-5)).item()];
    expect(slopes[k]).toBeCloseTo((high - low) / 2e-5, 7);
  }
});

test.each([7, 12])("a residual sum and the norm of it, rows of %i, are one operation", (width) =>
  residualMatches(width, 1),
);

test.each([7, 12])(
  "the gradients through a norm of rows of %i and past it are one operation",
  gradientMatches,
);

test("finite differences of captured residual norms are their captured gradient", async () => {
  const shape = [3, 4];
  const drawn = (seed: number, shape: number[]) => {
    const size = shape.reduce((a, b) => a * b);
    return t.tensor(Float64Array.from(new Draw(seed).floats(size, -1, 1)), { shape });
  };
  const [c, w, b, dy] = [drawn(1, [4]), drawn(2, [4]), drawn(3, [4]), drawn(4, shape)];
  const f = (x: t.Tensor) => {
    const middle = t.add(x, t.add(t.tanh(x), c));
    return t.sum(t.mul(t.add(t.rmsNorm(t.add(middle, t.layerNorm(middle, w, b)), w), middle), dy));
  };
  using value = t.capture(f);
  using gradient = t.capture((x: t.Tensor) => t.grad(f)(x));
  const x = drawn(5, shape);
  const slopes = await gradient(x).data();
  const at = await x.data();
  for (const k of at.keys()) {
    const moved = (by: number) =>
      t.tensor(
        Float64Array.from(at, (v, i) => Number(v) + (i === k ? by : 0)),
        { shape },
      );
    const [high, low] = [await value(moved(1e-5)).item(), await value(moved(-1e-5)).item()];
    expect(slopes[k]).toBeCloseTo((high - low) / 2e-5, 6);
  }
});

/** How many operations run for one call of a captured function that was called before. */
function dispatches(f: (x: t.Tensor) => unknown, x: t.Tensor): number {
  using captured = t.capture(f);
  captured(x);
  const before = device.stats().dispatches;
  captured(x);
  return device.stats().dispatches - before;
}

describe("what becomes one kernel", () => {
  const x = t.reshape(t.mul(t.arange(24), 0.1), [4, 6]); // [4, 6]
  const one: [string, (x: t.Tensor) => unknown][] = [
    ["a chain", (a) => t.tanh(t.add(t.mul(a, 2), 1))],
    ["a graph with several results", (a) => [t.exp(a), t.mul(t.exp(a), a)]],
    ["a row and a column beside it", (a) => t.mul(t.add(a, t.arange(6)), t.reshape(t.arange(4), [4, 1]))],
    ["a number computed before", (a) => t.mul(a, t.sqrt(t.add(t.tensor(3), 1)))],
    ["casts", (a) => t.cast(t.greater(a, 1), "f32")],
    ["a trailing sum and what follows from it", (a) => t.sqrt(t.mean(t.square(a), { axes: 1 }))],
    [
      "a sum over leading axes beside its terms",
      (a) => {
        const terms = t.mul(a, 2);
        return [terms, t.sum(terms, { axes: 0 })];
      },
    ],
    ["a sum of two and the total of another", (a) => [t.add(a, t.ones([4, 6])), t.sum(x, { axes: 0 })]],
    ["several sums of one input", (a) => [t.sum(a), t.sum(t.square(a)), t.max(a)]],
    ["another number of axes", (a) => t.sum(t.reshape(t.square(a), [4, 2, 3]), { axes: 2 })],
    ["a copy into another order", (a) => t.reshape(t.transpose(t.square(a)), [-1])],
    ["a loss and its gradient", (a) => t.valueAndGrad((p: t.Tensor) => t.mean(t.square(t.sub(p, 1))))(a)],
  ];
  test.each(one)("%s", (_name, f) => expect(dispatches(f, x)).toBe(1));

  test("what needs a total for every element takes two", () => {
    expect(dispatches((a) => t.sub(a, t.mean(a)), x)).toBe(2);
  });

  const weight = t.reshape(t.mul(t.arange(36), 0.02), [6, 6]);
  const ends: [string, (x: t.Tensor) => unknown][] = [
    [
      "a linear layer, its activation and the residual",
      (a) => t.add(a, t.gelu(t.linear(a, weight, t.arange(6)))),
    ],
    [
      "a product that is a result itself",
      (a) => {
        const y = t.matmul(a, weight);
        return [y, t.relu(y)];
      },
    ],
    ["a norm and its bias", (a) => t.layerNorm(a, t.ones([6]), t.arange(6))],
  ];
  test.each(ends)("%s", (_name, f) => expect(dispatches(f, x)).toBe(1));

  test("products of one matrix with several in even steps of one memory are one product", async () => {
    const draw = new Draw(3);
    const x = t.tensor(Float32Array.from(draw.floats(64 * 6)), { shape: [64, 6] });
    const arena = t.tensor(Float32Array.from(draw.floats(3 * 40)));
    const f = (a: t.Tensor) =>
      [0, 1, 2].map((k) => {
        const [weight, bias] = [
          t.slice(arena, [40 * k], [40 * k + 30]),
          t.slice(arena, [40 * k + 30], [40 * k + 35]),
        ];
        return t.linear(a, t.reshape(weight, [5, 6]), bias);
      });
    expect(dispatches(f, x)).toBe(2);
    expect(dispatches((a) => t.grad((b: t.Tensor) => t.sum(t.square(t.concat(f(b)))))(a), x)).toBeLessThan(
      12,
    );
    using captured = t.capture(f);
    const [actual, expected] = [captured(x), f(x)];
    for (const k of expected.keys()) expect(await actual[k].data()).toEqual(await expected[k].data());
  });

  test("gradients of weights are written where they are gathered", async () => {
    await gathersGradients(device, 7);
    const weights = [t.ones([5, 6]), t.ones([4, 6])];
    const gradients = (a: t.Tensor) =>
      t.grad((given: t.Tensor[]) => given.map((w) => t.sum(t.linear(a, w))).reduce((v, w) => t.add(v, w)))(
        weights,
      );
    const gathered = (a: t.Tensor) =>
      t.concat(gradients(a).flatMap((g) => [t.reshape(g, [-1]), t.zeros([2])]));
    expect(dispatches(gathered, x)).toBeLessThanOrEqual(dispatches(gradients, x) + 2);
    expect(dispatches((a) => t.concat(gradients(a)), x)).toBe(dispatches(gradients, x));
  });

  test("operations in place keep their order", async () => {
    const rows = t.zeros([2, 3]);
    using f = t.capture((a: t.Tensor) => {
      const before = t.add(rows, 1);
      t.assignRows(rows, Int32Array.of(1), t.reshape(t.square(a), [1, 3]));
      return [before, t.add(rows, 1)];
    });
    const [before, after] = f(t.tensor([1, 2, 3]));
    expect([...(await before.data())]).toEqual([1, 1, 1, 1, 1, 1]);
    expect([...(await after.data())]).toEqual([1, 1, 1, 2, 5, 10]);
  });
});
