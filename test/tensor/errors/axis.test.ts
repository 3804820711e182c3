/** Axes outside a tensor, or named twice: the message shows the axis, the rank and the range. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const x = make([2, 3]);

test("an axis past the rank", () => {
  expect(messageOf(() => t.sum(x, { axes: 2 }))).toMatchInlineSnapshot(
    `"AxisError (axis): sum: axis is 2, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis before the rank", () => {
  expect(messageOf(() => t.softmax(x, -3))).toMatchInlineSnapshot(
    `"AxisError (axis): softmax: axis is -3, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis twice", () => {
  expect(messageOf(() => t.sum(x, { axes: [1, -1] }))).toMatchInlineSnapshot(
    `"AxisError (axis): sum: axes are [1, 1], expected each axis once. Leave out the repeated one: axes: [1]."`,
  );
});

test("an axis that is no whole number", () => {
  expect(messageOf(() => t.transpose(x, 0.5))).toMatchInlineSnapshot(
    `"AxisError (axis): transpose: axis is 0.5, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("any axis of a scalar", () => {
  expect(messageOf(() => t.argmax(make([]), 0))).toMatchInlineSnapshot(
    `"AxisError (axis): argmax: axis 0 does not exist, x is a scalar (shape []). Give it one: reshape(x, [1])."`,
  );
});

test("stacking past the rank", () => {
  expect(messageOf(() => t.stack([x], 4))).toMatchInlineSnapshot(
    `"AxisError (axis): unsqueeze: axis is 4, expected an integer from -3 to 2 for rank 3. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis of a permutation", () => {
  expect(messageOf(() => t.permute(x, [0, 2]))).toMatchInlineSnapshot(
    `"AxisError (axis): permute: axis is 2, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis of a gather", () => {
  expect(messageOf(() => t.gather(x, 2, make([2, 3], "i32")))).toMatchInlineSnapshot(
    `"AxisError (axis): gather: axis is 2, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis that is a string", () => {
  expect(messageOf(() => t.sum(x, { axes: "rows" as unknown as number }))).toMatchInlineSnapshot(
    `"AxisError (axis): sum: axis is "rows", expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("an axis in a record, where a number stands", () => {
  expect(messageOf(() => t.softmax(x, { axis: 1 } as unknown as number))).toMatchInlineSnapshot(
    `"AxisError (axis): softmax: axis is {"axis":1}, expected an integer from -2 to 1 for rank 2. Count from 0, or from the end: -1 is the last one."`,
  );
});

test("entropy of a scalar", () => {
  expect(messageOf(() => t.entropy(make([])))).toMatchInlineSnapshot(
    `"AxisError (axis): entropy: axis -1 does not exist, x is a scalar (shape []). Give it one: reshape(x, [1])."`,
  );
});
