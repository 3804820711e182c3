/** Norms and the softmax family on webgpu: rows of quads and of elements have the same bits, and so has what goes on from them. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { requireGpu } from "../helpers/require.ts";
import { gradientMatches, residualMatches } from "../helpers/residual-checks.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

const draw = new Draw(11);

/** Numbers in [-2, 2) of a shape, `offset` elements into their memory. */
function drawn(shape: readonly number[], offset = 0): t.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const flat = t.tensor(Float32Array.from(draw.floats(offset + size, -2, 2)));
  return t.reshape(t.slice(flat, [offset], [offset + size]), shape);
}

/** The same elements `offset` elements into their memory. */
function moved(x: t.Tensor, offset: number): t.Tensor {
  const flat = t.concat([t.zeros([offset]), t.reshape(x, [-1])], 0);
  return t.reshape(t.slice(flat, [offset], [offset + x.size]), x.shape);
}

const norms = {
  layerNorm: (x: t.Tensor, w: t.Tensor, b: t.Tensor) => t.layerNorm(x, w, b),
  "layerNorm without bias": (x: t.Tensor, w: t.Tensor) => t.layerNorm(x, w),
  rmsNorm: (x: t.Tensor, w: t.Tensor) => t.rmsNorm(x, w),
};

describe.skipIf(!device)("norms on webgpu", () => {
  test.each(Object.entries(norms))("%s of quads has the bits of that of elements", async (_name, norm) => {
    const [x, w, b, dy] = [drawn([5, 12]), drawn([12]), drawn([12]), drawn([5, 12])];
    const results = (inputs: readonly t.Tensor[]) => {
      const { outputs, grads } = t.vjp(
        (...[x, w, b]: t.Tensor[]) => [norm(x, w, b)],
        inputs.slice(0, 3),
        inputs.slice(3),
      );
      return [...outputs, ...grads];
    };
    const quads = results([x, w, b, dy]);
    const elements = results([x, w, b, dy].map((one) => moved(one, 3)));
    for (const [k, y] of quads.entries()) expect(await y.data()).toEqual(await elements[k].data());
  });

  test.each(Object.entries({ softmax: t.softmax, logSoftmax: t.logSoftmax }))(
    "%s of quads has the bits of that of elements",
    async (_name, f) => {
      const x = drawn([5, 12]);
      expect(await f(x).data()).toEqual(await f(moved(x, 3)).data());
    },
  );

  test.each([
    ["quads", 12],
    ["elements", 7],
  ])("a norm of %s goes on with what is computed from it in one kernel", async (_name, width) => {
    const [x, w, b, other] = [drawn([6, width]), drawn([width]), drawn([width]), drawn([6, width])];
    const f = (x: t.Tensor) => {
      const y = t.layerNorm(x, w, b);
      return [t.mul(t.add(y, other), w), y];
    };
    using captured = t.capture(f);
    captured(x);
    const { dispatches } = device.stats();
    const actual = captured(x);
    expect(device.stats().dispatches - dispatches).toBe(1);
    for (const [k, y] of f(x).entries()) expect(await actual[k].data()).toEqual(await y.data());
  });

  test.each([
    ["quads", 12, 0],
    ["elements", 7, 0],
    ["elements between quads", 12, 2],
  ])("a residual sum and the norm of it are one kernel, of %s", async (_name, width, offset) => {
    await residualMatches(width, offset);
  });

  test.each([12, 7])(
    "the gradients through a norm of rows of %i and past it are one kernel",
    gradientMatches,
  );
});
