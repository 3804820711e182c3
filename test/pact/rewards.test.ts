import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answerF1,
  type Call,
  callSimilarity,
  extractAnswer,
  type Json,
  pythonEquals,
  type RewardTurn,
  similarityMatrix,
  turnRewards,
} from "../../packages/pact/src/rewards.ts";
import { goldenCases } from "./golden.ts";

type Reference = { name: string; parameters: Call["arguments"] };
const toCalls = (references: Reference[]): Call[] =>
  references.map(({ name, parameters }) => ({ name, arguments: parameters }));

describe("golden matching", () => {
  it.each(goldenCases("rewards.json", "matching").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const inputs = entry.inputs as { predicted: Call[]; reference: Reference[] };
      const outputs = entry.outputs as {
        similarity: number[][];
        greedyRewards: number[];
        greedyRewardsPenaltyHalf: number[];
        optimalRewards?: number[];
      };
      const references = toCalls(inputs.reference);
      const similarity = similarityMatrix(inputs.predicted, references);
      outputs.similarity.forEach((row, i) => {
        row.forEach((value, j) => {
          expect(similarity[i][j]).toBeCloseTo(value, 12);
        });
      });
      // One call per turn makes the turn rewards the rewards of the calls.
      const turns = inputs.predicted.map((call): RewardTurn => ({ calls: [call], answer: null }));
      const rewards = (assignment: "greedy" | "optimal", unmatchedPenalty: number) =>
        turnRewards(turns, references, "", { assignment, unmatchedPenalty }).perTurn;
      expectClose(rewards("greedy", 0), outputs.greedyRewards);
      expectClose(rewards("greedy", 0.5), outputs.greedyRewardsPenaltyHalf);
      if (outputs.optimalRewards) expectClose(rewards("optimal", 0), outputs.optimalRewards);
    },
  );
});

describe("golden turn rewards", () => {
  it.each(goldenCases("rewards.json", "turn_rewards").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const inputs = entry.inputs as {
        turns: RewardTurn[];
        reference: Reference[];
        answer: string;
      };
      const outputs = entry.outputs as {
        turnRewards: number[];
        turnRewardsOptimal: number[];
        trajectoryReward: number;
      };
      const references = toCalls(inputs.reference);
      const greedy = turnRewards(inputs.turns, references, inputs.answer, { assignment: "greedy" });
      expectClose(greedy.perTurn, outputs.turnRewards);
      expect(greedy.total).toBeCloseTo(outputs.trajectoryReward, 12);
      const optimal = turnRewards(inputs.turns, references, inputs.answer);
      // Where several assignments are optimal the golden file gives their value only; all turns of that case have
      // one call, so the total is that value plus the answer's F1.
      const { optimalUnique, optimalValue } = entry.outputs as {
        optimalUnique: boolean;
        optimalValue: number;
      };
      if (optimalUnique) expectClose(optimal.perTurn, outputs.turnRewardsOptimal);
      else expect(optimal.total).toBeCloseTo(optimalValue + optimal.perTurn.at(-1)!, 12);
    },
  );
});

describe("golden answer F1", () => {
  it.each(goldenCases("rewards.json", "answer_f1").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const { response, answer } = entry.inputs as { response: string; answer: string };
      const given = extractAnswer(response);
      const f1 = given === null ? 0 : answerF1(given, answer);
      expect(f1).toBeCloseTo((entry.outputs as { f1: number }).f1, 12);
    },
  );
});

describe("rewards", () => {
  const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
  const call = fc.record({
    name: fc.constantFrom("f", "F", "g"),
    arguments: fc.dictionary(fc.constantFrom("a", "b", "__proto__", "toString"), json, { maxKeys: 3 }),
  }) as fc.Arbitrary<Call>;

  it("similarity is in [0, 1], 1 against itself, 0 for another name", () => {
    fc.assert(
      fc.property(call, call, (first, second) => {
        const similarity = callSimilarity(first, second);
        expect(similarity).toBeGreaterThanOrEqual(0);
        expect(similarity).toBeLessThanOrEqual(1);
        expect(callSimilarity(first, first)).toBe(1);
        if (first.name.toLowerCase() !== second.name.toLowerCase()) expect(similarity).toBe(0);
      }),
    );
  });

  it("compares as Python does", () => {
    expect(pythonEquals({ a: [1, true], b: null }, { b: null, a: [1.0, 1] })).toBe(true);
    expect(pythonEquals("3", 3)).toBe(false);
    expect(pythonEquals([], {})).toBe(false);
    expect(pythonEquals(null, false)).toBe(false);
    const nest = (): Json => {
      let value: Json = 1;
      for (let level = 0; level < 10_000; level++) value = [value];
      return value;
    };
    expect(pythonEquals(nest(), nest())).toBe(false);
  });

  it("λ_pen is charged for every unmatched call and for nothing else", () => {
    const right: Call = { name: "f", arguments: { x: 1 } };
    const wrong: Call = { name: "h", arguments: {} };
    const turns: RewardTurn[] = [
      { calls: [right, wrong], answer: null },
      { calls: [], answer: null },
      { calls: [wrong], answer: "Oslo" },
    ];
    expect(turnRewards(turns, [right], "Oslo").perTurn).toEqual([0.5, 0, 1]);
    expect(turnRewards(turns, [right], "Oslo", { unmatchedPenalty: 0.5 }).perTurn).toEqual([0.25, 0, 1]);
    expect(() =>
      turnRewards(turns, [right], "", { unmatchedPenalty: -1 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[RewardError: turnRewards: unmatchedPenalty must be finite and ≥ 0, received -1. Pass 0 for the paper's reward.]`,
    );
  });

  it("answer F1 is symmetric and stays linear on hostile text", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(answerF1(a, b)).toBeCloseTo(answerF1(b, a), 12);
      }),
    );
    expect(extractAnswer("<answer>".repeat(200_000))).toBeNull();
  });
});

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, index) => {
    expect(actual[index]).toBeCloseTo(value, 12);
  });
}
