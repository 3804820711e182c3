/** Reductions, products, movement, indexing and network operations on webgpu against the f64 reference. */
import { describe, test } from "vitest";
import { networkCases } from "../helpers/network-cases.ts";
import { integerCases, opCases } from "../helpers/op-cases.ts";
import { gradientMatches, matchesReference } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const cases = [...opCases, ...networkCases];

describe.skipIf(!device)("operations on webgpu", () => {
  test.each(cases)("$name matches the reference", (testCase) => matchesReference(testCase, device, 15));
  test.each(cases.filter((c) => c.gradient))("the gradient of $name matches", (testCase) =>
    gradientMatches(testCase, device, 10),
  );
  test.each(integerCases)("$name matches the reference", (testCase) => matchesReference(testCase, device, 8));
});
