/** Properties of the policy losses: ratios of 1, masks, micro-batches, clips with either sign of A, refused options. */
import { mul, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type PolicyLossName,
  policyLoss,
  policyLossRegistry,
} from "../../../packages/pact/src/losses/policy-registry.ts";
import { sequenceLengths, sequenceMeans } from "../../../packages/pact/src/losses/sequences.ts";
import { cpuDevice } from "../device.ts";

const device = await cpuDevice();
const f64 = (values: readonly number[]) => tensor(Float64Array.from(values), { device });
const names = Object.keys(policyLossRegistry) as PolicyLossName[];

/** Sixty-fourths: halves of them are exact, which subnormal numbers are not. */
const number = (min: number, max: number) =>
  fc.integer({ min: min * 64, max: max * 64 }).map((value) => value / 64);

/** One sampled token; its rollout is one of three. */
const token = fc.record({
  fresh: number(-6, 0),
  old: number(-6, 0),
  advantage: number(-2, 2),
  sequence: fc.integer({ min: 0, max: 2 }),
  weight: number(1, 4),
});
type Token = typeof token extends fc.Arbitrary<infer T> ? T : never;
const batch = fc.array(token, { minLength: 1, maxLength: 9 });

/** Σ w ℓ and its gradient. */
async function lossOf(name: PolicyLossName, tokens: readonly Token[]) {
  const of = (key: keyof Token) => f64(tokens.map((t) => t[key]));
  const { value, grads } = valueAndGrad((newLogProbs: Tensor) =>
    sum(
      mul(
        of("weight"),
        policyLossRegistry[name].losses({
          newLogProbs,
          oldLogProbs: of("old"),
          advantages: of("advantage"),
          sequences: tokens.map((t) => t.sequence),
        }),
      ),
    ),
  )(of("fresh"));
  // + 0: the sign of a zero is none of the promises.
  return { loss: (await value.item()) + 0, gradient: Array.from(await grads.data(), (g) => Number(g) + 0) };
}

const gradientOf = async (name: PolicyLossName, logRatio: number, advantage: number) => {
  const one = { fresh: logRatio - 1, old: -1, advantage, sequence: 0, weight: 1 };
  return (await lossOf(name, [one])).gradient[0];
};

describe("before the first update", () => {
  it.each(names)("%s has ratios of exactly 1: gradient −A, nothing clipped", async (name) => {
    await fc.assert(
      fc.asyncProperty(batch, async (tokens) => {
        const same = tokens.map((t) => ({ ...t, old: t.fresh }));
        const { loss, gradient } = await lossOf(name, same);
        gradient.forEach((value, i) => {
          expect(value).toBe(0 - same[i].weight * same[i].advantage);
        });
        if (policyLossRegistry[name].ratio !== "none" && name !== "cispo")
          expect(loss).toBe((await sum(f64(same.map((t) => 0 - t.weight * t.advantage))).item()) + 0);
        const columns = {
          newLogProbs: same.map((t) => t.fresh),
          oldLogProbs: same.map((t) => t.old),
          advantages: same.map((t) => t.advantage),
          sequences: same.map((t) => t.sequence),
        };
        expect(policyLossRegistry[name].statistics(columns)).toEqual({
          approximateKl: 0,
          clipFraction: 0,
          dualClipFraction: 0,
        });
      }),
      { numRuns: 40 },
    );
  });
});

describe("masked tokens and micro-batches", () => {
  it.each(names)("%s: tokens of weight 0 in no rollout change nothing and get exactly 0", async (name) => {
    await fc.assert(
      fc.asyncProperty(batch, batch, batch, async (tokens, masked, other) => {
        const hide = (list: readonly Token[]) => list.map((t) => ({ ...t, weight: 0, sequence: -1 }));
        const some = await lossOf(name, [...tokens, ...hide(masked)]);
        // The same number of masked tokens with other numbers: bit for bit the same.
        const others = await lossOf(name, [
          ...tokens,
          ...hide(masked.map((_, i) => other[i % other.length])),
        ]);
        expect(others).toEqual(some);
        for (const gradient of some.gradient.slice(tokens.length)) expect(gradient).toBe(0);
        expect((await lossOf(name, tokens)).loss).toBeCloseTo(some.loss, 10);
      }),
      { numRuns: 25 },
    );
  });

  it.each(names)("%s: any split by rollout, in any order, gives the same loss and gradient", async (name) => {
    await fc.assert(
      fc.asyncProperty(
        batch,
        fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
        async (tokens, sides) => {
          const whole = await lossOf(name, tokens);
          const parts = [true, false].map((side) =>
            tokens.flatMap((t, i) => (sides[t.sequence] === side ? [i] : [])),
          );
          let loss = 0;
          for (const indices of parts.filter((part) => part.length > 0)) {
            const part = await lossOf(name, indices.map((i) => tokens[i]).reverse());
            loss += part.loss;
            part.gradient.reverse().forEach((value, order) => {
              expect(Math.abs(value - whole.gradient[indices[order]])).toBeLessThan(
                1e-9 * Math.max(1, Math.abs(value)),
              );
            });
          }
          expect(Math.abs(loss - whole.loss)).toBeLessThan(1e-9 * Math.max(1, Math.abs(loss)));
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("clipping", () => {
  it.each(["vanilla", "gspo"] as const)("%s never pushes a ratio further out of its range", async (name) => {
    expect(await gradientOf(name, 0.3, 1)).toBe(0); // raised enough
    expect(await gradientOf(name, -0.3, -1)).toBe(0); // lowered enough
    expect(await gradientOf(name, -0.3, 1)).toBeCloseTo(-Math.exp(-0.3), 12); // still to be raised
    expect(await gradientOf(name, 0.3, -1)).toBeCloseTo(Math.exp(0.3), 12); // still to be lowered
  });

  it("the dual clip bounds the loss of tokens with A < 0, and only theirs", async () => {
    const lossAt = async (logRatio: number, advantage: number, dualClip: number | null) =>
      policyLossRegistry.vanilla
        .losses(
          { newLogProbs: f64([logRatio]), oldLogProbs: f64([0]), advantages: f64([advantage]) },
          { dualClip },
        )
        .item();
    expect(await lossAt(2, -1, 3)).toBe(3);
    expect(await lossAt(2, -1, null)).toBeCloseTo(Math.exp(2), 12);
    for (const logRatio of [-2, -0.1, 0.1, 2])
      expect(await lossAt(logRatio, 1, 1.01)).toBe(await lossAt(logRatio, 1, null));
    expect(await gradientOf("vanilla", 2, -1)).toBe(0);
    expect(await gradientOf("gspo", 2, -1)).toBeCloseTo(Math.exp(2), 12); // it has none
  });

  it("cispo bounds the weight of a token's gradient and never cuts it to 0", async () => {
    for (const advantage of [1, -1]) {
      expect(await gradientOf("cispo", 2, advantage)).toBeCloseTo(-1.2 * advantage, 12);
      expect(await gradientOf("cispo", -2, advantage)).toBeCloseTo(-Math.exp(-2) * advantage, 12);
    }
  });

  it("log-ratios far out stay finite", async () => {
    for (const name of names) {
      for (const logRatio of [-800, 800]) {
        const { loss, gradient } = await lossOf(name, [
          { fresh: logRatio, old: 0, advantage: -1, sequence: 0, weight: 1 },
        ]);
        expect(Number.isFinite(loss) && Number.isFinite(gradient[0])).toBe(true);
      }
    }
  });
});

describe("means over rollouts", () => {
  it("equal a loop, whatever the order of tokens; tokens of none get 0", async () => {
    const values = [1, 2, 4, 8, 16];
    expect(await sequenceMeans(f64(values), [2, 0, 2, -1, 0]).data()).toEqual(
      Float64Array.of(2.5, 9, 2.5, 0, 9),
    );
    expect(sequenceLengths([2, 0, 2, -1, 0], 5)).toEqual([2, 0, 2]);
    expect(sequenceLengths([], 0)).toEqual([]);
  });
});

describe("refused", () => {
  const one = { newLogProbs: [-1], oldLogProbs: [-1], advantages: [1] };
  const onDevice = { newLogProbs: f64([-1]), oldLogProbs: f64([-1]), advantages: f64([1]) };

  it("unknown names, and names of object properties", () => {
    expect(() => policyLoss("ppo")).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: policyLoss: no policy loss "ppo". Take one of vanilla, gspo, cispo, reinforce.]`,
    );
    expect(() => policyLoss("constructor")).toThrow("no policy loss");
    for (const name of names) expect(policyLoss(name)).toBe(policyLossRegistry[name]);
  });

  it("options without effect or out of range", () => {
    expect(() => policyLoss("cispo").losses(onDevice, { dualClip: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: cispo: dualClip is 3, but this policy loss takes clipLow, clipHigh. Leave dualClip out.]`,
    );
    expect(() =>
      policyLoss("reinforce").statistics(one, { clipLow: 0.2 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: reinforce: clipLow is 0.2, but this policy loss takes no clip options. Leave clipLow out.]`,
    );
    expect(() =>
      policyLoss("vanilla").losses(onDevice, { dualClip: 0.5 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vanilla: dualClip is 0.5, expected a number from 1. Correct it.]`,
    );
    expect(() => policyLoss("vanilla").losses(onDevice, { clipHigh: Number.NaN })).toThrow("clipHigh is NaN");
  });

  it("a ratio per rollout without rollouts", () => {
    expect(() => policyLoss("gspo").losses(onDevice)).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: sequences: received 0 ids for 1 tokens. Pass the rollout of each token, −1 for none.]`,
    );
    expect(() => sequenceLengths([0.5], 1)).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: sequences: token 0 has the id 0.5, expected a whole number from −1. Number the rollouts 0, 1, …]`,
    );
  });

  it("host numbers that are none, at the first of them", () => {
    expect(() =>
      policyLoss("vanilla").statistics({ ...one, oldLogProbs: [Number.NaN] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[NonFiniteError: vanilla: oldLogProbs: element 0 is NaN, expected a finite number. Look at the forward pass that made it: debug() of @pact/tensor names the first operation with such a result.]`,
    );
  });
});
