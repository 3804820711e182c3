import { readFileSync } from "node:fs";
import { match, meanSolveScore, parseAssistant, solvedGoldens, solveScore } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

interface SolveCase {
  name: string;
  kind: string;
  inputs: { response: string; feedback: string[]; unsolved: Record<string, string[]> };
  outputs: { solveP: number; solveR: number; solveF1: number };
}

const golden = JSON.parse(readFileSync(new URL("../golden/rewards.json", import.meta.url), "utf8")) as {
  cases: SolveCase[];
};
const cases = golden.cases.filter((item) => item.kind === "solve_metrics");

describe("solveScore", () => {
  it("has golden cases", () => expect(cases.length).toBeGreaterThanOrEqual(4));

  it.each(cases)("agrees with MatchTIR: $name", ({ inputs, outputs }) => {
    const { calls } = parseAssistant(inputs.response);
    const score = solveScore(
      calls.map((call, i) => ({ name: call.function.name, output: inputs.feedback[i] })),
      inputs.unsolved,
    );
    for (const key of ["solveP", "solveR", "solveF1"] as const)
      expect(Math.abs(score[key] - outputs[key])).toBeLessThan(1e-12);
  });

  it("uses each golden once, in order, one per call", () => {
    const unsolved = { f: ["1", "12"], g: ["1"] };
    const calls = ["12", "12", "12"].map((output) => ({ name: "f", output }));
    expect(solvedGoldens(calls, unsolved)).toEqual(["1", "12", undefined]);
    expect(unsolved.f).toEqual(["1", "12"]);
    expect(solveScore(calls, unsolved)).toMatchObject({ calls: 3, solved: 2, goldens: 3, solveF1: 4 / 6 });
  });

  it("does not fall for prototype names", () => {
    expect(solveScore([{ name: "constructor", output: "x" }], { f: ["x"] }).solved).toBe(0);
  });

  it("stays within [0, 1] and F1 is the harmonic mean of P and R", () => {
    const name = fc.constantFrom("f", "g");
    fc.assert(
      fc.property(
        fc.array(fc.record({ name, output: fc.constantFrom("1", "2", "1 2", "") }), { minLength: 1 }),
        fc.dictionary(name, fc.array(fc.constantFrom("1", "2", "1, 2"), { minLength: 1 }), { minKeys: 1 }),
        (calls, unsolved) => {
          const { solveP: p, solveR: r, solveF1 } = solveScore(calls, unsolved);
          for (const value of [p, r, solveF1]) expect(value >= 0 && value <= 1).toBe(true);
          expect(solveF1).toBeCloseTo(p + r === 0 ? 0 : (2 * p * r) / (p + r), 12);
        },
      ),
    );
  });

  it("averages columns", () => {
    const one = solveScore([{ name: "f", output: "1" }], { f: ["1"] });
    const none = solveScore([], { f: ["1"] });
    expect(meanSolveScore([one, none])).toEqual({ solveP: 1, solveR: 0.5, solveF1: 0.5 });
    expect(meanSolveScore([])).toEqual({ solveP: 0, solveR: 0, solveF1: 0 });
  });
});

describe("match", () => {
  it.each([
    ['{"sum": 1500}', "1,500", true],
    ["Munich and PARIS", "paris, munich", true],
    ["Munich", "Paris, Munich", false],
    ["10, 000 people", "10000", false],
    ["10, 000 people", "10 000", true],
    [" Kenya ", "kenya", true],
    ["", "x", false],
  ])("match(%j, %j) is %j", (output, goldenText, expected) => {
    expect(match(output, goldenText)).toBe(expected);
  });
});
