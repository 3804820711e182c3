/** Special values on the cpu device; what a number may be as an operand; indices outside. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { specialChecks } from "../helpers/special-checks.ts";

const device = await t.createDevice({ device: "cpu" });
const x = t.tensor([1, 2], { device });
const whole = t.tensor([1, 2], { dtype: "i32", device });
const words = t.tensor([1, 2], { dtype: "u32", device });

specialChecks(device);

describe("numbers beside tensors", () => {
  const functions = { add: t.add, sub: t.sub, mul: t.mul, div: t.div, maximum: t.maximum, pow: t.pow };
  const comparisons = { equal: t.equal, less: t.less, greater: t.greater, greaterEqual: t.greaterEqual };

  test.each(Object.entries({ ...functions, ...comparisons }))(
    "%s refuses NaN and infinities on either side, naming it",
    (name, f) => {
      for (const value of [Number.NaN, Infinity, -Infinity]) {
        expect(() => f(x, value)).toThrow(`${name}: b is ${value}, expected a finite number`);
        expect(() => f(value, x)).toThrow(`${name}: a is ${value}, expected a finite number`);
      }
    },
  );

  test("the message names the way out", () => {
    expect(() => t.add(x, Number.NaN)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: add: b is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN).]`,
    );
    expect(() => t.less(x, Infinity)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: less: b is Infinity, expected a finite number. Leave an open bound out, clamp(x, { min: 0 }); find infinite elements with logicalNot(isFinite(x)); to set elements to it: maskedFill(x, mask, Infinity).]`,
    );
    expect(() => t.clamp(x, { max: Number.NaN })).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: clamp: max is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN).]`,
    );
  });

  test("integers take only what they hold exactly", () => {
    expect(() => t.mul(whole, 1.5)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: mul: b is 1.5, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32").]`,
    );
    expect(() => t.equal(words, -1)).toThrow(/b is -1, expected whole numbers from 0 to 4294967295 for u32/);
    expect(() => t.clamp(words, { min: -1 })).toThrow(/clamp: min is -1/);
    expect(() => t.where(t.equal(whole, 1), whole, 2.5)).toThrow(/where: b is 2.5/);
    expect(() => t.pad(whole, [[1, 1]], Number.NaN)).toThrow(/pad: value is NaN/);
  });

  test("division of integers names cast", () => {
    expect(() => t.div(whole, 2)).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: div: a is i32[2], expected f32, f64. Convert it: cast(a, "f32").]`,
    );
    expect(() => t.floorDiv(x, 2)).toThrow(t.DTypeError);
  });
});

describe("integer tensors", () => {
  test("name the first element they do not hold", () => {
    const make = (data: t.Nested, dtype: t.DType) => () => t.tensor(data, { dtype, device });
    expect(
      make(
        [
          [1, 2],
          [1.5, 3e9],
        ],
        "i32",
      ),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: tensor: data[1][0] is 1.5, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32").]`,
    );
    expect(make([0, 3e9], "i32")).toThrow(/data\[1\] is 3000000000/);
    expect(make(-1, "u32")).toThrow(/data is -1/);
    expect(make([Number.NaN], "i32")).toThrow(t.ValueError);
    expect(() => t.full([2], 0.5, { dtype: "u32", device })).toThrow(/full: value is 0.5/);
    expect(() => t.tensor(Int32Array.of(5, -1), { dtype: "u32", device })).toThrow(/data\[1\] is -1/);
  });

  test("take the ends of their range", async () => {
    const ends = t.tensor([-(2 ** 31), 2 ** 31 - 1, -0], { dtype: "i32", device });
    expect([...(await ends.data())]).toEqual([-(2 ** 31), 2 ** 31 - 1, 0]);
    expect(await t.full([], 2 ** 32 - 1, { dtype: "u32", device }).item()).toBe(2 ** 32 - 1);
  });
});

test("indices outside are found on the cpu", () => {
  const index = (value: number) => t.tensor([value], { dtype: "i32", device });
  expect(() => t.oneHot(index(3), 3)).toThrow(/oneHot: index holds 3 at position 0/);
  expect(() => t.take(x, index(-1))).toThrow(t.ValueError);
  expect(() => t.oneHot(index(0), 0)).toThrow(/classes is 0/);
});

test("split, repeat and pad say what does not fit", () => {
  const y = t.zeros([2, 5], { device });
  expect(() => t.split(y, 2, 1)).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: split: parts is 2, expected a whole divisor of 5 along axis 1 of x f32[2, 5]. Name the sizes instead: split(x, [5], 1).]`,
  );
  expect(() => t.split(y, [2, 2], 1)).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: split: parts are [2, 2] with sum 4, expected sizes that add up to all of 5 along axis 1 of x f32[2, 5]. Add a part for what is left, or leave that out first with slice.]`,
  );
  expect(() => t.repeat(y, [2])).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: repeat: counts are [2], expected at least 2 for x f32[2, 5]. Write a 1 for each axis that stays: repeat(x, [1, 1]).]`,
  );
  expect(() => t.repeat(y, [2, -1])).toThrow(/counts\[1\] is -1/);
  expect(() =>
    t.pad(y, [
      [0, 0],
      [-1, 0],
    ]),
  ).toThrowErrorMatchingInlineSnapshot(
    `[ValueError: pad: pads[1] is [-1, 0], expected whole numbers of at least 0, received -1. To cut elements off, use slice(x, starts, stops).]`,
  );
});

test("crossEntropy and klDivergence say what does not fit", () => {
  const logits = t.zeros([2, 3], { device });
  expect(() => t.crossEntropy(logits, whole, { mask: t.ones([3], { device }) })).toThrow(t.ShapeError);
  expect(() => t.crossEntropy(logits, whole, { mask: whole })).toThrow(/expected bool or the logits' dtype/);
  expect(() => t.klDivergence(logits, t.zeros([3], { device }))).toThrow(t.ShapeError);
});

test("split and flip share their input's memory", () => {
  const y = t.zeros([4, 3], { device });
  const before = device.memory().liveBytes;
  for (const part of [...t.split(y, 2), t.flip(y)]) expect(part.storage).toBe(y.storage);
  expect(device.memory().liveBytes).toBe(before);
});
