/** Operations defined outside the package, on the cpu device, held to the properties of the built-in ones. */
import { scope, tensor } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { squaredDistance, squaredRelu } from "../../examples/002-custom-op.ts";
import { customCases } from "../helpers/custom-cases.ts";
import {
  gradientMatches,
  ignoresLayout,
  leavesNothing,
  matchesDifferences,
  matchesReference,
  reference,
  secondMatchesDifferences,
} from "../helpers/properties.ts";

describe.each(customCases)("$name", (testCase) => {
  test("f32 matches f64", () => matchesReference(testCase, reference, 20));
  test("any layout gives the same", () => ignoresLayout(testCase, 20));
  test("the derivative matches finite differences", () => matchesDifferences(testCase, 12));
  test("the derivative of the derivative matches finite differences", () =>
    secondMatchesDifferences(testCase, 6));
  test("the f32 gradient matches f64", () => gradientMatches(testCase, reference, 12));
  test("only the result is left", () => leavesNothing(testCase, reference, 6));
});

test("values by hand", async () => {
  const device = reference;
  const [y, d] = scope(() => {
    const a = tensor(
      [
        [1, -2],
        [3, 4],
      ],
      { device },
    );
    return [
      squaredRelu(a),
      squaredDistance(
        a,
        tensor(
          [
            [1, 1],
            [0, 0],
          ],
          { device },
        ),
      ),
    ];
  });
  expect([...(await y.data())]).toEqual([1, 0, 9, 16]);
  expect([...(await d.data())]).toEqual([9, 25]);
});

test("arguments that do not fit are named", () => {
  const device = reference;
  const x = tensor([1, 2], { device });
  expect(() => squaredDistance(x, tensor([1, 2, 3], { device }))).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: squaredDistance: a is [2] and b is [3], expected one shape of rows. Repeat one: expand(b, a.shape).]`,
  );
  expect(() =>
    squaredDistance(x, tensor([1, 2], { dtype: "f64", device })),
  ).toThrowErrorMatchingInlineSnapshot(
    `[DTypeError: squaredDistance: a is f32 and b is f64, expected one float type for both. Convert: cast(a, "f32").]`,
  );
  expect(() => squaredRelu(tensor([1, 2], { dtype: "i32", device }))).toThrowErrorMatchingInlineSnapshot(
    `[DTypeError: squaredRelu: x is i32[2], expected f32, f64. Convert it: cast(x, "f32").]`,
  );
});
