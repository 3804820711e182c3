import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupAdvantages, turnAdvantages } from "../../packages/pact/src/advantages.ts";
import { type GoldenTensor, goldenCases, rowsOf } from "./golden.ts";

const near = (actual: number, expected: number) =>
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-7 * Math.max(1, Math.abs(expected)));

describe("golden group advantages", () => {
  it.each(goldenCases("rl_losses.json", "advantage").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const { tokenRewards, mask, groups } = entry.inputs as Record<string, GoldenTensor>;
      const rewards = rowsOf(tokenRewards).map((row) => row.reduce((sum, value) => sum + value, 0));
      const { estimator, normByStd = true } = entry.attrs;
      const advantages = groupAdvantages(rewards, groups.data, {
        estimator: estimator as "grpo" | "rloo",
        normByStd: normByStd as boolean,
      });
      const masks = rowsOf(mask);
      rowsOf((entry.outputs as Record<string, GoldenTensor>).advantages).forEach((row, rollout) => {
        row.forEach((value, token) => {
          near(advantages[rollout] * masks[rollout][token], value);
        });
      });
    },
  );
});

describe("golden turn advantages", () => {
  it.each(goldenCases("rl_losses.json", "turn_advantages").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const inputs = entry.inputs as Record<string, GoldenTensor>;
      const outputs = entry.outputs as Record<string, GoldenTensor>;
      const rewards = rowsOf(inputs.turnRewards).map((row, k) => row.slice(0, inputs.numTurns.data[k]));
      const result = turnAdvantages(rewards, inputs.groups.data, { gamma: entry.attrs.gamma as number });
      result.trajectory.forEach((value, k) => {
        near(value, outputs.trajectory.data[k]);
      });
      rowsOf(outputs.discounted).forEach((row, k) => {
        row.forEach((value, t) => {
          near(result.discounted[k][t] ?? 0, value);
        });
      });
      rowsOf(outputs.turn).forEach((row, k) => {
        row.forEach((value, t) => {
          near(result.turn[k][t] ?? 0, value);
        });
      });
      const turnIndex = rowsOf(inputs.turnIndex);
      rowsOf(outputs.advantages).forEach((row, k) => {
        row.forEach((value, n) => {
          near(turnIndex[k][n] < 0 ? 0 : result.combined[k][turnIndex[k][n]], value);
        });
      });
      rowsOf(outputs.matchtirAdvantages).forEach((row, k) => {
        row.forEach((value, n) => {
          near(turnIndex[k][n] < 0 ? 0 : result.combined[k][turnIndex[k][n]] / 2, value);
        });
      });
    },
  );
});

describe("advantages", () => {
  const reward = fc.double({ min: -3, max: 3, noNaN: true });

  it("A^g does not change when all rewards shift, and is bounded by (K − 1)/√K", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 2, maxLength: 8 }), (tenths) => {
        const rewards = tenths.map((value) => value / 10);
        const groups = rewards.map(() => 3);
        const plain = groupAdvantages(rewards, groups);
        const shifted = groupAdvantages(
          rewards.map((value) => value + 5),
          groups,
        );
        plain.forEach((value, k) => {
          expect(shifted[k]).toBeCloseTo(value, 6);
          expect(Math.abs(value)).toBeLessThanOrEqual(
            (rewards.length - 1) / Math.sqrt(rewards.length) + 1e-9,
          );
        });
      }),
    );
  });

  it("identical rollouts give exactly 0", () => {
    fc.assert(
      fc.property(
        fc.array(reward, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 2, max: 8 }),
        (turns, count) => {
          const result = turnAdvantages(new Array(count).fill(turns), new Array(count).fill(0));
          for (const value of [...result.trajectory, ...result.combined.flat()]) expect(value).toBe(0);
        },
      ),
    );
    expect(groupAdvantages(new Array(8).fill(0.7), new Array(8).fill(0))).toEqual(new Array(8).fill(0));
    expect(groupAdvantages([0.1, 0.1, 0.1], [0, 0, 0], { estimator: "rloo" })).toEqual([0, 0, 0]);
  });

  it("a turn reached by one rollout keeps its raw return or gets nothing", () => {
    const rewards = [
      [1, 1],
      [1, 1, 0.5],
    ];
    expect(turnAdvantages(rewards, [0, 0]).turn[1][2]).toBeCloseTo(0.5, 5);
    expect(turnAdvantages(rewards, [0, 0], { soloTurn: "zero" }).turn[1][2]).toBe(0);
  });

  it("groups do not see each other and their order does not matter", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.array(reward, { minLength: 1, maxLength: 4 })), {
          minLength: 1,
          maxLength: 9,
        }),
        (rollouts) => {
          const together = turnAdvantages(
            rollouts.map(([, turns]) => turns),
            rollouts.map(([group]) => group),
          );
          for (const group of new Set(rollouts.map(([id]) => id))) {
            const members = rollouts.flatMap(([id], index) => (id === group ? [index] : []));
            const alone = turnAdvantages(
              members.map((index) => rollouts[index][1]),
              members.map(() => 0),
            );
            members.forEach((index, order) => {
              expect(together.combined[index]).toEqual(alone.combined[order]);
            });
          }
        },
      ),
    );
  });

  it("refuses rewards that are not finite and missing groups", () => {
    expect(() => groupAdvantages([Number.NaN], [0])).toThrowErrorMatchingInlineSnapshot(
      `[AdvantageError: Advantages: the reward of rollout 0 is NaN, expected a finite number. Check the reward function.]`,
    );
    expect(() => turnAdvantages([[1]], [])).toThrowErrorMatchingInlineSnapshot(
      `[AdvantageError: Advantages: received 1 rollouts but 0 group ids. Pass one group id per rollout.]`,
    );
  });
});
