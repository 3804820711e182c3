/**
 * Variants of the heavy kernels: each agrees with the cpu reference and repeats its bits on every adapter that can run it,
 * values and gradients; what can not run is refused.
 */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { paramBytes } from "../../packages/tensor/src/backends/webgpu/codegen.ts";
import { matmulCalls } from "../../packages/tensor/src/ops/matmul-calls.ts";
import { Draw } from "../helpers/draw.ts";
import { attentionCases } from "../helpers/network-cases.ts";
import { productCases } from "../helpers/op-cases.ts";
import { floats, halved, type OpCase } from "../helpers/problem.ts";
import { gradientOnce, matchOnce } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const available = (await requireGpu()) !== undefined;
const device = available ? await t.createDevice({ device: "webgpu" }) : undefined;
afterAll(() => device?.destroy());

const cases: OpCase[] = [
  ...productCases,
  ...attentionCases,
  ...[
    [33, 36, 65],
    [64, 520, 40],
    [100, 7, 1],
    [130, 1040, 67],
    [3, 1030, 37],
    [1, 2052, 16],
    [17, 4101, 5],
  ].map(([m, k, n]): OpCase => {
    return {
      name: `matmul [${m}, ${k}]·[${k}, ${n}]`,
      tolerance: "long matmul",
      gradient: true,
      draw: (draw) => ({
        operands: [floats(draw, [m, k], { layout: "plain" }), floats(draw, [n, k], { layout: "plain" })],
        run: ([a, b]) => t.matmul(a, b, { transposeB: true }),
      }),
    };
  }),
];

describe.skipIf(!device)("variants of kernels on webgpu", () => {
  describe.each(["tiles", "subgroups", "shared"] as const)("%s", (variant) => {
    const choose = () =>
      t.chooseVariants(device!, { matmul: variant, attention: variant === "shared" ? "tiles" : variant });
    const able = () => {
      try {
        choose();
        return true;
      } catch {
        return false;
      }
    };

    test.skipIf(!device || !able()).each(cases)("$name agrees with the reference", async (testCase) => {
      choose();
      for (const seed of [3, 4, 5]) {
        const problem = testCase.draw(new Draw(seed));
        await matchOnce(testCase, problem, device!);
        await gradientOnce(testCase, problem, device!);
      }
    });

    const half = device?.report.features.includes("shader-f16") ?? false;
    const halfCases = cases.filter(({ name }) => /few rows|1030|\[33,/.test(name));
    test.skipIf(!half || !able()).each(halfCases)("$name agrees in f16", async (testCase) => {
      choose();
      for (const seed of [6, 7, 8])
        await matchOnce(testCase, halved(testCase.draw(new Draw(seed))), device!, "f16");
    });

    test.skipIf(!device || !able())("tells kernels their numbers inside the command: 64 bytes", () => {
      choose();
      for (const [m, k, n] of [
        [1, 64, 64],
        [8, 64, 64],
        [100, 7, 3],
        [100, 64, 64],
      ]) {
        const [a, b, bt] = [
          [m, k],
          [k, n],
          [n, k],
        ].map((shape) => t.zeros(shape, { device }));
        const out = t.zeros([m, n], { device });
        for (const right of [b, t.transpose(bt)]) {
          const [{ key, source }] = matmulCalls(a, right, out);
          expect(paramBytes(source()), key).toBeLessThanOrEqual(64);
        }
        for (const x of [a, b, bt, out]) x.dispose();
      }
    });

    test.skipIf(!device || !able())("gives the same bits again", async () => {
      choose();
      const a = t.randomNormal(t.key(1), [70, 1030], { device });
      // Many rows, few rows, one column; each long enough to be cut.
      for (const rows of [70, 3, 1]) {
        const product = () =>
          t.scope(() => t.matmul(a, t.slice(a, [0, 0], [rows, 1030]), { transposeB: true }));
        const [one, two] = [product(), product()];
        expect(await one.data()).toEqual(await two.data());
        for (const y of [one, two]) y.dispose();
      }
      a.dispose();
    });
  });

  test("the choice is what is said", () => {
    t.chooseVariants(device!, { matmul: "tiles", attention: "tiles" });
    expect(t.kernelVariants(device!)).toEqual({ matmul: "tiles", attention: "tiles" });
  });

  test("captured functions are recorded anew with another choice", async () => {
    const x = t.randomNormal(t.key(2), [70, 40], { device });
    using f = t.capture((x: t.Tensor) => t.matmul(x, x, { transposeB: true }), { fuse: false });
    for (const matmul of ["tiles", "shared", "tiles"] as const) {
      t.chooseVariants(device!, { matmul, attention: "tiles" });
      const [y, expected] = [f(x), t.matmul(x, x, { transposeB: true })];
      expect(await y.data()).toEqual(await expected.data());
      for (const one of [y, expected]) one.dispose();
    }
    expect(f.recordings).toBe(2);
    x.dispose();
  });

  test("another name is refused", () => {
    const wrong = { matmul: "fast", attention: "tiles" } as unknown as t.KernelVariants;
    expect(() => t.chooseVariants(device!, wrong)).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: chooseVariants: matmul is the string "fast", expected "tiles" or "subgroups" or "shared". Take what runs now: kernelVariants(device).]`,
    );
  });
});
