/** What a backward pass holds: the forward's results, and of the gradients on the way only those still needed. */
import { add, createDevice, grad, mul, sum, type Tensor, tanh, tensor, valueAndGrad } from "@pact/tensor";
import { describe, expect, test } from "vitest";

const device = await createDevice({ device: "cpu" });
const size = 1000;
const x = () =>
  tensor(
    Float32Array.from({ length: size }, (_, i) => i / size),
    { device },
  );

/** The most memory beyond what was there, in vectors of `size`. */
function vectorsHeld(run: () => Tensor): number {
  const before = device.memory().liveBytes;
  device.resetPeak();
  run().dispose();
  return (device.memory().peakBytes - before) / (4 * size);
}

describe("the backward pass", () => {
  const chain = (depth: number) => (input: Tensor) => {
    let y = input;
    for (let i = 0; i < depth; i++) y = tanh(y);
    return sum(y);
  };

  test("gives gradients back when they are used up", () => {
    const input = x();
    for (const depth of [10, 40]) {
      // The forward's vectors, and a handful for the derivative at hand.
      expect(vectorsHeld(() => grad(chain(depth))(input))).toBeLessThan(depth + 8);
    }
  });

  test("keeps those that several tensors share, and those of parameters along the way", async () => {
    const [a, b] = [x(), x()];
    const f = valueAndGrad(([a, b]: [Tensor, Tensor]) => {
      const both = add(a, b); // its gradient is that of a and of b
      return sum(add(mul(both, both), add(a, both)));
    });
    const { grads } = f([a, b]);
    const at = (values: ArrayLike<number>) => values[500];
    expect(at(await grads[0].data())).toBeCloseTo(2 * 1 + 1 + 1, 5);
    expect(at(await grads[1].data())).toBeCloseTo(2 * 1 + 1, 5);
    grads[0].dispose();
    expect(at(await grads[1].data())).toBeCloseTo(3, 5);
  });

  test("keeps all of them for an enclosing gradient", async () => {
    const cube = (y: Tensor) => sum(mul(mul(y, y), y));
    const second = grad((y: Tensor) => sum(grad(cube)(y)))(x());
    expect((await second.data())[500]).toBeCloseTo(6 * 0.5, 5);
  });
});
