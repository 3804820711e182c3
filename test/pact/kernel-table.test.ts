/** The table of kernels that `pact doctor --tune` writes, and the note of kernels in runs and checkpoints. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDevice, variantsVersion } from "@pact/tensor";
import { afterAll, expect, test } from "vitest";
import {
  goOnWithKernels,
  KernelTableError,
  kernelsOf,
  kernelTablePath,
  notedKernels,
  readKernelTable,
  repeatWithKernels,
  useKernelTable,
  writeKernelTable,
} from "../../packages/pact/src/cli/kernel-table.ts";

const folder = mkdtempSync(join(tmpdir(), "pact-kernels-"));
afterAll(() => rmSync(folder, { recursive: true }));

const plain = { matmul: "tiles", attention: "tiles" } as const;

function fileOf(text: string): string {
  const path = join(folder, "table.json");
  writeFileSync(path, text);
  return path;
}

test("the table lies where PACT_KERNELS says, else among the user's settings", () => {
  expect(kernelTablePath({ PACT_KERNELS: "none" })).toBe(undefined);
  expect(kernelTablePath({ PACT_KERNELS: folder })).toBe(folder);
  expect(kernelTablePath({ XDG_CONFIG_HOME: folder }, "linux")).toBe(join(folder, "pact", "kernels.json"));
  expect(kernelTablePath({ APPDATA: folder }, "win32")).toBe(join(folder, "pact", "kernels.json"));
  expect(kernelTablePath({}, "linux")).toMatch(/\.config.pact.kernels\.json$/);
});

test("what is written is read back, adapter by adapter; no file is no entry", () => {
  const path = join(folder, "new", "kernels.json");
  expect(readKernelTable(path).size).toBe(0);
  writeKernelTable(path, "one", plain);
  writeKernelTable(path, "two", { ...plain, matmul: "subgroups" });
  expect([...readKernelTable(path)]).toEqual([
    ["one", { version: variantsVersion, ...plain }],
    ["two", { version: variantsVersion, matmul: "subgroups", attention: "tiles" }],
  ]);
});

test.each([
  ["no JSON", "{"],
  ["null", "null"],
  ["a list", "[]"],
  ["another format", '{ "formatVersion": 7, "adapters": {} }'],
  ["no adapters", '{ "formatVersion": 1 }'],
  ["an entry that is none", '{ "formatVersion": 1, "adapters": { "x": 3 } }'],
  [
    "an unknown variant",
    '{ "formatVersion": 1, "adapters": { "x": { "version": 2, "matmul": "fast", "attention": "tiles" } } }',
  ],
  ["a large file", " ".repeat(70_000)],
])("%s is refused with what to do", (_what, text) => {
  const path = fileOf(text);
  expect(() => readKernelTable(path)).toThrow(KernelTableError);
  expect(() => readKernelTable(path)).toThrow(/Delete it, .*pact doctor --tune.*PACT_KERNELS=none\.$/);
});

test("a folder in the table's place is refused, and tuning replaces a broken table", () => {
  const place = join(folder, "is-a-folder");
  mkdirSync(place);
  expect(() => readKernelTable(place)).toThrow(KernelTableError);
  const path = fileOf("{");
  writeKernelTable(path, "one", plain);
  expect(JSON.parse(readFileSync(path, "utf8")).adapters.one.matmul).toBe("tiles");
});

test("names that are those of every object are adapters like others", () => {
  const path = join(folder, "names.json");
  writeKernelTable(path, "constructor", plain);
  expect(readKernelTable(path).get("toString")).toBe(undefined);
  expect(readKernelTable(path).get("constructor")?.matmul).toBe("tiles");
});

test("a note is read defensively", () => {
  expect(notedKernels({ version: 2, ...plain, adapter: 3 })).toEqual({ version: 2, ...plain });
  for (const value of [undefined, null, 3, [], {}, { version: "2", ...plain }, { ...plain }]) {
    expect(notedKernels(value)).toBe(undefined);
  }
});

test("the cpu device has no variants: nothing is noted, chosen or refused", async () => {
  const device = await createDevice({ device: "cpu" });
  const lines: string[] = [];
  const note = (line: string) => lines.push(line);
  useKernelTable(device, note, fileOf("{"));
  goOnWithKernels(folder, device, { version: 1, ...plain }, note);
  expect(repeatWithKernels(device, { version: 1, ...plain })).toBe(undefined);
  expect(kernelsOf(device)).toBe(undefined);
  expect(lines).toEqual([]);
});
