/**
 * Every case of the operation table on webgpu against the cpu with one dimension of 0, of 1, of a prime, and of sizes
 * around one workgroup (64). Which dimension it is changes with the size. What the cpu refuses, the GPU refuses alike.
 */
import { type Device, PactError } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { type Draw, SizedDraw } from "../helpers/draw.ts";
import { elementwiseCases } from "../helpers/elementwise-cases.ts";
import { networkCases } from "../helpers/network-cases.ts";
import { opCases } from "../helpers/op-cases.ts";
import { evaluate, isVariable, type OpCase } from "../helpers/problem.ts";
import { gradientOnce, matchOnce, reference } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const sizes = [0, 1, 61, 63, 64, 65, 67];

/** The error that an evaluation ends with, or none. */
async function refusal(testCase: OpCase, draw: Draw, device: Device): Promise<PactError | undefined> {
  try {
    await evaluate(testCase.draw(draw), { device, dtype: device.kind === "cpu" ? "f64" : "f32" });
    return undefined;
  } catch (error) {
    if (error instanceof PactError) return error;
    throw error;
  }
}

describe.skipIf(!device)("one dimension of 0, 1, primes and around a workgroup", () => {
  test.each([...elementwiseCases, ...opCases, ...networkCases])("$name", async (testCase) => {
    expect.hasAssertions();
    for (const [k, n] of sizes.entries()) {
      const count = new SizedDraw(k, n, -1);
      testCase.draw(count);
      const sized = () => new SizedDraw(k, n, count.drawn > 0 ? k % count.drawn : 0);
      const refused = await refusal(testCase, sized(), reference);
      if (refused) {
        expect((await refusal(testCase, sized(), device))?.name, `size ${n}`).toBe(refused.name);
        continue;
      }
      const problem = testCase.draw(sized());
      await expect(matchOnce(testCase, problem, device), `size ${n}`).resolves.toBeUndefined();
      if (testCase.gradient && problem.operands.some(isVariable))
        await expect(
          gradientOnce(testCase, problem, device),
          `gradient at size ${n}`,
        ).resolves.toBeUndefined();
    }
  });
});
