/** Residual sums and the norms of them, captured with fusion, for the default device: one operation with the function's bits. */
import * as t from "@pact/tensor";
import { expect } from "vitest";
import { Draw } from "./draw.ts";

/** Rows of `width`: the gradient of x + f(Norm(x)) past the norm and through it, added up by the norm's kernel. */
export async function gradientMatches(width: number): Promise<void> {
  const draw = new Draw(width);
  const drawn = (shape: readonly number[]) =>
    t.tensor(
      Float32Array.from(
        draw.floats(
          shape.reduce((a, b) => a * b, 1),
          -2,
          2,
        ),
      ),
      { shape },
    );
  const [x, w, b, dy] = [[5, width], [width], [width], [5, width]].map(drawn);
  const norms = {
    layerNorm: (x: t.Tensor) => t.layerNorm(x, w, b),
    rmsNorm: (x: t.Tensor) => t.rmsNorm(x, w),
  };
  for (const [name, norm] of Object.entries(norms)) {
    const f = (x: t.Tensor, dy: t.Tensor) => t.vjp((x: t.Tensor) => [t.add(x, norm(x))], [x], [dy]).grads;
    using captured = t.capture(f);
    captured(x, dy);
    const { dispatches } = x.device.stats();
    const [actual] = captured(x, dy);
    expect(x.device.stats().dispatches - dispatches, name).toBe(1);
    expect(await actual.data(), name).toEqual(await f(x, dy)[0].data());
    // The same with the gradient through the norm as a result of its own.
    const both = (x: t.Tensor, dy: t.Tensor) => {
      const [through] = t.vjp((x: t.Tensor) => [norm(x)], [x], [dy]).grads;
      return [through, t.add(through, dy)];
    };
    using kept = t.capture(both);
    const expected = both(x, dy);
    for (const [k, y] of kept(x, dy).entries())
      expect(await y.data(), name).toEqual(await expected[k].data());
  }
}

type Block = (x: t.Tensor, f: t.Tensor, c: t.Tensor, w: t.Tensor, b: t.Tensor) => t.Tensor[];

const blocks: Record<string, Block> = {
  "two terms": (x, f, _c, w, b) => normed(t.add(x, f), (s) => t.layerNorm(s, w, b)),
  "bias first": (x, f, c, w, b) => normed(t.add(x, t.add(f, c)), (s) => t.layerNorm(s, w, b)),
  "bias last": (x, f, c, w) => normed(t.add(t.add(x, f), c), (s) => t.rmsNorm(s, w)),
  "two rows": (x, _f, c, w, b) => normed(t.add(c, t.add(x, b)), (s) => t.layerNorm(s, w)),
};

function normed(sum: t.Tensor, norm: (sum: t.Tensor) => t.Tensor): t.Tensor[] {
  return [sum, norm(sum)];
}

/** Rows of `width`, each operand `offset` elements into its memory. */
export async function residualMatches(width: number, offset: number): Promise<void> {
  const draw = new Draw(width + offset);
  const drawn = (shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const flat = t.tensor(Float32Array.from(draw.floats(offset + size, -2, 2)));
    return t.reshape(t.slice(flat, [offset], [offset + size]), shape);
  };
  const inputs = [[5, width], [5, width], [width], [width], [width]].map(drawn);
  const { device } = inputs[0];
  for (const [name, block] of Object.entries(blocks)) {
    const f = (given: t.Tensor[]) => block(given[0], given[1], given[2], given[3], given[4]);
    using captured = t.capture(f);
    captured(inputs);
    const { dispatches } = device.stats();
    const actual = captured(inputs);
    expect(device.stats().dispatches - dispatches, name).toBe(1);
    const expected = f(inputs);
    for (const [k, y] of expected.entries()) expect(await actual[k].data(), name).toEqual(await y.data());
  }
}
