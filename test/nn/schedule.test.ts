import { constantSchedule, cosineSchedule, linearSchedule, wsdSchedule } from "@pact/nn";
import { ValueError } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

describe("schedules", () => {
  it("warm up linearly, moving from the first step", () => {
    const rate = constantSchedule({ peak: 2, warmup: 4 });
    expect([0, 1, 2, 3, 4, 100].map(rate)).toEqual([0.5, 1, 1.5, 2, 2, 2]);
  });

  it("linear reaches the middle half way and stays at the floor", () => {
    const rate = linearSchedule({ peak: 1, steps: 12, warmup: 2, finalFraction: 0.25 });
    expect([2, 7, 12, 50].map(rate)).toEqual([1, 0.625, 0.25, 0.25]);
  });

  it("cosine follows (1 + cos πp)/2", () => {
    const rate = cosineSchedule({ peak: 3, steps: 10 });
    for (const step of [0, 3, 5, 10])
      expect(rate(step)).toBeCloseTo((3 * (1 + Math.cos((Math.PI * step) / 10))) / 2, 14);
  });

  // torch.optim.lr_scheduler on SGD with lr 0.3, get_last_lr() before each step, PyTorch 1.13.
  it.each([
    {
      torch: "LinearLR(start_factor=0.25, total_iters=3)",
      rate: constantSchedule({ peak: 0.3, warmup: 4 }),
      expected: [0.075, 0.15, 0.225, 0.3, 0.3],
    },
    {
      torch: "LinearLR(1.0, 0.25, total_iters=8)",
      rate: linearSchedule({ peak: 0.3, steps: 8, finalFraction: 0.25 }),
      expected: [0.3, 0.271875, 0.24375, 0.215625, 0.1875, 0.159375, 0.13125, 0.103125, 0.075, 0.075],
    },
    {
      torch: "CosineAnnealingLR(T_max=8, eta_min=0.03)",
      rate: cosineSchedule({ peak: 0.3, steps: 8, finalFraction: 0.1 }),
      expected: [
        0.3, 0.28972373688902375, 0.2604594154601839, 0.21666226336928715, 0.165, 0.11333773663071289,
        0.0695405845398161, 0.04027626311097629, 0.03,
      ],
    },
    {
      torch: "SequentialLR([LinearLR(1/3, 1, 2), ConstantLR(1, 3), LinearLR(1, 0.1, 4)], [2, 5])",
      rate: wsdSchedule({ peak: 0.3, warmup: 3, steps: 9, decay: 4, finalFraction: 0.1 }),
      expected: [0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.2325, 0.165, 0.0975, 0.03, 0.03],
    },
  ])("are PyTorch's $torch", ({ rate, expected }) => {
    expected.forEach((value, step) => {
      expect(rate(step)).toBeCloseTo(value, 14);
    });
  });

  it("wsd decays by the root of its progress where asked to", () => {
    const rate = wsdSchedule({ peak: 1, steps: 20, decay: 4, shape: "sqrt" });
    expect([0, 16, 17, 20, 30].map(rate)).toEqual([1, 1, 0.5, 0, 0]);
    const whole = { peak: 0.2, steps: 10, warmup: 2 };
    for (const step of [0, 1, 2, 5, 9, 12])
      expect(wsdSchedule({ ...whole, decay: 8 })(step)).toBeCloseTo(linearSchedule(whole)(step), 15);
  });

  it("decay never rises after warm-up and stays within [floor, peak]", () => {
    const options = fc.record({
      peak: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      warmup: fc.nat(20),
      decay: fc.integer({ min: 1, max: 50 }),
      finalFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        options,
        fc.constantFrom(linearSchedule, cosineSchedule),
        ({ decay, ...rest }, schedule) => {
          const { peak, warmup, finalFraction } = rest;
          const rate = schedule({ ...rest, steps: warmup + decay });
          for (let step = warmup; step < warmup + decay + 3; step++) {
            expect(rate(step + 1)).toBeLessThanOrEqual(rate(step));
            expect(rate(step)).toBeLessThanOrEqual(peak);
            expect(rate(step)).toBeGreaterThanOrEqual(peak * finalFraction * (1 - 1e-12));
          }
        },
      ),
    );
  });

  it("refuse numbers that make no schedule", () => {
    expect(() => constantSchedule({ peak: -1 })).toThrow(ValueError);
    expect(() => linearSchedule({ peak: 1, steps: 5, warmup: 5 })).toThrow(
      /steps \(5\) must be above warmup \(5\)/,
    );
    expect(() => wsdSchedule({ peak: 1, steps: 5, warmup: 3, decay: 3 })).toThrow(
      /must fit into steps \(5\)/,
    );
    expect(() => wsdSchedule({ peak: 1, steps: 5, decay: 0 })).toThrow(ValueError);
    expect(() => linearSchedule({ peak: 1, steps: 5, finalFraction: 1.1 })).toThrow(/finalFraction is 1.1/);
    expect(() => cosineSchedule({ peak: Number.NaN, steps: 5 })).toThrow(/peak must be a finite number/);
  });
});
