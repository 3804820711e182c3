/** Numbers beside tensors that arithmetic refuses: NaN, infinities, and what an integer type does not hold. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const x = make([2]);
const whole = make([2], "i32");

test("NaN in arithmetic", () => {
  expect(messageOf(() => t.add(x, Number.NaN))).toMatchInlineSnapshot(
    `"ValueError (value): add: b is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN)."`,
  );
});

test("an infinity in arithmetic", () => {
  expect(messageOf(() => t.mul(Number.POSITIVE_INFINITY, x))).toMatchInlineSnapshot(
    `"ValueError (value): mul: a is Infinity, expected a finite number. Leave an open bound out, clamp(x, { min: 0 }); find infinite elements with logicalNot(isFinite(x)); to set elements to it: maskedFill(x, mask, Infinity)."`,
  );
});

test("an infinite exponent", () => {
  expect(messageOf(() => t.pow(x, Number.NEGATIVE_INFINITY))).toMatchInlineSnapshot(
    `"ValueError (value): pow: b is -Infinity, expected a finite number. Leave an open bound out, clamp(x, { min: 0 }); find infinite elements with logicalNot(isFinite(x)); to set elements to it: maskedFill(x, mask, -Infinity)."`,
  );
});

test("NaN in a comparison", () => {
  expect(messageOf(() => t.less(x, Number.NaN))).toMatchInlineSnapshot(
    `"ValueError (value): less: b is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN)."`,
  );
});

test("NaN in a comparison that is another's mirror", () => {
  expect(messageOf(() => t.greaterEqual(x, Number.NaN))).toMatchInlineSnapshot(
    `"ValueError (value): greaterEqual: b is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN)."`,
  );
});

test("NaN as a bound", () => {
  expect(messageOf(() => t.clamp(x, { min: Number.NaN }))).toMatchInlineSnapshot(
    `"ValueError (value): clamp: min is NaN, expected a finite number. Find elements that are NaN with isNan(x); to set elements to it: maskedFill(x, mask, NaN)."`,
  );
});

test("a fraction beside integers", () => {
  expect(messageOf(() => t.add(whole, 1.5))).toMatchInlineSnapshot(
    `"ValueError (value): add: b is 1.5, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32")."`,
  );
});

test("a number past the range of integers", () => {
  expect(messageOf(() => t.maximum(whole, 2 ** 31))).toMatchInlineSnapshot(
    `"ValueError (value): maximum: b is 2147483648, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32")."`,
  );
});

test("a negative number beside unsigned integers", () => {
  expect(messageOf(() => t.mul(make([2], "u32"), -1))).toMatchInlineSnapshot(
    `"ValueError (value): mul: b is -1, expected whole numbers from 0 to 4294967295 for u32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "u32")."`,
  );
});

test("a fraction as an element of integers", () => {
  expect(messageOf(() => t.tensor([[1, 2.5]], { dtype: "i32", device }))).toMatchInlineSnapshot(
    `"ValueError (value): tensor: data[0][1] is 2.5, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32")."`,
  );
});

test("an infinity that fills integers", () => {
  expect(
    messageOf(() => t.full([2], Number.POSITIVE_INFINITY, { dtype: "i32", device })),
  ).toMatchInlineSnapshot(
    `"ValueError (value): full: value is Infinity, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32")."`,
  );
});

test("a fraction between integers in where", () => {
  expect(messageOf(() => t.where(make([2], "bool"), whole, 0.5))).toMatchInlineSnapshot(
    `"ValueError (value): where: b is 0.5, expected whole numbers from -2147483648 to 2147483647 for i32. Keep floats as floats, { dtype: "f32" }, or convert on purpose: cast(x, "i32")."`,
  );
});

test("a string that fills", () => {
  expect(messageOf(() => t.full([2], "1" as unknown as number, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): full: value is the string "1", expected a number. For several values use tensor([1, 2])."`,
  );
});

test("a tensor where a fill value stands", () => {
  expect(messageOf(() => t.maskedFill(x, make([2], "bool"), x as unknown as number))).toMatchInlineSnapshot(
    `"ValueError (value): maskedFill: value is f32[2] on cpu, expected a number. To take elements of a tensor: where(mask, value, x)."`,
  );
});
