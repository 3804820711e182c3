/** The latent-trace view: exact sums, the bound, its gap, and both gradients by Fisher's identity. */
import { mul, sum, tensor } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LatentTables, latentGradients, latentView } from "../../packages/pact/src/latent.ts";
import { cpuDevice } from "./device.ts";

const device = await cpuDevice();
const names = ["traceFirst", "traceSecond", "rolloutFirst", "rolloutSecond"] as const;

/** Tables over `H` trace and `T` rollout tokens, filled from a list of numbers in turn. */
function tablesOf(H: number, T: number, numbers: readonly number[]): LatentTables {
  let next = 0;
  const table = (...shape: number[]) =>
    tensor(
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => numbers[next++ % numbers.length]),
      { shape, device },
    );
  return {
    traceFirst: table(H),
    traceSecond: table(H, H),
    rolloutFirst: table(H, H, T),
    rolloutSecond: table(H, H, T, T),
  };
}
const numbers = fc.array(
  fc.integer({ min: -30, max: 30 }).map((value) => value / 10),
  { minLength: 7, maxLength: 40 },
);

describe("latent-trace view", () => {
  it("sums to 1, the bound never exceeds the likelihood, and the gap is −log p(h|τ,x)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom([2, 3], [3, 2], [3, 3]), numbers, async ([H, T], values) => {
        const view = latentView(tablesOf(H, T, values));
        const read = async (name: keyof typeof view) => Array.from(await view[name].data(), Number);
        const mass = (logs: readonly number[]) => logs.reduce((total, value) => total + Math.exp(value), 0);
        expect(mass(await read("logTrace"))).toBeCloseTo(1, 12);
        expect(mass(await read("logTau"))).toBeCloseTo(1, 12);
        expect(mass(await read("logPosterior"))).toBeCloseTo(T * T, 11);
        const [gap, logPosterior] = [await read("gap"), await read("logPosterior")];
        gap.forEach((value, i) => {
          expect(value).toBeGreaterThanOrEqual(-1e-12);
          expect(value).toBeCloseTo(-logPosterior[i], 12);
        });
      }),
      { numRuns: 30 },
    );
  });

  it("is tight where every trace but one is impossible", async () => {
    const tables = tablesOf(2, 2, [0.3, -0.2, 0.9]);
    const certain = {
      ...tables,
      traceFirst: tensor(Float64Array.of(800, 0), { device }),
      traceSecond: tensor(Float64Array.of(800, 0, 0, 0), { shape: [2, 2], device }),
    };
    const gap = Array.from(await latentView(certain).gap.data(), Number);
    for (const rollout of [0, 1, 2, 3]) expect(gap[rollout * 4]).toBeCloseTo(0, 12);
  });

  it("the likelihood's gradient is the posterior mean of the bounds' gradients", async () => {
    const tables = tablesOf(2, 3, [0.7, -1.2, 0.4, 1.9, -0.3, 0.1, -2.2]);
    const posterior = await latentView(tables).logPosterior.data();
    const rollout = 5;
    for (const name of names) {
      const expected = new Float64Array(tables[name].size);
      for (let trace = 0; trace < 4; trace++) {
        const share = Math.exp(Number(posterior[rollout * 4 + trace]));
        const bound = await latentGradients(tables, rollout, trace).bound[name].data();
        bound.forEach((value, i) => {
          expected[i] += share * Number(value);
        });
      }
      (await latentGradients(tables, rollout, 0).logTau[name].data()).forEach((value, i) => {
        expect(Number(value)).toBeCloseTo(expected[i], 12);
      });
    }
  });

  it("central differences confirm both gradients", async () => {
    const tables = tablesOf(2, 2, [0.7, -1.2, 0.4, 1.9, -0.3]);
    const gradients = latentGradients(tables, 2, 1);
    for (const name of names) {
      const flat = Array.from(await tables[name].data(), Number);
      const [first, second] = [await gradients.logTau[name].data(), await gradients.bound[name].data()];
      for (let i = 0; i < flat.length; i++) {
        const moved = async (by: number) => {
          const table = tensor(Float64Array.from(flat.with(i, flat[i] + by)), {
            shape: tables[name].shape,
            device,
          });
          const view = latentView({ ...tables, [name]: table });
          return [Number((await view.logTau.data())[2]), Number((await view.bound.data())[2 * 4 + 1])];
        };
        const [up, down] = [await moved(1e-6), await moved(-1e-6)];
        expect(Number(first[i])).toBeCloseTo((up[0] - down[0]) / 2e-6, 8);
        expect(Number(second[i])).toBeCloseTo((up[1] - down[1]) / 2e-6, 8);
      }
    }
  });

  it("with A < 0, lowering the bound by its gradient can raise the likelihood", async () => {
    // What the view does not promise: the two gradients may point apart.
    const tables = tablesOf(2, 2, [2.5, -1.2, 0.4, 1.9, -2.3, 0.6, -0.9]);
    const products: number[] = [];
    for (let rollout = 0; rollout < 4; rollout++) {
      for (let trace = 0; trace < 4; trace++) {
        const { logTau, bound } = latentGradients(tables, rollout, trace);
        let product = 0;
        for (const name of names) product += await sum(mul(logTau[name], bound[name])).item();
        products.push(product);
      }
    }
    expect(Math.min(...products)).toBeLessThan(0);
    expect(Math.max(...products)).toBeGreaterThan(0);
  });

  it("refuses tables that do not fit and indices outside", () => {
    const tables = tablesOf(2, 3, [0]);
    expect(() =>
      latentView({ ...tables, rolloutFirst: tables.traceSecond }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: latent tables: rolloutFirst has shape [2,2], expected [2,2,3]. Logits over 2 trace and 3 rollout tokens.]`,
    );
    expect(() => latentGradients(tables, 9, 0)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: latentGradients: received rollout 9 and trace 0, expected whole numbers below 9 and 4. The index of (a, b) is a · vocabulary + b.]`,
    );
    expect(() => latentGradients(tables, 0, 4)).toThrow("trace 4");
  });
});
