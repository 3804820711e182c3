/** Use of a tensor after its memory was given back: the message names the argument. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf, rejectionOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const x = make([2, 3]);
const gone = make([2, 3]);
gone.dispose();

test("the argument of a function", () => {
  expect(messageOf(() => t.exp(gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): exp: x is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use."`,
  );
});

test("the second operand", () => {
  expect(messageOf(() => t.add(x, gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): add: b is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => b), or call b.dispose() after its last use."`,
  );
});

test("a reduction", () => {
  expect(messageOf(() => t.sum(gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): sum: x is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use."`,
  );
});

test("a view", () => {
  expect(messageOf(() => t.transpose(gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): transpose: x is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use."`,
  );
});

test("a weight", () => {
  expect(messageOf(() => t.linear(x, gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): linear: weight is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => weight), or call weight.dispose() after its last use."`,
  );
});

test("one of several to join", () => {
  expect(messageOf(() => t.concat([x, gone]))).toMatchInlineSnapshot(
    `"DisposedError (disposed): concat: xs[1] is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => xs[1]), or call xs[1].dispose() after its last use."`,
  );
});

test("a row to write", () => {
  expect(messageOf(() => t.assignRows(x, Int32Array.of(0, 1), gone))).toMatchInlineSnapshot(
    `"DisposedError (disposed): assignRows: values is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => values), or call values.dispose() after its last use."`,
  );
});

test("reading it back", async () => {
  expect(await rejectionOf(() => gone.data())).toMatchInlineSnapshot(
    `"DisposedError (disposed): data: this tensor is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use."`,
  );
});

test("a temporary that left its scope in a variable", () => {
  let kept: t.Tensor | undefined;
  t.scope(() => {
    kept = t.add(x, 1);
  });
  expect(messageOf(() => t.exp(kept as t.Tensor))).toMatchInlineSnapshot(
    `"DisposedError (disposed): exp: x is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use."`,
  );
});

test("more than one element read as a number", async () => {
  expect(await rejectionOf(() => x.item())).toMatchInlineSnapshot(
    `"ShapeError (shape): item: x has shape [2, 3], expected one element. Read all of them: await x.data()."`,
  );
});
