/** Element types that do not fit: the message shows every dtype by its argument and the cast. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const [x, index] = [make([2, 3]), make([2], "i32")];
const spans = (keys: number) => t.attentionSpans(Int32Array.of(0, 0, 0, 1), keys, { device });

test("operands of two dtypes", () => {
  expect(messageOf(() => t.add(x, make([3], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): add: dtypes differ: a is f32[2, 3], b is i32[3]; expected one. Convert one: cast(b, "f32")."`,
  );
});

test("an integer first: the float is kept", () => {
  expect(messageOf(() => t.mul(make([3], "i32"), x))).toMatchInlineSnapshot(
    `"DTypeError (dtype): mul: dtypes differ: a is i32[3], b is f32[2, 3]; expected one. Convert one: cast(a, "f32")."`,
  );
});

test("a function of floats", () => {
  expect(messageOf(() => t.exp(make([2], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): exp: x is i32[2], expected f32, f64. Convert it: cast(x, "f32")."`,
  );
});

test("bools in arithmetic", () => {
  expect(messageOf(() => t.add(make([2], "bool"), make([2], "bool")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): add: a is bool[2], expected f32, f64, i32, u32. Convert it: cast(a, "f32")."`,
  );
});

test("a condition that is no bool", () => {
  expect(messageOf(() => t.where(x, x, x))).toMatchInlineSnapshot(
    `"DTypeError (dtype): where: condition is f32[2, 3], expected bool. Compare first: notEqual(condition, 0)."`,
  );
});

test("branches of two dtypes", () => {
  expect(messageOf(() => t.where(make([3], "bool"), x, make([3], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): where: dtypes differ: a is f32[2, 3], b is i32[3]; expected one. Convert one: cast(b, "f32")."`,
  );
});

test("a logical operation of numbers", () => {
  expect(messageOf(() => t.logicalNot(x))).toMatchInlineSnapshot(
    `"DTypeError (dtype): logicalNot: x is f32[2, 3], expected bool. Convert it: cast(x, "bool")."`,
  );
});

test("a sum of bools", () => {
  expect(messageOf(() => t.sum(make([2], "bool")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): sum: x is bool[2], expected numbers. Convert it: cast(x, "i32")."`,
  );
});

test("a product of integers", () => {
  expect(messageOf(() => t.matmul(make([2, 2], "i32"), make([2, 2], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): matmul: a is i32[2, 2], b is i32[2, 2]; expected two f32, two f64 or two f16. Convert: cast(a, "f32")."`,
  );
});

test("a product of a float and an integer", () => {
  expect(messageOf(() => t.matmul(x, make([3, 2], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): matmul: a is f32[2, 3], b is i32[3, 2]; expected two f32, two f64 or two f16. Convert: cast(b, "f32")."`,
  );
});

test("a softmax of integers", () => {
  expect(messageOf(() => t.softmax(make([2], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): softmax: x is i32[2], expected a float dtype. Convert it: cast(x, "f32")."`,
  );
});

test("an index of floats", () => {
  expect(messageOf(() => t.take(x, make([2])))).toMatchInlineSnapshot(
    `"DTypeError (dtype): take: index is f32[2], expected i32. Convert it: cast(index, "i32")."`,
  );
});

test("ids of an embedding that are floats", () => {
  expect(messageOf(() => t.embedding(x, make([2])))).toMatchInlineSnapshot(
    `"DTypeError (dtype): embedding: ids is f32[2], expected i32. Convert it: cast(ids, "i32")."`,
  );
});

test("scattering into another dtype", () => {
  expect(messageOf(() => t.scatterAdd(x, 1, make([2, 1], "i32"), make([2, 1], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): scatterAdd: x is f32[2, 3], source is i32[2, 1]; expected numbers of one dtype. Convert: cast(source, "f32")."`,
  );
});

test("a norm weight of another dtype", () => {
  expect(messageOf(() => t.rmsNorm(x, make([3], "f64")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): rmsNorm: x is f32[2, 3], weight is f64[3]; expected one dtype. Convert it: cast(weight, "f32")."`,
  );
});

test("attention over keys of another dtype", () => {
  expect(
    messageOf(() => t.attention(make([1, 2, 4]), make([1, 2, 4], "f64"), make([1, 2, 4], "f64"), spans(1))),
  ).toMatchInlineSnapshot(
    `"DTypeError (dtype): attention: dtypes differ: q is f32[1, 2, 4], k is f64[1, 2, 4], v is f64[1, 2, 4]; expected one. Convert it: cast(k, "f32")."`,
  );
});

test("attention of integers", () => {
  expect(
    messageOf(() =>
      t.attention(make([1, 2, 4], "i32"), make([1, 2, 4], "i32"), make([1, 2, 4], "i32"), spans(1)),
    ),
  ).toMatchInlineSnapshot(
    `"DTypeError (dtype): attention: q is i32[1, 2, 4], expected a float dtype. Convert it: cast(q, "f32")."`,
  );
});

test("rope positions of floats", () => {
  expect(messageOf(() => t.rope(make([2, 1, 4]), make([2])))).toMatchInlineSnapshot(
    `"DTypeError (dtype): rope: positions is f32[2], expected i32. Convert it: cast(positions, "i32")."`,
  );
});

test("rope frequencies of another dtype", () => {
  expect(
    messageOf(() => t.rope(make([2, 1, 4]), index, { frequencies: make([2], "i32") })),
  ).toMatchInlineSnapshot(
    `"DTypeError (dtype): rope: frequencies is i32[2], x is f32[2, 1, 4]; expected f32. Convert it: cast(frequencies, "f32")."`,
  );
});

test("log-probability ids of floats", () => {
  expect(messageOf(() => t.logProbGather(x, make([2])))).toMatchInlineSnapshot(
    `"DTypeError (dtype): logProbGather: ids is f32[2], expected i32. Convert it: cast(ids, "i32")."`,
  );
});

test("logits of integers", () => {
  expect(messageOf(() => t.logProbGather(make([2, 3], "i32"), index))).toMatchInlineSnapshot(
    `"DTypeError (dtype): logProbGather: logits is i32[2, 3], expected a float dtype. Convert it: cast(logits, "f32")."`,
  );
});

test("rows of another dtype", () => {
  expect(messageOf(() => t.assignRows(x, Int32Array.of(0), make([1, 3], "i32")))).toMatchInlineSnapshot(
    `"DTypeError (dtype): assignRows: values is i32[1, 3], target is f32[2, 3]; expected one dtype. Convert it: cast(values, "f32")."`,
  );
});

test("tensors of two dtypes in one concat", () => {
  expect(messageOf(() => t.concat([x, make([2, 3], "i32")]))).toMatchInlineSnapshot(
    `"DTypeError (dtype): concat: xs[0] is f32[2, 3], xs[1] is i32[2, 3]; expected one dtype. Convert it: cast(xs[1], "f32")."`,
  );
});

test("an element type by its name in PyTorch", () => {
  expect(messageOf(() => t.cast(x, "long" as t.DType))).toMatchInlineSnapshot(
    `"DTypeError (dtype): cast: dtype is the string "long", expected "f32", "f64", "f16", "i32", "u32", "bool". Use "i32"."`,
  );
  expect(messageOf(() => t.tensor([1], { dtype: "float32" as t.DType, device }))).toMatchInlineSnapshot(
    `"DTypeError (dtype): tensor: dtype is the string "float32", expected "f32", "f64", "f16", "i32", "u32", "bool". Use "f32"."`,
  );
  expect(messageOf(() => t.zeros([1], { dtype: 32 as unknown as t.DType, device }))).toMatchInlineSnapshot(
    `"DTypeError (dtype): zeros: dtype is the number 32, expected "f32", "f64", "f16", "i32", "u32", "bool". Use "f32"."`,
  );
});

test("targets and masks of another type are named by the function that was called", () => {
  expect(messageOf(() => t.crossEntropy(x, make([2])))).toMatchInlineSnapshot(
    `"DTypeError (dtype): crossEntropy: targets is f32[2], expected i32. Convert it: cast(targets, "i32")."`,
  );
  expect(messageOf(() => t.maskedFill(x, x, 0))).toMatchInlineSnapshot(
    `"DTypeError (dtype): maskedFill: mask is f32[2, 3], expected bool. Compare first: notEqual(mask, 0)."`,
  );
  expect(messageOf(() => t.oneHot(x, 3))).toMatchInlineSnapshot(
    `"DTypeError (dtype): oneHot: ids is f32[2, 3], expected i32. Convert it: cast(ids, "i32")."`,
  );
});
