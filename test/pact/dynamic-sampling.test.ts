import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dynamicSample } from "../../packages/pact/src/dynamic-sampling.ts";

describe("dynamic sampling", () => {
  it("keeps whole groups whose success differs, drops the others, and asks for what is missing", () => {
    expect(dynamicSample([1, 0, 1, 1, 0, 0], [4, 9, 4, 9, 2, 2], { wanted: 3, round: 1 })).toEqual({
      kept: [9],
      dropped: [4, 2],
      missing: 2,
      sampleAgain: true,
    });
  });

  it("stops after the last round, and keeps no more than wanted", () => {
    expect(dynamicSample([1, 1], [0, 0], { wanted: 1, round: 3 })).toMatchObject({
      kept: [],
      sampleAgain: false,
    });
    expect(dynamicSample([1, 1], [0, 0], { wanted: 1, round: 1, maxRounds: 1 }).sampleAgain).toBe(false);
    const many = dynamicSample([1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 2, 2], { wanted: 2, round: 1 });
    expect(many).toEqual({ kept: [0, 1], dropped: [], missing: 0, sampleAgain: false });
  });

  it("does not depend on how rollouts interleave; a group of one is dropped", () => {
    const rollouts = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 2 })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(rollouts, (list) => {
        const { kept, dropped } = dynamicSample(
          list.map(([, success]) => success),
          list.map(([group]) => group),
          { wanted: 5, round: 1 },
        );
        const of = (group: number) =>
          new Set(list.filter(([id]) => id === group).map(([, success]) => success));
        for (const group of kept) expect(of(group).size).toBeGreaterThan(1);
        for (const group of dropped) expect(of(group).size).toBe(1);
        expect([...kept, ...dropped].sort()).toEqual([...new Set(list.map(([id]) => id))].sort());
      }),
    );
  });

  it("refuses counts and successes that are none", () => {
    expect(() =>
      dynamicSample([Number.NaN], [0], { wanted: 1, round: 1 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[AdvantageError: dynamicSample: the success of rollout 0 is NaN, expected a finite number. Check the measure.]`,
    );
    expect(() => dynamicSample([], [], { wanted: 0, round: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[AdvantageError: dynamicSample: wanted is 0, expected a positive whole number. The first round is 1.]`,
    );
    expect(() => dynamicSample([1], [], { wanted: 1, round: 1 })).toThrow("1 rollouts but 0 group ids");
  });
});
