import { activeChunkCount } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  callWeight,
  chordMu,
  isAnchored,
  learningRate,
  prefixLevel,
} from "../../packages/pact/src/schedules.ts";
import { type GoldenTensor, goldenCases } from "./golden.ts";

describe("golden schedules", () => {
  it.each(goldenCases("rl_losses.json", "pact_schedule").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const { step } = entry.inputs as Record<string, GoldenTensor>;
      const { lambda, level } = entry.outputs as Record<string, GoldenTensor>;
      const { horizon, lambdaStart, lambdaEnd } = entry.attrs as Record<string, number>;
      step.data.forEach((s, index) => {
        expect(callWeight(s, horizon, lambdaStart, lambdaEnd)).toBeCloseTo(lambda.data[index], 12);
        expect(prefixLevel(s, horizon)).toBe(level.data[index]);
      });
    },
  );

  it.each(goldenCases("rl_losses.json", "pact_gate").map((entry) => [entry.name, entry] as const))(
    "%s",
    (_, entry) => {
      const { uniform } = entry.inputs as Record<string, GoldenTensor>;
      const { gate } = entry.outputs as Record<string, GoldenTensor>;
      expect(uniform.data.map((draw) => Number(isAnchored(draw, entry.attrs.q as number)))).toEqual(
        gate.data,
      );
    },
  );
});

describe("CHORD's μ", () => {
  it.each(goldenCases("rl_losses.json", "chord_mu_schedule").map((entry) => [entry.name, entry] as const))(
    "golden %s",
    (_, entry) => {
      const { step } = entry.inputs as Record<string, GoldenTensor>;
      const { mu } = entry.outputs as Record<string, GoldenTensor>;
      step.data.forEach((s, index) => {
        expect(chordMu(s, entry.attrs as Record<string, number>)).toBeCloseTo(mu.data[index], 12);
      });
    },
  );

  it("falls from peak to valley without a rise, also with no steps to fall in", () => {
    const values = Array.from({ length: 300 }, (_, step) => chordMu(step));
    expect(values[0]).toBe(0.9);
    expect(values.at(-1)).toBe(0.05);
    for (let step = 1; step < 300; step++) expect(values[step]).toBeLessThanOrEqual(values[step - 1]);
    expect(chordMu(0, { decay: 0 })).toBe(0.05);
    expect(() => chordMu(-1)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: chordMu: received step -1, warmup 0, decay 200, peak 0.9, valley 0.05; expected counts of steps from 0, and shares from 0 to 1. Correct the one outside.]`,
    );
    expect(() => chordMu(0, { peak: 1.5 })).toThrow("peak 1.5");
  });
});

describe("schedules", () => {
  it("the learning rate warms up, peaks and ends at its final fraction", () => {
    const at = (step: number) =>
      learningRate({ step, steps: 10, peak: 2, warmupSteps: 3, finalFraction: 0.3 });
    expect(at(0)).toBeCloseTo(0.5, 12);
    expect(at(3)).toBeCloseTo(2, 12);
    expect(at(9)).toBeCloseTo(0.6, 12);
  });

  it("refuses a horizon of nothing", () => {
    expect(() => prefixLevel(0, 0)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: prefixLevel: expected step ≥ 0 and a positive horizon, received step 0 and horizon 0. Pass the 0-based step and the total number of steps.]`,
    );
  });
});

describe("prefix levels", () => {
  const chunks = fc.array(fc.constantFrom("task_restate", "other", "explicit_call_preview"), {
    maxLength: 9,
  });

  it("are cumulative, start at nothing, end before the first preview, and never count a cut chunk", () => {
    fc.assert(
      fc.property(chunks, (types) => {
        const counts = ([0, 1, 2, 3, 4] as const).map((level) => activeChunkCount(types, level));
        const preview = types.indexOf("explicit_call_preview");
        expect(counts[0]).toBe(0);
        expect(counts[4]).toBe(preview < 0 ? types.length : preview);
        for (let level = 1; level <= 4; level++) {
          expect(Number.isInteger(counts[level])).toBe(true);
          expect(counts[level]).toBeGreaterThanOrEqual(counts[level - 1]);
        }
      }),
    );
    expect([0, 1, 2, 3, 4].map((level) => activeChunkCount(["a", "b", "c"], level as 0))).toEqual([
      0, 1, 2, 3, 3,
    ]);
  });
});
