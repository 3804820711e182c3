/** Elementwise operations on webgpu against the f64 reference: values, gradients, integers. */
import { describe, test } from "vitest";
import { elementwiseCases, integerCases } from "../helpers/elementwise-cases.ts";
import { gradientMatches, matchesReference } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("elementwise on webgpu", () => {
  test.each(elementwiseCases)("$name matches the reference", (testCase) =>
    matchesReference(testCase, device, 12),
  );
  test.each(elementwiseCases.filter((c) => c.gradient))("the gradient of $name matches", (testCase) =>
    gradientMatches(testCase, device, 6),
  );
  test.each(integerCases)("$name matches the reference", (testCase) => matchesReference(testCase, device, 6));
});
