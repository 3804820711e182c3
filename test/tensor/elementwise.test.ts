/** Elementwise operations on the cpu device: every record in the op table against the properties of test/helpers. */
import { describe, expect, test } from "vitest";
import { elementwiseCases, elementwiseOps, integerCases } from "../helpers/elementwise-cases.ts";
import {
  gradientMatches,
  ignoresLayout,
  matchesDifferences,
  matchesReference,
  reference,
} from "../helpers/properties.ts";

test("the table holds the elementwise records", () => {
  expect(elementwiseOps.length).toBeGreaterThanOrEqual(38);
  expect(new Set(elementwiseOps.map((op) => op.name)).size).toBe(elementwiseOps.length);
});

describe.each(elementwiseCases)("$name", (testCase) => {
  test("f32 matches f64", () => matchesReference(testCase, reference, 20));
  test("any layout gives the same", () => ignoresLayout(testCase, 20));
  if (!testCase.gradient) return;
  if (testCase.differences !== false) {
    test("the derivative matches finite differences", () => matchesDifferences(testCase, 12));
  }
  test("the f32 gradient matches f64", () => gradientMatches(testCase, reference, 12));
});

describe("integers", () => {
  test.each(integerCases)("$name: any layout gives the same", (testCase) => ignoresLayout(testCase, 10));
});
