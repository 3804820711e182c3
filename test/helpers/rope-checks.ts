/** Turning queries and keys in recordings, for the default device: in place where what is turned is needed no more. */
import * as t from "@pact/tensor";
import { expect } from "vitest";
import { Draw } from "./draw.ts";

/** Tokens, heads, a position for each token, who sees four of them, and frequencies for heads of `size`. */
function drawn(size: number) {
  const draw = new Draw(size);
  return {
    x: t.tensor(Float32Array.from(draw.floats(5 * 3 * size, -2, 2)), { shape: [5, 3, size] }),
    positions: t.tensor(Int32Array.from(draw.ints(5, 0, 40))),
    spans: t.attentionSpans(
      Int32Array.from({ length: 16 }, (_, n) => (n % 4 === 3 ? (n >> 2) + 1 : 0)),
      4,
    ),
    frequencies: t.tensor(Float32Array.from(draw.floats(size / 2, 0, 1))),
  };
}

/** Captured, with fusion and without, `size` numbers a head: the bits of the function. */
export async function turnedInPlace(size: number): Promise<void> {
  const { x, positions, spans, frequencies } = drawn(size);
  const functions: Record<string, (x: t.Tensor) => t.Tensor[]> = {
    "needed no more": (x) => [t.mul(t.rope(t.mul(x, 2), positions), 3)],
    "by frequencies": (x) => [t.mul(t.rope(t.mul(x, 2), positions, { frequencies }), 3)],
    "needed later": (x) => {
      const doubled = t.mul(x, 2);
      return [t.add(t.rope(doubled, positions), doubled)];
    },
    "turned twice": (x) => {
      const doubled = t.mul(x, 2);
      return [t.sub(t.rope(doubled, positions), t.rope(doubled, positions, { theta: 100 }))];
    },
    "a part": (x) => {
      const both = t.mul(t.concat([x, x], 0), 2);
      const turned = t.rope(t.slice(both, [0, 0, 0], [5, 3, size]), positions);
      return [t.add(turned, t.slice(both, [5, 0, 0], [10, 3, size]))];
    },
    "at an odd place, read four at once": (x) => {
      const [begin, end] = [1, 1 + 12 * size];
      const flat = t.slice(t.cumsum(t.reshape(x, [-1]), 0), [begin], [end]);
      const turned = t.rope(t.reshape(flat, [4, 3, size]), t.slice(positions, [0], [4]));
      return [t.attention(turned, turned, turned, spans)];
    },
    "written beside": (x) => {
      const rows = t.cumsum(t.mul(t.reshape(x, [5, 3 * size]), 2), 0);
      const turned = t.rope(
        t.reshape(t.slice(rows, [2, 0], [4, 3 * size]), [2, 3, size]),
        t.slice(positions, [0], [2]),
      );
      const [target, ids] = [t.slice(rows, [0, 0], [2, 3 * size]), t.tensor([1, 0], { dtype: "i32" })];
      t.assignRows(target, ids, t.reshape(turned, [2, 3 * size]));
      return [t.mul(target, 1)];
    },
    "an input and a result": (x) => [t.rope(x, positions), t.rope(t.rope(x, positions), positions)],
    gradient: (x) => [t.grad((x: t.Tensor) => t.sum(t.square(t.mul(t.rope(t.tanh(x), positions), x))))(x)],
  };
  for (const [name, f] of Object.entries(functions)) {
    const expected = f(x);
    for (const fuse of [true, false]) {
      using captured = t.capture(f, { fuse });
      for (let replay = 0; replay < 2; replay++) {
        const actual = captured(x);
        for (const [k, y] of expected.entries())
          expect(await actual[k].data(), `${name}, fused ${fuse}`).toEqual(await y.data());
      }
    }
  }
}

/** Bytes that a recording takes beside its input for turning n floats, which are 4 bytes each. */
export function bytesOfTurning(device: t.Device, tokens: number): number {
  const x = t.ones([tokens, 4, 64]);
  const positions = t.zeros([tokens], { dtype: "i32" });
  const f = (x: t.Tensor) => t.sum(t.rope(t.mul(x, 2), positions));
  using captured = t.capture(f);
  device.resetPeak();
  const { liveBytes } = device.memory();
  captured(x).dispose();
  const bytes = device.memory().peakBytes - liveBytes;
  x.dispose();
  positions.dispose();
  return bytes;
}
