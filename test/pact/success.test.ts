import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { successTable } from "../../packages/pact/src/cli/summary.ts";
import type { DecodingResult, EvaluationResult } from "../../packages/pact/src/run-sink.ts";
import { successScores } from "../../packages/pact/src/success.ts";

/** Every subset of k of a list. */
function subsets<T>(values: readonly T[], k: number): T[][] {
  if (k === 0) return [[]];
  return values.flatMap((value, index) =>
    subsets(values.slice(index + 1), k - 1).map((rest) => [value, ...rest]),
  );
}

const attempts = fc.integer({ min: 1, max: 5 });
const tasksOf = (n: number) =>
  fc.array(fc.array(fc.boolean(), { minLength: n, maxLength: n }), { minLength: 1, maxLength: 6 });

describe("successScores", () => {
  it("is the share of subsets of k attempts with one success, and with successes alone", () => {
    fc.assert(
      fc.property(
        attempts.chain((n) => fc.tuple(fc.constant(n), tasksOf(n))),
        ([n, tasks]) => {
          const { passAtK, passHatK } = successScores([tasks], n);
          const share = (k: number, holds: (own: boolean[]) => boolean) => {
            const shares = tasks.map((own) => {
              const all = subsets(own, k);
              return all.filter(holds).length / all.length;
            });
            return shares.reduce((a, b) => a + b) / shares.length;
          };
          expect(passAtK.map(({ k }) => k)).toEqual(Array.from({ length: n }, (_, index) => index + 1));
          for (let k = 1; k <= n; k++) {
            expect(passAtK[k - 1].mean).toBeCloseTo(
              share(k, (own) => own.some(Boolean)),
              12,
            );
            expect(passHatK[k - 1].mean).toBeCloseTo(
              share(k, (own) => own.every(Boolean)),
              12,
            );
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("at k = 1 is the average; pass@k rises and pass^k falls with k; the order of attempts does not matter", () => {
    fc.assert(
      fc.property(tasksOf(4), (tasks) => {
        const scores = successScores([tasks], 4);
        expect(scores.passAtK[0].mean).toBeCloseTo(scores.success.mean, 12);
        expect(scores.passHatK[0].mean).toBeCloseTo(scores.success.mean, 12);
        for (let k = 1; k < 4; k++) {
          expect(scores.passAtK[k].mean).toBeGreaterThanOrEqual(scores.passAtK[k - 1].mean - 1e-12);
          expect(scores.passHatK[k].mean).toBeLessThanOrEqual(scores.passHatK[k - 1].mean + 1e-12);
        }
        for (const { low, mean, high } of [scores.success, ...scores.passAtK, ...scores.passHatK])
          expect(low <= mean + 1e-12 && mean <= high + 1e-12).toBe(true);
        expect(successScores([tasks.map((own) => [...own].reverse())], 4)).toEqual(scores);
      }),
      { numRuns: 40 },
    );
  });
});

describe("successTable", () => {
  const decoding = (tasks: boolean[][]) =>
    ({ attempts: tasks[0].length, ...successScores([tasks], tasks[0].length) }) as DecodingResult;
  const at = (step: number, tasks: boolean[][]): EvaluationResult => ({
    step,
    sampled: decoding(tasks),
    greedy: decoding([[true], [true]]),
    tokens: 1,
    time: { seconds: 1 },
  });
  const plain = (_: string, text: string) => text;

  it("shows every evaluation with avg@k, pass@k and pass^k", () => {
    const none = [
      [false, false],
      [false, false],
    ];
    const some = [
      [true, false],
      [true, true],
    ];
    const [head, before, after, ...rest] = successTable([at(0, none), at(5, some)], plain);
    expect(head.trim().split(/\s+/)).toEqual(["Success", "greedy", "avg@2", "pass@2", "pass^2"]);
    expect(before).toMatch(/^ {2}step 0 +1\.000 \[0\.158, 1\.000\] +0\.000 \[0\.000, 0\.842\]/);
    expect(after).toMatch(/step 5 .* 0\.750 \[.* 1\.000 \[.* 0\.500 \[/);
    expect(rest).toEqual([]);
    expect(successTable([], plain)).toEqual([]);
  });

  it("shows the sampled share alone where there is one attempt", () => {
    const [head] = successTable([at(0, [[true], [false]])], plain);
    expect(head.trim().split(/\s+/)).toEqual(["Success", "greedy", "sampled"]);
  });
});
