import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultConfig, type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";

describe("trainConfig", () => {
  it("is the defaults without options, and has a declared range or choice for each of them", () => {
    expect(trainConfig()).toEqual(defaultConfig);
    for (const name of Object.keys(defaultConfig) as (keyof TrainConfig)[]) {
      expect(() => trainConfig({ [name]: {} as never }), name).toThrow(new RegExp(name));
      expect(() => trainConfig({ [name]: Number.NaN as never }), name).toThrow(new RegExp(name));
    }
  });

  it("refuses unknown options and values out of range, and says what is allowed", () => {
    expect(() => trainConfig({ rollouts: 3 } as never)).toThrow(/Unknown training option "rollouts"/);
    expect(() => trainConfig({ steps: 1.5 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Option steps must be a whole number from 1 to 1000000000, received 1.5.]`,
    );
    expect(() => trainConfig({ method: "ppo" as never })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Option method must be one of vanilla, sft, grpo, ftrl, toolrl, chord, matchtir, sft-matchtir, pact, received ppo.]`,
    );
    expect(() => trainConfig({ dualClip: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Option dualClip must be null or a number above 1, received 1.]`,
    );
  });

  it("refuses options that contradict each other", () => {
    expect(() =>
      trainConfig({ reasoningSchedule: "none", callSchedule: "none" }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: reasoningSchedule and callSchedule are both none, which leaves the SFT term without a token. To train without it, set sftWeight to 0 instead.]`,
    );
    expect(() =>
      trainConfig({ method: "matchtir", anchorProbability: 0.5 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Method "matchtir" fixes anchorProbability to 1, but it is 0.5. Leave it out, or use method "pact".]`,
    );
    expect(trainConfig({ method: "matchtir" }).anchorProbability).toBe(1);
  });

  it("never throws anything but a ConfigError, whatever it is given", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(defaultConfig)), fc.anything()), (options) => {
        try {
          trainConfig(options as Partial<TrainConfig>);
        } catch (error) {
          expect((error as { code?: string }).code).toBe("config");
        }
      }),
    );
  });
});
