/** Model folders on webgpu: the same values arrive there, in f32 and in f16, in whole tensors and in pieces. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forwardHidden, initParams, loadModel, logits, packSequences, saveModel } from "@pact/nn";
import { createDevice, key } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { llama, models, randomParams } from "./models.ts";

const device = await requireGpu();
const host = await createDevice({ device: "cpu" });
const root = mkdtempSync(join(tmpdir(), "pact-gpu-models-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const f16 = device?.report.features.includes("shader-f16") ?? false;
if (device && !f16) console.warn(`f16 parts skipped: ${device.report.adapterName} lacks shader-f16`);
const ids = packSequences([[3, 1, 4, 1, 5, 9, 2, 6]]);

describe.skipIf(!device)("loadModel on webgpu", () => {
  it.each(models)("$name: the logits are those of the cpu device", async ({ name, config }) => {
    const folder = join(root, name);
    await saveModel(folder, { config, params: randomParams(config, host) }, { dtype: "F16" });
    const exact = await loadModel(folder, { device: host, dtype: "f64" });
    const expected = await logits(config, exact.params, forwardHidden(config, exact.params, ids)).data();
    const differences = async (dtype: "f32" | "f16") => {
      const { params } = await loadModel(folder, { device: device!, dtype });
      for (const [key, value] of Object.entries(params)) {
        expect(value.dtype).toBe(dtype);
        expect(Array.from(await value.data())).toEqual(Array.from(await exact.params[key].data()));
      }
      const scores = logits(config, params, forwardHidden(config, params, ids));
      const actual = await scores.data();
      for (const value of [scores, ...Object.values(params)]) value.dispose();
      return Math.max(...expected.map((value, i) => Math.abs(actual[i] - value)));
    };
    expect(await differences("f32")).toBeLessThan(2e-5);
    // docs/numerics.md
    if (f16) expect(await differences("f16")).toBeLessThan(1e-2);
  });

  it("a tensor of several pieces arrives row by row, and goes back the same", async () => {
    const config = { ...llama, vocabSize: 2 ** 19 + 5 }; // 6.3 M elements in the embedding, two pieces
    const [from, to] = [join(root, "pieces"), join(root, "pieces-again")];
    const params = initParams(config, key(1), { device: host });
    await saveModel(from, { config, params });
    const loaded = await loadModel(from, { device: device! });
    const name = "model.embed_tokens.weight";
    const [a, b] = [await params[name].data(), await loaded.params[name].data()];
    expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer))).toBe(0);
    await saveModel(to, loaded);
    const again = await loadModel(to, { device: host });
    const c = await again.params[name].data();
    expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(c.buffer))).toBe(0);
    for (const value of Object.values(loaded.params)) value.dispose();
  });

  it.skipIf(!f16)("refuses what f16 can not hold", async () => {
    const folder = join(root, "wide");
    const params = initParams(llama, key(1), { device: host, std: 1e5 });
    await saveModel(folder, { config: llama, params });
    const before = device!.memory().liveTensors;
    await expect(loadModel(folder, { device: device!, dtype: "f16" })).rejects.toThrow(
      /which F16 can not hold/,
    );
    expect(device!.memory().liveTensors).toBe(before);
  });
});
