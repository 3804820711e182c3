/** Operations defined outside the package on webgpu, held to the properties of the built-in ones. */
import { scope, tensor } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { squaredDistance, squaredRelu } from "../../examples/002-custom-op.ts";
import { customCases } from "../helpers/custom-cases.ts";
import { Draw } from "../helpers/draw.ts";
import { floats, inputsOf } from "../helpers/problem.ts";
import {
  gradientMatches,
  leavesNothing,
  matchesReference,
  secondGradientMatches,
} from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

describe.skipIf(!device).each(customCases)("$name on webgpu", (testCase) => {
  test("matches the reference", () => matchesReference(testCase, device, 12));
  test("its gradient matches", () => gradientMatches(testCase, device, 8));
  test("its second derivative matches", () => secondGradientMatches(testCase, device, 5));
  test("only the result is left", () => leavesNothing(testCase, device, 4));
});

test.skipIf(!device)("a new size builds no kernel", async () => {
  const run = async (shape: number[]) => {
    const draw = new Draw(1);
    const operands = [1, 2].map(() => floats(draw, shape, { layout: "plain" }));
    const problem = { operands, run: ([a, b]: ReturnType<typeof inputsOf>) => squaredDistance(a, b) };
    const [a, b] = inputsOf(problem, { device, dtype: "f32" });
    const y = problem.run([a, b]);
    const values = await y.data();
    for (const t of [a, b, y]) t.dispose();
    return values.length;
  };
  await run([3, 5]);
  const built = device.stats().pipelines;
  expect(await run([70_001, 2])).toBe(70_001);
  expect(await run([7, 11, 13])).toBe(77);
  expect(device.stats().pipelines).toBe(built);
});

test.skipIf(!device)("f16 goes through the f32 kernel and is rounded once", async ({ skip }) => {
  if (!device.report.features.includes("shader-f16")) skip("the adapter has no shader-f16");
  const [a, b, y] = scope(() => {
    const a = tensor(
      [
        [1, 2.5],
        [3, -1],
      ],
      { dtype: "f16", device },
    );
    const b = squaredRelu(a);
    return [a, b, squaredDistance(a, b)];
  });
  expect([b.dtype, y.dtype]).toEqual(["f16", "f16"]);
  expect([...(await b.data())]).toEqual([1, 6.25, 9, 0]);
  expect([...(await y.data())]).toEqual([14.0625, 37]);
  for (const t of [a, b, y]) t.dispose();
});
