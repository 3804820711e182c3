import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { greedyAssignment, optimalAssignment } from "../../packages/pact/src/assignment.ts";
import { goldenCases } from "./golden.ts";

const cases = [...goldenCases("rewards.json", "assignment"), ...goldenCases("rewards.json", "matching")];

/** Best value over all one-to-one matchings, by trying every column or none for each row. */
function bruteForce(weights: number[][], row = 0, used = 0): number {
  if (row === weights.length) return 0;
  let best = bruteForce(weights, row + 1, used);
  weights[row].forEach((weight, column) => {
    if ((used >> column) & 1) return;
    best = Math.max(best, weight + bruteForce(weights, row + 1, used | (1 << column)));
  });
  return best;
}

describe("assignment", () => {
  it.each(cases.map((entry) => [entry.name, entry] as const))("golden %s", (_, entry) => {
    const inputs = entry.inputs as { similarity?: number[][] };
    const outputs = entry.outputs as {
      similarity?: number[][];
      optimalValue: number;
      optimalAssignment: (number | null)[] | null;
      greedyAssignment: (number | null)[];
      greedyValue: number;
    };
    const weights = inputs.similarity ?? outputs.similarity!;
    const optimal = optimalAssignment(weights);
    expect(optimal.value).toBeCloseTo(outputs.optimalValue, 12);
    if (outputs.optimalAssignment !== null) expect(optimal.columns).toEqual(outputs.optimalAssignment);
    const greedy = greedyAssignment(weights);
    expect(greedy.columns).toEqual(outputs.greedyAssignment);
    expect(greedy.value).toBeCloseTo(outputs.greedyValue, 12);
  });

  const matrix = fc
    .tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }))
    .chain(([rows, columns]) =>
      fc.array(
        fc.array(fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })), {
          minLength: columns,
          maxLength: columns,
        }),
        { minLength: rows, maxLength: rows },
      ),
    );

  it("equals brute force, is one to one, and is never below greedy", () => {
    fc.assert(
      fc.property(matrix, (weights) => {
        const { columns, value } = optimalAssignment(weights);
        const taken = columns.filter((column) => column !== null);
        expect(new Set(taken).size).toBe(taken.length);
        expect(value).toBeCloseTo(bruteForce(weights), 9);
        expect(value).toBeGreaterThanOrEqual(greedyAssignment(weights).value - 1e-12);
      }),
      { numRuns: 300 },
    );
  });

  it("refuses ragged, negative and non-finite weights", () => {
    expect(() => optimalAssignment([[1], [1, 2]])).toThrowErrorMatchingInlineSnapshot(
      `[AssignmentError: Assignment weights must be a rectangular matrix: row 0 has 1 entries, row 1 has 2. Pass one weight for every pair of a prediction and a reference.]`,
    );
    expect(() => greedyAssignment([[-1]])).toThrowErrorMatchingInlineSnapshot(
      `[AssignmentError: Assignment weight [0][0] must be finite and ≥ 0, received -1. Clamp similarities to [0, 1] before matching.]`,
    );
    expect(() => optimalAssignment([[Number.NaN]])).toThrow(/finite/);
  });
});
