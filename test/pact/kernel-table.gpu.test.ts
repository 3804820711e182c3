/** The table of kernels and the notes of runs on a device, and `pact doctor --tune`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDevice, type Device, kernelVariants, variantsVersion } from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { explainRollout } from "../../packages/pact/src/cli/explain.ts";
import {
  goOnWithKernels,
  kernelsOf,
  repeatWithKernels,
  useKernelTable,
  writeKernelTable,
} from "../../packages/pact/src/cli/kernel-table.ts";
import { RunFolderError } from "../../packages/pact/src/cli/run-folder.ts";
import { tune, tuneText } from "../../packages/pact/src/cli/tune.ts";
import { requireGpu } from "../helpers/require.ts";
import { makeBase } from "./base.ts";
import { pact } from "./run-command.ts";

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

  test("what a run computed is computed again with its kernels, or it is said why not", () =>
    withDevice((device) => {
      const adapter = device.report.adapterName;
      const own = { version: variantsVersion, ...plain, adapter };
      expect(repeatWithKernels(device, own)).toBeUndefined();
      expect(kernelsOf(device)).toEqual(own);
      expect(repeatWithKernels(device, undefined)).toMatch(/does not say which kernels/);
      expect(repeatWithKernels(device, { ...own, adapter: "another" })).toBe(
        `computed on ${adapter}, the run on another`,
      );
      expect(repeatWithKernels(device, { ...own, version: 1 })).toMatch(
        /of version 1, this program has version/,
      );
    }));

  test("pact explain says where a run noted other kernels than it computes with", async () => {
    const base = join(folder, "base");
    const run = join(folder, "run");
    await makeBase(base);
    const sets = [
      "promptsPerStep=1",
      "rolloutsPerPrompt=2",
      "maxTurns=1",
      "maxTurnTokens=8",
      "maxRolloutTokens=40",
    ];
    const args = [
      "--model",
      base,
      "--device",
      "webgpu",
      "--eval-tasks",
      "4",
      "--steps",
      "1",
      "--run-dir",
      run,
    ];
    expect((await pact("train", ...args, ...sets.flatMap((set) => ["--set", set]), "--json")).code).toBe(0);
    const config = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
    const lines = readFileSync(join(run, "rollouts.jsonl"), "utf8").split("\n");
    const line = lines.findIndex((text) => text.includes('"train"')) + 1;
    const notes = async (kernels: object) => {
      const device = { ...config.device, kernels: { ...config.device.kernels, ...kernels } };
      writeFileSync(join(run, "config.json"), JSON.stringify({ ...config, device }));
      return (await explainRollout(run, String(line), { device: "run" }, () => {})).notes.join("\n");
    };
    expect(await notes({})).not.toContain("NOTE");
    expect(await notes(plain)).not.toContain("NOTE");
    expect(await notes({ adapter: "another" })).toMatch(
      /NOTE: computed on .*, the run on another: other rounding/,
    );
  });

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
