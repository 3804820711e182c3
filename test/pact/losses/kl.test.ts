/** KL estimators against the exact divergence of a policy small enough to enumerate. */
import { add, logSoftmax, mul, sub, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  exactKlPenalties,
  type KlEstimator,
  klEstimators,
  klPenalties,
} from "../../../packages/pact/src/losses/kl.ts";
import { cpuDevice } from "../device.ts";
import { type GoldenTensor, goldenCases } from "../golden.ts";

const device = await cpuDevice();
const f64 = (values: readonly number[]) => tensor(Float64Array.from(values), { device });

/** A policy and a reference over five tokens. */
const logits = [0.3, -1.1, 0.8, 1.7, -0.4];
const referenceLogits = [1.0, 0.4, -0.7, 0.9, -1.3];
const normalised = (values: readonly number[]) => {
  const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
  return values.map((value) => value - total);
};
const logP = normalised(logits);
const logQ = normalised(referenceLogits);
const p = logP.map(Math.exp);
const exact = p.reduce((total, share, v) => total + share * (logP[v] - logQ[v]), 0);

/** Mean over the policy of the estimator and of its gradient with respect to the logits: tokens are samples. */
async function meanOf(estimator: KlEstimator) {
  const { value, grads } = valueAndGrad((x: Tensor) =>
    sum(mul(f64(p), klPenalties(logSoftmax(x), f64(logQ), estimator))),
  )(f64(logits));
  return { value: await value.item(), gradient: Array.from(await grads.data(), Number) };
}
const gradientOf = async (f: (x: Tensor) => Tensor) =>
  Array.from(await valueAndGrad(f)(f64(logits)).grads.data(), Number);
const expectNear = (actual: readonly number[], expected: readonly number[]) =>
  expected.forEach((value, i) => {
    expect(actual[i]).toBeCloseTo(value, 12);
  });

describe("golden kl_penalty", () => {
  it.each(goldenCases("rl_losses.json", "kl_penalty").map((entry) => [entry.name, entry] as const))(
    "%s",
    async (_, entry) => {
      const { newLogProbs, refLogProbs } = entry.inputs as Record<string, GoldenTensor>;
      const estimator = entry.attrs.estimator as KlEstimator;
      const penalties = (x: Tensor) => klPenalties(x, f64(refLogProbs.data), estimator);
      const values = await penalties(f64(newLogProbs.data)).data();
      const { grads } = valueAndGrad((x: Tensor) => sum(mul(penalties(x), f64(entry.gradOutput!.data))))(
        f64(newLogProbs.data),
      );
      const near = (actual: ArrayLike<number>, expected: readonly number[]) =>
        expected.forEach((value, i) => {
          expect(Math.abs(actual[i] - value)).toBeLessThanOrEqual(1e-7 * Math.max(1, Math.abs(value)));
        });
      near(values, (entry.outputs as Record<string, GoldenTensor>).kl.data);
      near(await grads.data(), entry.grads!.newLogProbs.data);
    },
  );
});

describe("means over an enumerable policy", () => {
  it("of k1, k3 and k3+ are the exact KL", async () => {
    expect(await exactKlPenalties(f64(logits), f64(referenceLogits)).item()).toBeCloseTo(exact, 12);
    for (const estimator of ["k1", "k1+", "k3", "k3+"] as const)
      expect((await meanOf(estimator)).value).toBeCloseTo(exact, 12);
  });

  it("of sampled tokens come near it, k3 with less variance than k1", async () => {
    let state = 12345;
    const uniform = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const count = 40_000;
    const samples = Array.from({ length: count }, () => {
      let rest = uniform();
      const found = p.findIndex((share) => {
        rest -= share;
        return rest < 0;
      });
      return found < 0 ? p.length - 1 : found;
    });
    const spread: number[] = [];
    for (const estimator of ["k1", "k3"] as const) {
      const of = (table: readonly number[]) => f64(samples.map((v) => table[v]));
      const values = Array.from(await klPenalties(of(logP), of(logQ), estimator).data(), Number);
      const mean = values.reduce((a, b) => a + b, 0) / count;
      const deviation = Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / count);
      expect(Math.abs(mean - exact)).toBeLessThan((4 * deviation) / Math.sqrt(count));
      spread.push(deviation);
    }
    expect(spread[1]).toBeLessThan(spread[0]);
  });

  it("of the gradient: k2's (and of every +) is that of the exact KL, k1's is 0, k3's that of KL(ref ‖ π)", async () => {
    const ofExact = await gradientOf((x) => sum(exactKlPenalties(x, f64(referenceLogits))));
    for (const estimator of ["k2", "k1+", "k3+", "abs+"] as const)
      expectNear((await meanOf(estimator)).gradient, ofExact);
    expectNear((await meanOf("k1")).gradient, [0, 0, 0, 0, 0]);
    const q = f64(logQ.map(Math.exp));
    const ofReverse = await gradientOf((x) => sum(mul(q, sub(f64(logQ), logSoftmax(x)))));
    expectNear((await meanOf("k3")).gradient, ofReverse);
  });

  it("a step against the gradient of a positive coefficient lowers the KL", async () => {
    const { gradient } = await meanOf("k2");
    const moved = add(f64(logits), mul(f64(gradient), -0.1));
    expect(await exactKlPenalties(moved, f64(referenceLogits)).item()).toBeLessThan(exact);
  });
});

describe("estimators", () => {
  const logProb = fc.double({ min: -30, max: 0, noNaN: true });

  it("are 0 at equality; k2, k3 and abs are never negative; a + changes no value", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(logProb, logProb), { minLength: 1, maxLength: 8 }),
        async (pairs) => {
          const [fresh, reference] = [0, 1].map((side) => f64(pairs.map((pair) => pair[side])));
          for (const estimator of klEstimators) {
            for (const value of await klPenalties(fresh, fresh, estimator).data()) expect(value + 0).toBe(0);
            const values = await klPenalties(fresh, reference, estimator).data();
            if (estimator.startsWith("k1")) continue;
            for (const value of values) expect(value).toBeGreaterThanOrEqual(0);
          }
          expect(await klPenalties(fresh, reference, "k3+").data()).toEqual(
            await klPenalties(fresh, reference, "k3").data(),
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it("refuses an unknown name", () => {
    expect(() => klPenalties(f64([0]), f64([0]), "k4" as KlEstimator)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: klPenalties: no estimator "k4". Take one of k1, k2, k3, abs, k1+, k3+, abs+.]`,
    );
  });
});
