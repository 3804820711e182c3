import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointError, saveModel } from "@pact/nn";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { appendLine, linesIn, writeLines, writeWhole } from "../../packages/pact/src/cli/disk.ts";
import { FolderSink } from "../../packages/pact/src/cli/folder-sink.ts";
import { Interrupt } from "../../packages/pact/src/cli/interrupt.ts";
import { claimRunFolder, defaultRunFolder, RunFolderError } from "../../packages/pact/src/cli/run-folder.ts";
import { cpuDevice, tinyModel } from "./device.ts";

const root = mkdtempSync(join(tmpdir(), "pact-run-"));
let folder: string;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
});
afterAll(() => rmSync(root, { recursive: true }));

describe("claimRunFolder", () => {
  it("creates missing folders and accepts an empty one", () => {
    expect(claimRunFolder(join(folder, "a", "b"))).toBe(join(folder, "a", "b"));
    expect(claimRunFolder(join(folder, "a", "b"))).toBe(join(folder, "a", "b"));
  });
  it("refuses a folder that holds anything, and a file", () => {
    mkdirSync(folder);
    writeFileSync(join(folder, "x"), "");
    expect(() => claimRunFolder(folder)).toThrow(RunFolderError);
    expect(() => claimRunFolder(join(folder, "x"))).toThrow(/cannot create the run folder .* \(EEXIST\)/);
    expect(readdirSync(folder)).toEqual(["x"]);
  });
  it.runIf(existsSync("/proc/self"))("refuses a place where no folder can be made, at once", async () => {
    for (const path of ["/proc/x", "/proc/x/y", "/proc/self/status/x"])
      expect(() => claimRunFolder(path)).toThrow(
        /cannot create the run folder \/proc\/.* \(ENO(ENT|TDIR)\)\. Choose/,
      );
    await cpuDevice();
    const model = await tinyModel();
    await expect(saveModel("/proc/x/y", model)).rejects.toThrow(CheckpointError);
  });
  it("names a default folder by time, method and seed", () => {
    expect(defaultRunFolder("pact", 3, new Date("2026-07-01T12:34:56Z"))).toBe(
      "runs/2026-07-01-123456-pact-seed3",
    );
  });
});

describe("lines of a file", () => {
  it.each([
    ["none", []],
    ["empty ones", ["\n", "\n"]],
    ["one without an end", ["a\n", "b"]],
    ["one that fills a piece", [`${"x".repeat(2 ** 20 - 1)}\n`, "y\n"]],
    ["long ones, with characters across pieces", [`${"é".repeat(900_001)}\n`, `${"😀x".repeat(300_000)}\n`]],
    ["many", Array.from({ length: 300_000 }, (_, index) => `line ${index}\n`)],
  ])("are read and written in pieces: %s", (_, lines) => {
    mkdirSync(folder);
    const path = join(folder, "a.jsonl");
    writeFileSync(path, lines.join(""));
    expect([...linesIn(path)]).toEqual(lines);
    writeLines(path, linesIn(path));
    expect(readFileSync(path, "utf8")).toBe(lines.join(""));
    expect(readdirSync(folder)).toEqual(["a.jsonl"]);
  });
});

describe("writeWhole", () => {
  it("replaces a file and leaves nothing else behind", () => {
    mkdirSync(folder);
    writeWhole(join(folder, "a.json"), "old");
    writeWhole(join(folder, "a.json"), new Uint8Array([110, 101, 119]));
    expect(readFileSync(join(folder, "a.json"), "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["a.json"]);
  });
  it("on an error keeps the old file and removes the temporary one", () => {
    mkdirSync(join(folder, "a.json"), { recursive: true });
    writeFileSync(join(folder, "a.json", "inside"), "");
    // The target is a folder: the rename fails after everything was written.
    expect(() => writeWhole(join(folder, "a.json"), "new")).toThrow();
    expect(readdirSync(folder)).toEqual(["a.json"]);
    expect(() => writeWhole(join(folder, "missing", "b"), "new")).toThrow(/ENOENT/);
  });
  it("appendLine adds whole lines", () => {
    mkdirSync(folder);
    appendLine(join(folder, "m.jsonl"), { a: "line\nbreak" });
    appendLine(join(folder, "m.jsonl"), { b: 2 });
    const lines = readFileSync(join(folder, "m.jsonl"), "utf8").split("\n");
    expect(lines.map((line) => (line === "" ? line : JSON.parse(line)))).toEqual([
      { a: "line\nbreak" },
      { b: 2 },
      "",
    ]);
  });
});

describe("FolderSink", () => {
  it("keeps timings under `time`, apart from what must be reproducible", async () => {
    mkdirSync(folder);
    let clock = 10;
    const sink = new FolderSink(folder, { config: "{}", tokenizer: "{}" }, () => clock);
    clock = 12.5;
    await sink.metrics({ step: 0, values: { loss: 1, missing: null } });
    clock = 13;
    await sink.metrics({ step: 1, values: { loss: 2 } });
    const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { step: 0, values: { loss: 1, missing: null }, time: { seconds: 2.5, elapsed: 2.5 } },
      { step: 1, values: { loss: 2 }, time: { seconds: 0.5, elapsed: 3 } },
    ]);
  });
});

describe("Interrupt", () => {
  function source() {
    const listeners = new Map<string, Set<() => void>>();
    const exits: number[] = [];
    return {
      exits,
      count: () => [...listeners.values()].reduce((sum, set) => sum + set.size, 0),
      fire: (signal: string) => listeners.get(signal)?.forEach((listener) => void listener()),
      on: (signal: string, listener: () => void) =>
        listeners.set(signal, (listeners.get(signal) ?? new Set()).add(listener)),
      off: (signal: string, listener: () => void) => listeners.get(signal)?.delete(listener),
      exit: (code: number) => exits.push(code),
    };
  }
  it("asks once, then exits with 130; disposing gives the signals back", () => {
    const signals = source();
    let asked = 0;
    {
      using interrupt = new Interrupt(() => asked++, signals);
      expect(interrupt.signal.aborted).toBe(false);
      signals.fire("SIGTERM");
      expect([interrupt.signal.aborted, asked, signals.exits.length]).toEqual([true, 1, 0]);
      signals.fire("SIGINT");
      expect([asked, signals.exits]).toEqual([1, [130]]);
    }
    expect(signals.count()).toBe(0);
  });
});

it("the folder of these tests holds no temporary files", () => {
  const left = readdirSync(root, { recursive: true }).filter((name) => String(name).endsWith(".tmp"));
  expect(left).toEqual([]);
});
