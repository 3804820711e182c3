/** Arguments that are no tensors, lists or records, as programs without types pass them. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf, rejectionOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const x = make([2, 3]);
/** Anything, where a tensor belongs. */
const wrong = (value: unknown) => value as t.Tensor;

test("a plain array", () => {
  expect(messageOf(() => t.exp(wrong([1, 2])))).toMatchInlineSnapshot(
    `"ValueError (value): exp: x is a plain array, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("a number alone", () => {
  expect(messageOf(() => t.exp(wrong(1)))).toMatchInlineSnapshot(
    `"ValueError (value): exp: x is the number 1, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("nothing", () => {
  expect(messageOf(() => t.exp(wrong(undefined)))).toMatchInlineSnapshot(
    `"ValueError (value): exp: x is undefined, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("null", () => {
  expect(messageOf(() => t.relu(wrong(null)))).toMatchInlineSnapshot(
    `"ValueError (value): relu: x is null, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("a string", () => {
  expect(messageOf(() => t.relu(wrong("x")))).toMatchInlineSnapshot(
    `"ValueError (value): relu: x is the string "x", expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("a typed array", () => {
  expect(messageOf(() => t.sum(wrong(Float32Array.of(1))))).toMatchInlineSnapshot(
    `"ValueError (value): sum: x is a Float32Array, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("values that were not awaited", () => {
  expect(messageOf(() => t.exp(wrong(x.data())))).toMatchInlineSnapshot(
    `"ValueError (value): exp: x is a promise, expected a Tensor. Await it: await x."`,
  );
});

test("a plain array as the second operand", () => {
  expect(messageOf(() => t.add(x, wrong([1, 2, 3])))).toMatchInlineSnapshot(
    `"ValueError (value): add: b is a plain array, expected a Tensor. Wrap it: tensor(b)."`,
  );
});

test("nothing as the first operand", () => {
  expect(messageOf(() => t.mul(wrong(undefined), x))).toMatchInlineSnapshot(
    `"ValueError (value): mul: a is undefined, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("a string in a comparison", () => {
  expect(messageOf(() => t.less(x, wrong("1")))).toMatchInlineSnapshot(
    `"ValueError (value): less: b is the string "1", expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("numbers alone", () => {
  expect(messageOf(() => t.add(1, 2))).toMatchInlineSnapshot(
    `"ValueError (value): add: a is the number 1, expected a Tensor. Wrap it: tensor(a)."`,
  );
});

test("numbers alone in a comparison", () => {
  expect(messageOf(() => t.less(1, 2))).toMatchInlineSnapshot(
    `"ValueError (value): less: a is the number 1, expected a Tensor. Wrap it: tensor(a)."`,
  );
});

test("a plain array in a product", () => {
  expect(messageOf(() => t.matmul(wrong([[1, 2]]), x))).toMatchInlineSnapshot(
    `"ValueError (value): matmul: a is a plain array, expected a Tensor. Wrap it: tensor(a)."`,
  );
});

test("a plain array along an axis", () => {
  expect(messageOf(() => t.softmax(wrong([1, 2])))).toMatchInlineSnapshot(
    `"ValueError (value): softmax: x is a plain array, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("a plain array in a reduction along an axis", () => {
  expect(messageOf(() => t.sum(wrong([1, 2]), { axes: 0 }))).toMatchInlineSnapshot(
    `"ValueError (value): sum: x is a plain array, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("a plain array in a reshape", () => {
  expect(messageOf(() => t.reshape(wrong([1, 2]), [2, 1]))).toMatchInlineSnapshot(
    `"ValueError (value): reshape: x is a plain array, expected a Tensor. Wrap it: tensor(x)."`,
  );
});

test("a weight that is missing", () => {
  expect(messageOf(() => t.linear(x, wrong(undefined)))).toMatchInlineSnapshot(
    `"ValueError (value): linear: weight is undefined, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("a function", () => {
  expect(messageOf(() => t.exp(wrong(t.exp)))).toMatchInlineSnapshot(
    `"ValueError (value): exp: x is a function, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("a module where its weight belongs", () => {
  expect(messageOf(() => t.linear(x, wrong({ weight: x })))).toMatchInlineSnapshot(
    `"ValueError (value): linear: weight is a plain object, expected a Tensor. Pass a tensor, for example tensor([1, 2])."`,
  );
});

test("sizes without brackets in reshape", () => {
  expect(messageOf(() => t.reshape(x, 3 as unknown as number[]))).toMatchInlineSnapshot(
    `"ValueError (value): reshape: shape is the number 3, expected an array of whole numbers. Put brackets around them: reshape(x, [3])."`,
  );
});

test("sizes without brackets in zeros", () => {
  expect(messageOf(() => t.zeros(2 as unknown as number[], { device }))).toMatchInlineSnapshot(
    `"ValueError (value): zeros: shape is the number 2, expected an array of whole numbers. Put brackets around them: zeros([2])."`,
  );
});

test("axes without brackets in permute", () => {
  expect(messageOf(() => t.permute(x, 1 as unknown as number[]))).toMatchInlineSnapshot(
    `"ValueError (value): permute: axes is the number 1, expected an array of whole numbers. Put brackets around them: permute(x, [1])."`,
  );
});

test("tensors without brackets in concat", () => {
  expect(messageOf(() => t.concat(x as unknown as t.Tensor[]))).toMatchInlineSnapshot(
    `"ShapeError (shape): concat: xs is f32[2, 3] on cpu, expected an array of at least one tensor. Put them in brackets: concat([a, b])."`,
  );
});

test("an axis where settings stand", () => {
  expect(messageOf(() => t.sum(x, 1 as unknown as t.ReduceOptions))).toMatchInlineSnapshot(
    `"ValueError (value): sum: options is the number 1, expected a record of axes, keepDims. Name the setting: { axes: … }."`,
  );
});

test("PyTorch's dim", () => {
  expect(messageOf(() => t.mean(x, { dim: 1 } as unknown as t.ReduceOptions))).toMatchInlineSnapshot(
    `"ValueError (value): mean: options has no setting "dim", expected axes, keepDims. Rename it: { axes: … }."`,
  );
});

test("PyTorch's keepdim", () => {
  expect(messageOf(() => t.max(x, { keepdim: true } as unknown as t.ReduceOptions))).toMatchInlineSnapshot(
    `"ValueError (value): max: options has no setting "keepdim", expected axes, keepDims. Rename it: { axes: … }."`,
  );
});

test("a setting that matmul does not have", () => {
  expect(
    messageOf(() => t.matmul(x, x, { transpose: true } as unknown as t.MatmulOptions)),
  ).toMatchInlineSnapshot(
    `"ValueError (value): matmul: options has no setting "transpose", expected transposeA, transposeB, wide. Rename it: { transposeA: … }."`,
  );
});

test("an eps where settings stand", () => {
  expect(messageOf(() => t.rmsNorm(x, make([3]), 1e-5 as unknown as t.NormOptions))).toMatchInlineSnapshot(
    `"ValueError (value): rmsNorm: options is the number 0.00001, expected a record of eps. Name the setting: { eps: … }."`,
  );
});

test("spans that are missing", () => {
  expect(
    messageOf(() =>
      t.attention(
        make([1, 1, 4]),
        make([1, 1, 4]),
        make([1, 1, 4]),
        undefined as unknown as t.AttentionSpans,
      ),
    ),
  ).toMatchInlineSnapshot(
    `"ValueError (value): attention: spans is undefined, expected AttentionSpans. Make them: attentionSpans(ranges, keyCount)."`,
  );
});

test("ranges of spans in a plain array", () => {
  expect(
    messageOf(() => t.attentionSpans([0, 0, 0, 1] as unknown as Int32Array, 1, { device })),
  ).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: ranges is a plain array, expected an Int32Array. Convert it: Int32Array.from(ranges)."`,
  );
});

test("rows to write in a plain array", () => {
  expect(messageOf(() => t.assignRows(x, [0] as unknown as Int32Array, make([1, 3])))).toMatchInlineSnapshot(
    `"ValueError (value): assignRows: rows is a plain array, expected an Int32Array. Convert it: Int32Array.from(rows)."`,
  );
});

test("settings that are no record, where PyTorch takes more arguments", () => {
  const one = 1 as never;
  expect(messageOf(() => t.mean(x, one))).toMatchInlineSnapshot(
    `"ValueError (value): mean: options is the number 1, expected a record of axes, keepDims. Name the setting: { axes: … }."`,
  );
  expect(messageOf(() => t.max(x, null as never))).toMatchInlineSnapshot(
    `"ValueError (value): max: options is null, expected a record of axes, keepDims. Name the setting: { axes: … }."`,
  );
  expect(messageOf(() => t.arange(2, one))).toMatchInlineSnapshot(
    `"ValueError (value): arange: options is the number 1, expected a record of dtype, device. Name the setting: { dtype: … }."`,
  );
  expect(messageOf(() => t.tensor([1], "i32" as never))).toMatchInlineSnapshot(
    `"ValueError (value): tensor: options is the string "i32", expected a record of shape, dtype, device. Name the setting: { shape: … }."`,
  );
  expect(messageOf(() => t.slice(x, 0 as never, one))).toMatchInlineSnapshot(
    `"ValueError (value): slice: starts is the number 0, expected an array of whole numbers. Put brackets around them: slice(x, [0])."`,
  );
  expect(messageOf(() => t.vjp((x) => x, x as never, x as never))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): vjp: inputs is f32[2, 3], expected an array of what the function takes. Put brackets around it: vjp(f, [x], dys)."`,
  );
});

test("tensors as points of gradcheck", async () => {
  const f = ([x]: t.Tensor[]) => t.sum(x);
  expect(await rejectionOf(() => t.gradcheck(f, [x] as never))).toMatchInlineSnapshot(
    `"ValueError (value): gradcheck: points hold f32[2, 3] on cpu, expected an array of { shape, data }. Read a tensor first: [{ shape: x.shape, data: await x.data() }]."`,
  );
  expect(await rejectionOf(() => t.gradcheck(f, { shape: [1], data: [1] } as never))).toMatchInlineSnapshot(
    `"ValueError (value): gradcheck: points hold a plain object, expected an array of { shape, data }. Read a tensor first: [{ shape: x.shape, data: await x.data() }]."`,
  );
});
