/** Second derivatives of the fused operations on webgpu against the f64 reference. */
import { describe, test } from "vitest";
import { attentionCases, lossCases, normCases } from "../helpers/network-cases.ts";
import { secondGradientMatches } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const cases = [...normCases, attentionCases[0], attentionCases[2], lossCases[0]];

describe.skipIf(!device)("second derivatives on webgpu", () => {
  test.each(cases)("$name", (testCase) => secondGradientMatches(testCase, device, 5));
});
