/** Edges of reductions, positions, running sums and top-k that random draws do not meet: NaN, nothing, ties, extremes. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";

const device = await t.createDevice({ device: "cpu" });
const f64 = (data: t.Nested) => t.tensor(data, { dtype: "f64", device });
const values = async (x: t.Tensor) => [...(await x.data())];

describe("positions of extremes", () => {
  const x = f64([
    [3, Number.NaN, 5, Number.NaN],
    [2, 1, 1, 2],
  ]);

  test("the first NaN is both the largest and the smallest", async () => {
    expect(await values(t.argmax(x, 1))).toEqual([1, 0]);
    expect(await values(t.argmin(x, 1))).toEqual([1, 1]);
    expect(await values(t.max(x, { axes: 1 }))).toEqual([Number.NaN, 2]);
    expect(await values(t.min(x, { axes: 1 }))).toEqual([Number.NaN, 1]);
  });

  test("without an axis the index is the flattened tensor's, also of a scalar and of a view", async () => {
    const turned = t.transpose(
      f64([
        [1, 9, 3],
        [4, 5, 6],
      ]),
    );
    expect(await t.argmax(turned).item()).toBe(2);
    expect(await t.argmin(f64(7)).item()).toBe(0);
    expect(t.argmax(turned, undefined, { keepDims: true }).shape).toEqual([1, 1]);
    expect(t.argmin(turned, 0, { keepDims: true }).shape).toEqual([1, 2]);
  });

  test("the first of equals is found, and the gradient of the extreme is shared by all of them", async () => {
    const x = f64([2, 7, 1, 7, 1, 7, 1, 1]);
    expect([await t.argmax(x).item(), await t.argmin(x, 0).item()]).toEqual([1, 2]);
    const third = 2 / 3;
    const top = t.grad((x: t.Tensor) => t.mul(t.max(x), 2))(x);
    expect(await values(top)).toEqual([0, third, 0, third, 0, third, 0, 0]);
    const low = t.grad((x: t.Tensor) => t.mul(t.min(x), 2))(x);
    expect(await values(low)).toEqual([0, 0, 0.5, 0, 0.5, 0, 0.5, 0.5]);
  });

  test("−0 and 0 are equal", async () => {
    expect(await t.argmax(f64([-0, 0]), 0).item()).toBe(0);
    expect(await values(t.topk(f64([-0, 0, -1]), 2).indices)).toEqual([0, 1]);
  });
});

describe("topk", () => {
  test("counts NaN as larger than every number, in order of index", async () => {
    const x = f64([1, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN, -1]);
    expect(await values(t.topk(x, 4).indices)).toEqual([1, 3, 2, 0]);
    expect(await values(t.topk(x, 4, { largest: false }).indices)).toEqual([4, 0, 2, 1]);
  });

  test("of all elements is a stable sort; of none is empty", async () => {
    const x = f64([2, 3, 2, 1, 3]);
    expect(await values(t.topk(x, 5).indices)).toEqual([1, 4, 0, 2, 3]);
    expect(t.topk(f64([[1], [2]]), 0).values.shape).toEqual([2, 0]);
    expect(t.topk(t.zeros([0, 3], { device }), 2).indices.shape).toEqual([0, 2]);
  });

  test("picks along any axis, and the gradient goes to the picked elements", async () => {
    const x = f64([
      [1, 5],
      [4, 2],
      [3, 9],
    ]);
    const { values: top, indices } = t.topk(x, 2, { axis: 0 });
    expect(await values(top)).toEqual([4, 9, 3, 5]);
    expect(await values(indices)).toEqual([1, 2, 2, 0]);
    const weights = f64([
      [1, 2],
      [3, 4],
    ]);
    const f = (x: t.Tensor) => t.sum(t.mul(t.topk(x, 2, { axis: 0 }).values, weights));
    expect(await values(t.grad(f)(x))).toEqual([0, 4, 1, 0, 3, 2]);
  });

  test("k must fit the axis", () => {
    const x = t.zeros([2, 3], { device });
    for (const k of [4, -1, 1.5, Number.NaN]) expect(() => t.topk(x, k)).toThrow(t.ValueError);
    expect(() => t.topk(x, 3, { axis: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: topk: k is 3, expected a whole number from 0 to 2, the size of axis 0 of x [2, 3]. Take all of them: topk(x, 2).]`,
    );
    expect(() => t.topk(t.zeros([2], { dtype: "bool", device }), 1)).toThrow(t.DTypeError);
  });
});

describe("variance and std", () => {
  test("survive a mean much larger than the deviation", async () => {
    const x = f64([1e9 + 1, 1e9 + 2, 1e9 + 3]);
    expect(await t.variance(x).item()).toBe(1);
    expect(await t.std(x, { correction: 0 }).item()).toBeCloseTo(Math.sqrt(2 / 3), 15);
  });

  test("the gradient of std is 0 where the elements are equal, also in the second derivative", async () => {
    const total = (x: t.Tensor) => t.sum(t.std(x, { axes: 1 }));
    const x = f64([
      [4, 4],
      [1, 3],
    ]);
    const slope = await values(t.grad(total)(x));
    expect(slope.slice(0, 2)).toEqual([0, 0]);
    expect(slope[3]).toBeCloseTo(Math.SQRT1_2, 15);
    expect(slope[2]).toBe(-slope[3]);
    const slopes = t.grad((x: t.Tensor) => t.sum(t.square(t.grad(total)(x))));
    expect((await values(slopes(x))).every((v) => Math.abs(v) < 1e-15)).toBe(true);
  });

  test("need more elements than the correction", () => {
    const x = t.zeros([3, 1], { device });
    expect(() => t.variance(x, { axes: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: variance: correction is 1, expected a number below 1, the elements that each result is made of. Divide by their number: variance(x, { correction: 0 }).]`,
    );
    expect(() => t.std(x, { correction: 3 })).toThrow(t.ValueError);
    expect(() => t.std(x, { correction: Number.NaN })).toThrow(t.ValueError);
    expect(() => t.variance(t.zeros([0], { device }), { correction: 0 })).toThrow(t.ValueError);
  });
});

test("any, all, sum and mean of nothing; a mean of integers and the truth of numbers are errors", async () => {
  const nothing = t.zeros([2, 0], { dtype: "bool", device });
  expect(await values(t.any(nothing, { axes: 1 }))).toEqual([0, 0]);
  expect(await values(t.all(nothing, { axes: 1 }))).toEqual([1, 1]);
  expect(await t.mean(t.zeros([0], { device })).item()).toBeNaN();
  expect(t.any(nothing).dtype).toBe("bool");
  const whole = t.zeros([2], { dtype: "i32", device });
  expect(() => t.mean(whole)).toThrow(/^mean: x is i32\[2\], .*cast\(x, "f32"\)/);
  expect(() => t.variance(whole)).toThrow(/^variance: /);
  expect(() => t.all(whole)).toThrowErrorMatchingInlineSnapshot(
    `[DTypeError: all: x is i32[2], expected bool. Compare first: notEqual(x, 0).]`,
  );
  expect(() => t.min(nothing)).toThrow(/^min: /);
  expect(() => t.min(t.zeros([0], { device }))).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: min: x is [0], expected at least one element along axes [0]. Give it a ceiling: min(concat([x, full(shape, highest)])).]`,
  );
});

test("a byte other than 1 is true", async () => {
  const x = t.tensor(Uint8Array.of(2, 0), { device });
  expect(await t.any(x).item()).toBe(1);
  expect(await t.all(t.slice(x, [0], [1])).item()).toBe(1);
});

test("running sums of integers wrap at 32 bits at every step", async () => {
  const x = t.tensor(new Int32Array(5).fill(2 ** 31 - 1), { device });
  expect(await values(t.cumsum(x, 0))).toEqual([2147483647, -2, 2147483645, -4, 2147483643]);
  const u = t.tensor(new Uint32Array(3).fill(2 ** 32 - 1), { device });
  expect(await values(t.cumsum(u, 0, { reverse: true }))).toEqual([4294967293, 4294967294, 4294967295]);
  expect(() => t.cumsum(t.zeros([2], { dtype: "bool", device }), 0)).toThrow(t.DTypeError);
  expect(() => t.cumsum(t.zeros([], { device }), 0)).toThrow(t.AxisError);
});
