import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultConfig, type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { ConfigError } from "../../packages/pact/src/errors.ts";
import { type Method, methods } from "../../packages/pact/src/methods.ts";
import { switchCases } from "./batches.ts";

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

  it.each([
    [{ method: "sft", reward: "outcome" }, /needs a method that trains on rollouts/],
    [{ method: "vanilla", innerUpdates: 2 }, /needs a method that trains/],
    [{ method: "grpo", advantage: "rloo" }, /fixes advantage to grpo/],
    [{ method: "chord", sftWeight: 1 }, /needs prompts trained behind their trace/],
    [
      { anchorProbability: 1, traceContext: "safe" },
      /needs .*some traceComponents.*anchorProbability below 1/,
    ],
    [{ anchor: "none", anchorProbability: 0.3 }, /needs anchor gate/],
    [{ anchorWeight: 0.3 }, /needs anchor mix/],
    [{ gamma: 0.5, advantage: "grpo" }, /needs .*advantage turn/],
    [{ gamma: 0.5, maxTurns: 1 }, /needs maxTurns above 1/],
    [{ advantageEpsilon: 0.1, advantage: "rloo" }, /needs an advantage divided by a deviation/],
    [{ truncation: 3 }, /needs ratioDenominator traceTruncated/],
    [{ traceComponents: ["calls"], traceContext: "safe" }, /needs reasoning among the traceComponents/],
    [{ traceComponents: [], traceRendering: "reference" }, /needs some traceComponents/],
    [{ traceRendering: "reference", traceDelimiter: "question" }, /needs traceRendering turns/],
    [{ callSchedule: "fixed", callWeightEnd: 0.5 }, /needs callSchedule scale/],
    [{ callSchedule: "none", callWeightStart: 0.5 }, /needs a callSchedule other than none/],
    [{ reasoningSchedule: "none", reasoningTags: "exclude" }, /needs a reasoningSchedule other than none/],
    [{ sftWeight: 0, sftNormaliser: "count" }, /needs .*sftWeight above 0/],
    [{ chordWeight: 0.3 }, /needs .*method chord/],
    [{ method: "chord", chordVariant: "mu", chordWeight: 0.3 }, /needs chordVariant phi/],
    [{ clipHigh: 0.3 }, /needs .*innerUpdates above 1/],
    [{ innerUpdates: 2, policyLoss: "gspo", dualClip: 3 }, /needs a policyLoss that takes it/],
    [{ policyLoss: "gspo" }, /needs ratios other than 1/],
    [{ klEstimator: "k2" }, /needs klCoefficient above 0/],
    [{ pack: false, tokenBudget: 100 }, /needs pack true/],
    [{ traceContext: "scheduled", reasoningSchedule: "fixed" }, /needs reasoningSchedule segment/],
    [{ policyLoss: "reinforce", ratioDenominator: "behaviour" }, /no ratio/],
    [{ method: "sft-matchtir", steps: 1 }, /at least one step for each/],
    [{ loraAlpha: 16 }, /loraAlpha is 16, which has no effect: it needs loraRank above 0/],
    [{ loraTargets: ["q_proj"] }, /needs loraRank above 0/],
    [{ loraRank: 8, loraAlpha: 0 }, /loraAlpha is 0, so the adapters of loraRank count for nothing/],
    [{ method: "vanilla", loraRank: 8 }, /needs a method that trains/],
    [{ method: "vanilla", activationCheckpointing: true }, /needs a method that trains/],
    [{ precision: "bf16" }, /precision must be one of f32, f16, received bf16/],
    [{ loraRank: 2.5 }, /loraRank must be a whole number/],
    [{ loraRank: 2, loraTargets: "q_proj" }, /must be a list of layer names.*received q_proj/],
    [{ loraRank: 2, loraTargets: ["q_proj", "q_proj"] }, /each at most once/],
    [{ loraRank: 2, loraTargets: ["../q"] }, /must be a list of layer names/],
    [{ traceComponents: ["calls", "calls"] }, /each at most once, received \[calls, calls\]/],
    [{ traceComponents: ["final"] }, /must be a list of reasoning, calls, observations/],
  ] as [object, RegExp][])("refuses %j", (options, message) => {
    expect(() => trainConfig(options)).toThrow(message);
    expect(() => trainConfig(options)).toThrow(ConfigError);
  });

  it("accepts what it returned, unchanged, for every method and switch", () => {
    const switches: Partial<TrainConfig>[] = [
      ...(Object.keys(methods) as Method[]).map((method) => ({ method })),
      ...switchCases.map((given) => ({ innerUpdates: 2, ...given })),
    ];
    for (const given of switches) {
      const config = trainConfig(given);
      expect(trainConfig(config)).toEqual(config);
      expect(trainConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
    }
  });

  it("gives adapters the weight 1 unless told otherwise", () => {
    expect(trainConfig({ loraRank: 8 })).toMatchObject({ loraAlpha: 8, loraTargets: [] });
    expect(trainConfig({ loraRank: 8, loraAlpha: 16 }).loraAlpha).toBe(16);
    const given: Partial<TrainConfig> = { loraRank: 8, loraTargets: ["q_proj"], precision: "f16" };
    const config = trainConfig(given);
    expect(trainConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it("takes one budget for all methods, and no steps under vanilla", () => {
    const budget = { steps: 7, promptsPerStep: 3, rolloutsPerPrompt: 2, maxTurns: 4, learningRate: 1e-4 };
    for (const method of Object.keys(methods) as Method[]) {
      const expected = method === "vanilla" ? { ...budget, steps: 0 } : budget;
      expect(trainConfig({ method, ...budget })).toMatchObject(expected);
    }
  });

  it("a policy loss brings its own clip", () => {
    expect(trainConfig({ policyLoss: "gspo", innerUpdates: 2 })).toMatchObject({
      clipLow: 3e-4,
      clipHigh: 4e-4,
      dualClip: null,
    });
    expect(trainConfig({ policyLoss: "gspo", innerUpdates: 2, clipHigh: 0.1 }).clipHigh).toBe(0.1);
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
