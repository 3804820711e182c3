/** Losses with an expert or a teacher: CHORD, LUFFY, distillation between contexts, the denominator of r^h. */
import { logSoftmax, mul, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chordMix, chordPhiLosses } from "../../../packages/pact/src/losses/chord.ts";
import { reinforceLosses } from "../../../packages/pact/src/losses/cispo.ts";
import { frozenRatio } from "../../../packages/pact/src/losses/denominator.ts";
import {
  distillationAdvantages,
  distillationEstimates,
  distillationKl,
} from "../../../packages/pact/src/losses/distillation.ts";
import { luffyLosses, shapedRatio } from "../../../packages/pact/src/losses/luffy.ts";
import { policyLosses } from "../../../packages/pact/src/losses/policy.ts";
import { cpuDevice } from "../device.ts";
import { type GoldenTensor, goldenCases } from "../golden.ts";

const device = await cpuDevice();
const f64 = (values: readonly number[]) => tensor(Float64Array.from(values), { device });
const gradientOf = async (f: (x: Tensor) => Tensor, x: readonly number[]) =>
  Array.from(await valueAndGrad((t: Tensor) => sum(f(t)))(f64(x)).grads.data(), Number);
const expectNear = (actual: ArrayLike<number>, expected: readonly number[]) =>
  expected.forEach((value, i) => {
    expect(actual[i]).toBeCloseTo(value, 10);
  });

describe("CHORD", () => {
  it.each(goldenCases("rl_losses.json", "chord_phi").map((entry) => [entry.name, entry] as const))(
    "golden %s: gradients are −w sg[p (1 − p)]",
    async (_, entry) => {
      const { logProbs, mask } = entry.inputs as Record<string, GoldenTensor>;
      const expected = entry.grads!.logProbs.data;
      const gradient = await gradientOf(chordPhiLosses, logProbs.data);
      // The weight of a token is what the golden gradient divides by: the same within a row, 0 where masked.
      expected.forEach((value, n) => {
        const firstOfRow = n - (n % mask.shape[1]);
        const weight = expected[firstOfRow] / gradient[firstOfRow];
        expect(value).toBeCloseTo(mask.data[n] * weight * gradient[n], 10);
      });
    },
  );

  it("φ leaves tokens alone that are certain either way, and pulls hardest at p = 1/2", async () => {
    const at = async (p: number) => -(await gradientOf(chordPhiLosses, [Math.log(p)]))[0];
    expect(await at(1)).toBe(0);
    expect(await at(0.5)).toBeCloseTo(0.25, 12);
    for (const p of [1e-6, 0.1, 0.4, 0.6, 0.99]) expect(await at(p)).toBeLessThan(0.25);
  });

  it("mixes two terms by μ", async () => {
    for (const [mu, mixed] of [
      [0, 3],
      [1, 5],
      [0.1, 3.2],
    ])
      expect(await chordMix(f64([3]), f64([5]), mu).item()).toBeCloseTo(mixed, 12);
    expect(() => chordMix(f64([3]), f64([5]), 1.5)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: chordMix: mu is 1.5, expected a number from 0 to 1. Default 0.1.]`,
    );
  });
});

describe("LUFFY", () => {
  it("shapes a probability to p/(p + γ), with slope γ/(p + γ)²", async () => {
    const p = [0.001, 0.1, 0.9];
    const logs = p.map(Math.log);
    expectNear(
      await shapedRatio(f64(logs)).data(),
      p.map((value) => value / (value + 0.1)),
    );
    // d/d log p = p d/dp
    expectNear(
      await gradientOf((x) => shapedRatio(x), logs),
      p.map((value) => (value * 0.1) / (value + 0.1) ** 2),
    );
    expect(() => shapedRatio(f64(logs), 0)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: shapedRatio: gamma is 0, expected a positive number. Default 0.1.]`,
    );
  });

  it("uses it at expert tokens, unclipped, and the clipped surrogate elsewhere", async () => {
    const [fresh, old, advantages] = [
      [-2, -0.2, -3],
      [0, -1, 0],
      [1.5, 1.5, -0.5],
    ];
    const expert = tensor([true, false, true], { device });
    const actual = await luffyLosses(f64(fresh), f64(old), f64(advantages), expert).data();
    const plain = await policyLosses(f64(fresh), f64(old), f64(advantages)).data();
    const shaped = (p: number, a: number) => (-p / (p + 0.1)) * a;
    expectNear(actual, [shaped(Math.exp(-2), 1.5), Number(plain[1]), shaped(Math.exp(-3), -0.5)]);
    const gradient = await gradientOf((x) => luffyLosses(x, f64(old), f64(advantages), expert), fresh);
    expect(gradient[0]).toBeLessThan(0); // raised although far below the clip range
    expect(gradient[1]).toBe(0); // raised enough
  });
});

describe("distillation", () => {
  const student = [0.3, -1.1, 0.8, 1.7, -0.4];
  const teacher = [1.0, 0.4, -0.7, 0.9, -1.3];
  const softmax = (logits: readonly number[]) => {
    const total = logits.reduce((sum, value) => sum + Math.exp(value), 0);
    return logits.map((value) => Math.exp(value) / total);
  };
  const kl = (p: readonly number[], q: readonly number[]) =>
    p.reduce((total, value, v) => total + value * Math.log(value / q[v]), 0);
  const S = softmax(student);
  const T = softmax(teacher);

  it("forward, reverse and JSD equal loops over the vocabulary", async () => {
    const of = (options: Parameters<typeof distillationKl>[2]) =>
      distillationKl(f64(student), f64(teacher), options).item();
    expect(await of({})).toBeCloseTo(kl(T, S), 12);
    expect(await of({ divergence: "reverse" })).toBeCloseTo(kl(S, T), 12);
    for (const beta of [0.5, 0.2]) {
      const mixture = T.map((value, v) => beta * value + (1 - beta) * S[v]);
      expect(await of({ divergence: "jsd", beta })).toBeCloseTo(
        beta * kl(T, mixture) + (1 - beta) * kl(S, mixture),
        12,
      );
    }
  });

  it("is 0 at equality, never negative, and JSD is symmetric and at most ln 2", async () => {
    const logits = fc.array(fc.integer({ min: -80, max: 80 }), { minLength: 4, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(logits, logits, async (first, second) => {
        for (const divergence of ["forward", "reverse", "jsd"] as const) {
          expect(await distillationKl(f64(first), f64(first), { divergence }).item()).toBeCloseTo(0, 12);
          const value = await distillationKl(f64(first), f64(second), { divergence }).item();
          expect(value).toBeGreaterThanOrEqual(-1e-12);
          if (divergence !== "jsd") continue;
          expect(value).toBeLessThanOrEqual(Math.log(2) + 1e-12);
          const swapped = await distillationKl(f64(second), f64(first), { divergence }).item();
          expect(swapped).toBeCloseTo(value, 12);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("JSD takes tokens of no probability; no gradient reaches the teacher", async () => {
    const masked = [0, 1, Number.NEGATIVE_INFINITY];
    const jsd = await distillationKl(f64(masked), f64([1, 0, Number.NEGATIVE_INFINITY]), {
      divergence: "jsd",
    }).item();
    expect(jsd).toBeGreaterThan(0);
    for (const divergence of ["forward", "reverse", "jsd"] as const) {
      const gradient = await gradientOf((x) => distillationKl(x, x, { divergence }), student);
      expectNear(gradient, [0, 0, 0, 0, 0]); // at equality: 0, as if the teacher were a constant
      const both = valueAndGrad((p: { s: Tensor; t: Tensor }) => distillationKl(p.s, p.t, { divergence }));
      const { grads } = both({ s: f64(student), t: f64(teacher) });
      expect(await grads.t.data()).toEqual(new Float64Array(5));
    }
  });

  it("per-token estimates and advantages have the mean gradient of the exact reverse KL", async () => {
    const exact = await gradientOf(
      (x) => distillationKl(x, f64(teacher), { divergence: "reverse" }),
      student,
    );
    const logT = f64(T.map(Math.log));
    const mean = (losses: (x: Tensor) => Tensor) =>
      gradientOf((x) => mul(f64(S), losses(logSoftmax(x))), student);
    expectNear(await mean((x) => distillationEstimates(x, logT)), exact);
    expectNear(await mean((x) => reinforceLosses(x, distillationAdvantages(x, logT))), exact);
  });

  it("refuses other divergences and limits of β", () => {
    const one = f64([0]);
    expect(() => distillationKl(one, one, { divergence: "tv" as "jsd" })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: distillationKl: no divergence "tv". Take one of forward, reverse, jsd.]`,
    );
    expect(() => distillationKl(one, one, { divergence: "jsd", beta: 1 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: distillationKl: beta is 1, expected a number between 0 and 1; the limits are forward and reverse. Default 0.5.]`,
    );
  });
});

describe("the denominator of r^h", () => {
  const trace = [-1, -2, -0.5];
  const prompt = [-1.5, -1, -2];
  const ratios = async (oldLogProbs: readonly number[]) =>
    Array.from(
      await policyLosses(f64(trace), f64(oldLogProbs), f64([-1, -1, -1]), { dualClip: null }).data(),
      Number,
    );

  it("under trace the first ratio is exactly 1; under behaviour it is the exponentiated gap", async () => {
    const own = frozenRatio(trace, prompt);
    expect(own).toMatchObject({ oldLogProbs: trace, factors: [1, 1, 1] });
    expect(own.contextGap).toBeCloseTo((0.5 + 1 + 1.5) / 3, 12);
    expect(await ratios(own.oldLogProbs)).toEqual([1, 1, 1]);
    const behaviour = frozenRatio(trace, prompt, "behaviour");
    expectNear(await ratios(behaviour.oldLogProbs), [Math.exp(0.5), 0.8, Math.exp(1.5)]); // A < 0: clipped from below
    expect(behaviour.factors).toEqual([1, 1, 1]);
  });

  it("traceTruncated keeps the denominator and caps a constant factor", () => {
    const { oldLogProbs, factors } = frozenRatio(trace, prompt, "traceTruncated", 2);
    expect(oldLogProbs).toEqual(trace);
    expectNear(factors, [Math.exp(0.5), Math.exp(-1), 2]);
    expect(frozenRatio(trace, trace, "traceTruncated").factors).toEqual([1, 1, 1]); // an empty trace
  });

  it("refuses tokens that differ, numbers that are none and other names", () => {
    expect(() => frozenRatio([1], [])).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: frozenRatio: received 1 and 0 tokens and cap 2; expected the same tokens in both contexts and a positive cap. Score the rollout in both.]`,
    );
    expect(() => frozenRatio([1], [Number.NaN])).toThrow("frozenRatio: oldPrompt: element 0 is NaN");
    expect(() => frozenRatio([1], [1], "none" as "trace")).toThrow('no denominator "none"');
    expect(() => frozenRatio([], []).contextGap).not.toThrow();
  });
});
