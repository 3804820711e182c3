import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  buildTraces,
  categories,
  ftrl,
  openSuite,
  scriptedTeacher,
  TaskFileError,
  traceLine,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { readModelFolder } from "../../packages/pact/src/cli/base-policy.ts";
import { generatedFamilies, generatedTasks, publishedTasks } from "../../packages/pact/src/cli/tasks.ts";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { contextTokens } from "../../packages/pact/src/contexts.ts";
import { requireData } from "../helpers/require.ts";

describe("generatedTasks", () => {
  it("evaluates every seed on the same tasks, in equal parts of the four categories", () => {
    const one = generatedTasks(1, 200);
    const two = generatedTasks(2, 200);
    expect(one.heldOut).toEqual(two.heldOut);
    expect(one.training).not.toEqual(two.training);
    for (const category of categories)
      expect(one.heldOut.filter((task) => task.category === category)).toHaveLength(50);
  });
  it("asks about nobody in a held-out task whom training has met", () => {
    const { training, heldOut } = generatedTasks(1, 40);
    const names = (question: string): string[] =>
      [...question.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
    const met = new Set(training.flatMap((task) => names(task.question)));
    const asked = heldOut.flatMap((task) => names(task.question));
    expect(asked.length).toBeGreaterThanOrEqual(40);
    expect(asked.filter((name) => met.has(name))).toEqual([]);
  });
  it.each(["toolhop-like", "bfcl-like"] as const)(
    "has tasks of %s that fit the settings it runs with",
    async (id) => {
      const { training, heldOut } = generatedTasks(1, 40, id);
      const { dialect } = await readModelFolder();
      const config = trainConfig(generatedFamilies[id].settings);
      expect(new Set([...training, ...heldOut].map((task) => task.id)).size).toBe(552);
      for (const task of [...training, ...heldOut]) {
        expect(task.setup.kind).toBe(id);
        expect(contextTokens(dialect, task, config)).toBeLessThanOrEqual(config.maxContextTokens);
        expect(task.trace!.turns.length).toBeLessThan(config.maxTurns);
      }
    },
  );
});

describe("publishedTasks", () => {
  const folder = requireData("benchmarks/ftrl");
  it.skipIf(!folder)("splits the rows with a trace, held-out ones spread over the categories", () => {
    const { training, heldOut } = publishedTasks(folder!, 8);
    expect([...training, ...heldOut].every((task) => task.trace !== undefined)).toBe(true);
    expect(new Set([...training, ...heldOut].map((task) => task.id)).size).toBe(training.length + 8);
    expect(heldOut.map((task) => task.category)).toEqual([...categories, ...categories]);
    const all = publishedTasks(folder!, 1000);
    expect(all.training).toEqual(training);
    expect(all.heldOut.length).toBeGreaterThan(50);
  });
  it("names a folder whose rows have no trace", () => {
    const empty = mkdtempSync(join(tmpdir(), "pact-ftrl-"));
    try {
      for (const name of ["test.no_code.jsonl", "derived_calls.jsonl"]) writeFileSync(join(empty, name), "");
      expect(() => publishedTasks(empty, 4)).toThrow(TaskFileError);
      expect(() => publishedTasks(empty, 4)).toThrow(
        `${empty}: 0 FTRL rows have an expert trace, too few to train and to evaluate on. Give --data a folder`,
      );
      rmSync(join(empty, "derived_calls.jsonl"));
      expect(() => publishedTasks(empty, 4)).toThrow(
        `the folder ${empty} has no derived_calls.jsonl. Give --data the folder with both FTRL files, test.no_code.jsonl and derived_calls.jsonl, or a file of rows with "codes".`,
      );
      rmSync(join(empty, "test.no_code.jsonl"));
      expect(() => publishedTasks(empty, 4)).toThrow("has no test.no_code.jsonl and no derived_calls.jsonl.");
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});

describe("FTRL rows with source", () => {
  const rows = fileURLToPath(new URL("../tools-sim/fixtures/ftrl-codes.jsonl", import.meta.url));
  it("are trained on with a trace file, and need one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pact-codes-"));
    try {
      expect(() => publishedTasks(rows, 4)).toThrow(
        `${rows}: 0 FTRL rows have an expert trace, too few to train and to evaluate on.`,
      );
      // Two copies, so that a category has a row for training and one held out.
      const data = join(folder, "train.jsonl");
      writeFileSync(data, readFileSync(rows, "utf8").repeat(2));
      const loaded = ftrl.load(data);
      const path = join(folder, "traces.jsonl");
      // Whose traces they are does not matter here: those of a generated task, under the rows' ids.
      const { tasks } = openSuite("ftrl-like", { count: 1 });
      const built = buildTraces(tasks, { environment: "ftrl-like", teacher: scriptedTeacher(tasks) });
      const { kept } = (await built.next()).value!;
      writeFileSync(path, loaded.map(({ id }) => `${traceLine({ ...kept!, id })}\n`).join(""));
      const { training, heldOut, options } = publishedTasks(data, 4, path);
      expect([...training, ...heldOut].map(({ id }) => id).sort()).toEqual(loaded.map(({ id }) => id).sort());
      expect(training.every(({ setup }) => "codes" in setup)).toBe(true);
      expect(options).toEqual({ data, traces: path });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a trace file", () => {
  it("gives the training tasks, and leaves the held-out ones as they are", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pact-traced-"));
    const path = join(folder, "traces.jsonl");
    try {
      const { tasks } = openSuite("ftrl-like", { seed: 1001, split: "train", count: 12 });
      const lines: string[] = [];
      for await (const { kept } of buildTraces(tasks, {
        environment: "ftrl-like",
        teacher: scriptedTeacher(tasks),
      }))
        if (kept) lines.push(`${traceLine({ ...kept, final: { ...kept.final, answer: "mine" } })}\n`);
      writeFileSync(path, lines.join(""));
      const { training, heldOut, options } = generatedTasks(1, 8, "ftrl-like", path);
      expect(training.map(({ id }) => id)).toEqual(tasks.map(({ taskId }) => taskId));
      expect(training.every(({ trace }) => trace?.final.answer === "mine")).toBe(true);
      expect(heldOut).toEqual(generatedTasks(1, 8).heldOut);
      expect(options).toMatchObject({ traces: path });
      expect(() => generatedTasks(2, 8, "ftrl-like", path)).toThrow(
        "Make some with `pact traces build --env ftrl-like --seed 1002 --tasks 512`.",
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
