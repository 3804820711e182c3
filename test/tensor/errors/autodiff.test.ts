/** Mistakes under a gradient that belong to single operations; those of the transformations are in autodiff.test.ts. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const x = make([2, 3]);

test("the gradient of attention without its key table", () => {
  expect(
    messageOf(() =>
      t.grad((q: t.Tensor) =>
        t.sum(
          t.attention(q, q, q, t.attentionSpans(Int32Array.of(0, 0, 0, 1), 1, { device, gradients: false })),
        ),
      )(make([1, 1, 4])),
    ),
  ).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): attention: spans was made with { gradients: false }, expected the table that the backward pass reads. Make it so: attentionSpans(ranges, keyCount, { gradients: true })."`,
  );
});

test("rows written while a gradient is recorded", () => {
  expect(
    messageOf(() =>
      t.grad((p: t.Tensor) => {
        t.assignRows(x, Int32Array.of(0), make([1, 3]));
        return t.sum(p);
      })(x),
    ),
  ).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): assignRows: a gradient is being recorded, expected none: it changes tensors in place, and the backward pass needs the old values. Call it on the result: const { value, grads } = valueAndGrad(f)(params)."`,
  );
});
