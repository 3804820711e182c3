import { AdamW, clipScale, globalNorm, ParameterError, type Params } from "@pact/nn";
import { createDevice, square, sum, tensor, valueAndGrad } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const device = await createDevice({ device: "cpu" });
const f64 = (values: number[], shape: number[]) =>
  tensor(Float64Array.from(values), { shape, dtype: "f64", device });

/** A matrix that decays, a vector that does not, and sizes that leave gaps in the arena. */
const initial: Record<string, { values: number[]; shape: number[] }> = {
  w: { values: [1, -2, 3, -4, 5, -6], shape: [2, 3] },
  b: { values: [0.5, -0.25, 1, 2, 3], shape: [5] },
  s: { values: [7], shape: [] },
};
const make = (): Params =>
  Object.fromEntries(Object.entries(initial).map(([name, { values, shape }]) => [name, f64(values, shape)]));

describe("AdamW", () => {
  it("follows the algorithm element by element, with clipping and decay of matrices only", async () => {
    const options = { beta1: 0.8, beta2: 0.9, eps: 1e-3, weightDecay: 0.2, clipNorm: 2 };
    const optimizer = new AdamW(make(), options);
    const expected = Object.fromEntries(
      Object.entries(initial).map(([name, { values }]) => [name, values.map((x) => ({ x, m: 0, v: 0 }))]),
    );
    for (let step = 1; step <= 4; step++) {
      const learningRate = 0.1 / step;
      // Large gradients first, so that some steps are clipped and some are not.
      const gradientOf = (name: string, i: number) => Math.sin(3 * i + step + name.length) / step ** 2;
      const grads = Object.fromEntries(
        Object.entries(initial).map(([name, { values, shape }]) => [
          name,
          f64(
            values.map((_, i) => gradientOf(name, i)),
            shape,
          ),
        ]),
      );
      const norm = await optimizer.step(grads, learningRate).item();
      const flat = Object.entries(expected).flatMap(([name, list]) =>
        list.map((_, i) => gradientOf(name, i)),
      );
      const trueNorm = Math.hypot(...flat);
      expect(norm).toBeCloseTo(trueNorm, 12);
      const scale = Math.min(1, options.clipNorm / (trueNorm + 1e-6));
      for (const [name, list] of Object.entries(expected)) {
        const decay = name === "w" ? options.weightDecay : 0;
        list.forEach((state, i) => {
          const g = gradientOf(name, i) * scale;
          state.m = options.beta1 * state.m + (1 - options.beta1) * g;
          state.v = options.beta2 * state.v + (1 - options.beta2) * g * g;
          const mean = state.m / (1 - options.beta1 ** step);
          const root = Math.sqrt(state.v / (1 - options.beta2 ** step));
          state.x -= learningRate * (mean / (root + options.eps) + decay * state.x);
        });
        const actual = await optimizer.params[name].data();
        list.forEach(({ x }, i) => {
          expect(actual[i]).toBeCloseTo(x, 12);
        });
      }
    }
    expect(optimizer.steps).toBe(4);
  });

  it("copies the parameters and leaves the given ones alone", async () => {
    const given = make();
    const optimizer = new AdamW(given);
    optimizer.step(make(), 1).dispose();
    expect(await given.w.data()).toEqual(Float64Array.from(initial.w.values));
    for (const parameter of Object.values(given)) parameter.dispose();
    expect((await optimizer.params.w.data()).length).toBe(6);
    expect(optimizer.params.s.shape).toEqual([]);
  });

  it("finds the minimum of a bowl from the gradients of its own parameters", async () => {
    const optimizer = new AdamW(make(), { weightDecay: 0 });
    const bowl = valueAndGrad((p: Params) => sum(square(p.w)));
    for (let step = 0; step < 300; step++) optimizer.step(bowl(optimizer.params).grads, 0.05).dispose();
    for (const x of await optimizer.params.w.data()) expect(Math.abs(x)).toBeLessThan(0.05);
    expect(await optimizer.params.b.data()).toEqual(Float64Array.from(initial.b.values)); // gradient 0, no decay
  });

  it("keeps the gaps of its arena at zero and gives all memory back", async () => {
    const before = device.memory();
    const given = make();
    const optimizer = new AdamW(given);
    const grads = make();
    optimizer.step(grads, 0.1).dispose();
    const arena = await optimizer.arena.data();
    expect(arena.length).toBe(192); // three parameters, each in a stretch of 64
    expect(
      [...arena.subarray(6, 64), ...arena.subarray(69, 128), ...arena.subarray(129)].every((x) => x === 0),
    ).toBe(true);
    optimizer.dispose();
    for (const used of [...Object.values(given), ...Object.values(grads)]) used.dispose();
    expect(device.memory()).toMatchObject({ liveBytes: before.liveBytes, liveTensors: before.liveTensors });
  });

  it.each<[object, RegExp]>([
    [{ beta1: 1 }, /AdamW: beta1 is 1, expected a number from 0 to below 1/],
    [{ beta2: -0.1 }, /beta2 is -0.1/],
    [{ eps: Number.NaN }, /eps is NaN, expected a finite number ≥ 0/],
    [{ weightDecay: -1 }, /weightDecay is -1/],
    [{ clipNorm: 0 }, /clipNorm is 0, expected a number above 0; for no clipping pass Infinity/],
    [{ clipNorm: Number.NaN }, /clipNorm is NaN/],
  ])("refuses settings that make no step: %j", (options, message) => {
    const before = device.memory().liveTensors;
    const w = tensor([1], { device });
    expect(() => new AdamW({ w }, options)).toThrow(message);
    w.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });

  it("refuses gradients that do not belong to its parameters, before anything changes", async () => {
    const optimizer = new AdamW(make());
    const { w: _, ...missing } = make();
    expect(() => optimizer.step(missing, 1)).toThrow(ParameterError);
    expect(() => optimizer.step(missing, 1)).toThrow(/"w" needs a gradient of shape \[2,3\], received none/);
    expect(() => optimizer.step({ ...make(), b: f64([1], [1]) }, 1)).toThrow(
      /"b" needs .* \[5\], received \[1\]/,
    );
    expect(await optimizer.params.w.data()).toEqual(Float64Array.from(initial.w.values));
    expect(optimizer.steps).toBe(0);
    expect(() => new AdamW({})).toThrow(/at least one parameter/);
  });
});

describe("clipScale", () => {
  it("brings a norm above the clip down to it and leaves others alone", async () => {
    const values = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(values, fc.double({ min: 0.01, max: 20, noNaN: true }), async (list, clip) => {
        const norm = globalNorm(f64(list, [list.length]));
        const scale = await clipScale(norm, clip).item();
        const length = await norm.item();
        expect(length * scale).toBeLessThanOrEqual(clip);
        if (length < clip - 1e-5) expect(scale).toBe(1);
        else expect(length * scale).toBeGreaterThan(clip - 2e-5 * Math.max(1, clip / Math.max(length, 1e-9)));
      }),
    );
    expect(await clipScale(f64([1e30], []), Number.POSITIVE_INFINITY).item()).toBe(1);
  });
});
