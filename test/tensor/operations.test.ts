/** Reductions, products, movement, indexing and network operations on the cpu device, held to the shared properties. */
import { describe, test } from "vitest";
import { networkCases } from "../helpers/network-cases.ts";
import { integerCases, opCases } from "../helpers/op-cases.ts";
import {
  gradientMatches,
  ignoresLayout,
  matchesDifferences,
  matchesReference,
  reference,
} from "../helpers/properties.ts";

describe.each([...opCases, ...networkCases])("$name", (testCase) => {
  test("f32 matches f64", () => matchesReference(testCase, reference, 20));
  test("any layout gives the same", () => ignoresLayout(testCase, 20));
  if (!testCase.gradient) return;
  test("the derivative matches finite differences", () => matchesDifferences(testCase, 8));
  test("the f32 gradient matches f64", () => gradientMatches(testCase, reference, 12));
});

describe("integers", () => {
  test.each(integerCases)("$name: any layout gives the same", (testCase) => ignoresLayout(testCase, 10));
});
