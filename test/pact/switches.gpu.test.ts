/** Switches as whole objectives on webgpu in f32: packed equals one by one, and both equal cpu in f64. */
import { initParams } from "@pact/nn";
import { key, setDefaultDevice } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import type { TrainConfig } from "../../packages/pact/src/config.ts";
import { requireGpu } from "../helpers/require.ts";
import { gradientAt, scriptedRollouts } from "./batches.ts";
import { cpuDevice, tinyModel } from "./device.ts";

const gpu = await requireGpu();
const cpu = await cpuDevice();

const cases: Partial<TrainConfig>[] = [
  {},
  { traceRendering: "reference", traceContext: "scheduled", klCoefficient: 0.3 },
  { traceComponents: ["calls", "observations"], anchor: "mix", policyLoss: "gspo" },
  { ratioDenominator: "behaviour" },
  { ratioDenominator: "traceTruncated", anchor: "none" },
  { method: "chord" },
  { entropyWeight: 0.1, rolloutAverage: "token-mean" },
];

describe.skipIf(!gpu)("switches on webgpu", () => {
  it.each(cases.map((given) => [JSON.stringify(given), given] as const))("%s", async (_, given) => {
    const model = await tinyModel(1);
    const rollouts = await scriptedRollouts();
    const exact = await gradientAt(model, model, rollouts, given);
    setDefaultDevice(gpu!);
    try {
      const params = initParams(model.config, key(1), { device: gpu! });
      const single = { config: model.config, params };
      const packed = await gradientAt(single, single, rollouts, given);
      const apart = await gradientAt(single, single, rollouts, { ...given, pack: false });
      const scale = Math.max(...exact.flat.map(Math.abs));
      for (const [loss, flat] of [
        [packed.loss, packed.flat],
        [apart.loss, apart.flat],
      ] as const) {
        expect(Math.abs(loss - exact.loss)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(exact.loss)));
        const worst = flat.reduce((most, value, i) => Math.max(most, Math.abs(value - exact.flat[i])), 0);
        expect(worst).toBeLessThanOrEqual(2e-5 * scale);
      }
      for (const value of Object.values(params)) value.dispose();
    } finally {
      setDefaultDevice(cpu);
    }
  });
});
