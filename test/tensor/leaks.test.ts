/** Outside any scope each operation gives back its temporaries: the result is all that stays. */
import { describe, test } from "vitest";
import { elementwiseCases } from "../helpers/elementwise-cases.ts";
import { networkCases } from "../helpers/network-cases.ts";
import { opCases } from "../helpers/op-cases.ts";
import { leavesNothing, reference } from "../helpers/properties.ts";

describe("leaves nothing but its result", () => {
  test.each([...elementwiseCases, ...opCases, ...networkCases])("$name", (testCase) =>
    leavesNothing(testCase, reference, 10),
  );
});
