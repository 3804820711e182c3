/** Gradients of weights that are gathered in one vector, for any device: captured, the bits of the function itself. */
import * as t from "@pact/tensor";
import { expect } from "vitest";
import { Draw } from "./draw.ts";

/**
 * x [rows, 8] under layers of 12, 8 and 5, and rows of an embedding [6, 8]: their gradients and some zeros as one vector, and
 * one of them padded.
 */
export async function gathersGradients(device: t.Device, rows: number): Promise<void> {
  const draw = new Draw(rows);
  const drawn = (height: number) =>
    t.tensor(Float32Array.from(draw.floats(8 * height, -1, 1)), { shape: [height, 8], device });
  const x = drawn(rows);
  const params = [12, 8, 5, 6].map(drawn);
  const ids = t.tensor(Int32Array.from(draw.ints(rows, 0, 5)), { device });
  const loss = ([embedding, ...layers]: t.Tensor[]) => {
    const outputs = layers.map((w) => t.linear(x, w));
    return [...outputs, t.embedding(embedding, ids)]
      .map((y) => t.sum(t.square(y)))
      .reduce((a, b) => t.add(a, b));
  };
  const gradients = () => t.grad(loss)([params[3], ...params.slice(0, 3)]);
  const gathered = () => {
    const pieces = gradients().map((g) => t.reshape(g, [-1]));
    return t.concat([...pieces.slice(0, 2), t.zeros([3], { device }), ...pieces.slice(2)]);
  };
  const padded = () =>
    t.pad(gradients()[0], [
      [1, 1],
      [0, 0],
    ]);
  for (const f of [gathered, padded]) {
    using captured = t.capture(() => t.scope(f));
    const expected = t.scope(f);
    for (let replay = 0; replay < 2; replay++) {
      const actual = captured();
      expect(await actual.data()).toEqual(await expected.data());
      actual.dispose();
    }
    expected.dispose();
  }
  for (const one of [x, ids, ...params]) one.dispose();
}
