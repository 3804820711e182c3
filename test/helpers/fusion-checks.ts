/** What fused functions must do, for any device: what the function does by itself, forward and backward. */
import * as t from "@pact/tensor";
import fc from "fast-check";
import { expectClose } from "./compare.ts";
import { Draw } from "./draw.ts";
import { type RandomFunction, randomFunction } from "./random-functions.ts";
import type { Tolerance } from "./tolerances.ts";

/** Random functions and their gradients, captured with fusion, against the functions themselves. */
export async function fusedMatches(
  device: t.Device,
  runs: number,
  tolerance: Tolerance,
  { dtype = "f32", seed }: { dtype?: t.DType; seed?: number } = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.noBias(fc.noShrink(fc.nat())), async (drawn) => {
      const f = randomFunction(new Draw(drawn), device, dtype);
      await match("value", (inputs) => f.run(inputs), f, tolerance);
      await match("gradient", (inputs) => gradientOf(f, inputs), f, {
        absolute: 4 * tolerance.absolute,
        relative: 4 * tolerance.relative,
      });
      for (const x of f.inputs) x.dispose();
    }),
    { numRuns: runs, seed },
  );
}

/** The gradients of a weighted sum of all results. */
function gradientOf(f: RandomFunction, inputs: readonly t.Tensor[]): t.Tensor[] {
  const loss = (given: t.Tensor[]) =>
    f
      .run(given)
      .map((y, k) => t.mul(t.sum(y), 1 / (1 + k)))
      .reduce((a, b) => t.add(a, b));
  return t.grad(loss)([...inputs]);
}

async function match(
  what: string,
  run: (inputs: readonly t.Tensor[]) => t.Tensor[],
  f: RandomFunction,
  tolerance: Tolerance,
): Promise<void> {
  using captured = t.capture(run);
  const expected = t.scope(() => run(f.inputs));
  for (let replay = 0; replay < 2; replay++) {
    const actual = captured(f.inputs);
    for (const [k, y] of expected.entries()) {
      const [a, r] = [await actual[k].data(), await y.data()];
      const largest = Array.from(r).reduce((most, v) => Math.max(most, Math.abs(v)), 1);
      const { absolute, relative } = tolerance;
      expectClose(`${what} ${k}`, a, r, { absolute: absolute * largest, relative });
    }
    for (const y of actual) y.dispose();
  }
  for (const y of expected) y.dispose();
}
