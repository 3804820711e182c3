/** The table of kernels and the notes of runs on a device, and `pact doctor --tune`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDevice, type Device, kernelVariants, variantsVersion } from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import {
  goOnWithKernels,
  kernelsOf,
  useKernelTable,
  writeKernelTable,
} from "../../packages/pact/src/cli/kernel-table.ts";
import { RunFolderError } from "../../packages/pact/src/cli/run-folder.ts";
import { tune, tuneText } from "../../packages/pact/src/cli/tune.ts";
import { requireGpu } from "../helpers/require.ts";

const available = (await requireGpu()) !== undefined;
const folder = mkdtempSync(join(tmpdir(), "pact-kernels-"));
const plain = { matmul: "tiles", attention: "tiles" } as const;
afterAll(() => rmSync(folder, { recursive: true }));

async function withDevice(use: (device: Device, lines: string[]) => unknown): Promise<void> {
  const device = await createDevice({ device: "webgpu" });
  try {
    await use(device, []);
  } finally {
    device.destroy();
  }
}

describe.skipIf(!available)("kernels chosen from outside", () => {
  test("a device runs what the table says of its adapter, and nothing else", () =>
    withDevice((device, lines) => {
      const path = join(folder, "kernels.json");
      const before = kernelVariants(device);
      writeKernelTable(path, "another adapter", plain);
      useKernelTable(device, (line) => lines.push(line), path);
      expect([kernelVariants(device), lines]).toEqual([before, []]);
      writeKernelTable(path, device.report.adapterName, plain);
      useKernelTable(device, (line) => lines.push(line), path);
      expect(kernelVariants(device)).toEqual(plain);
      expect(lines).toEqual([`kernels as ${path} says: matmul tiles, attention tiles`]);
    }));

  test("a run goes on with its kernels, or is refused", () =>
    withDevice((device, lines) => {
      const adapter = device.report.adapterName;
      const note = (line: string) => lines.push(line);
      goOnWithKernels("runs/1", device, { version: variantsVersion, ...plain, adapter }, note);
      expect(kernelsOf(device)).toEqual({ version: variantsVersion, ...plain, adapter });
      expect(lines).toEqual([]);
      const old = { version: 1, ...plain, adapter };
      expect(() => goOnWithKernels("runs/1", device, old, note)).toThrow(RunFolderError);
      expect(() => goOnWithKernels("runs/1", device, old, note)).toThrow(
        /delete "kernels" in its config\.json/,
      );
      // Another adapter has other bits anyhow.
      goOnWithKernels("runs/1", device, { ...old, adapter: "another" }, note);
      goOnWithKernels("runs/1", device, undefined, note);
      expect(lines).toEqual([
        "the run does not say which kernels it was computed with: it may go on with other bits",
      ]);
    }));

  test(
    "tuning measures what the adapter can run and chooses from it",
    () =>
      withDevice(async (device) => {
        const { rows, variants } = await tune(device);
        expect(rows.every(({ ms }) => ms > 0)).toBe(true);
        expect(kernelVariants(device)).toEqual(variants);
        for (const operation of ["matmul", "attention"] as const) {
          const own = rows.filter((row) => row.operation === operation);
          const best = own.reduce((a, b) => (b.ms < a.ms ? b : a));
          expect(variants[operation]).toBe(best.variant);
        }
        expect(tuneText(rows, variants).match(/chosen/g)).toHaveLength(2);
      }),
    400_000,
  );
});
