/** The list of planted mistakes: each still has its place, and the tests it names exist. Running it: `npm run mutants`. */
import { access, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { mutants } from "../../scripts/mutants/list.ts";
import { plantingProblem } from "../../scripts/mutants/mutant.ts";

const root = new URL("../../", import.meta.url);

test("there are at least 75, each with a name of its own", () => {
  expect(mutants.length).toBeGreaterThanOrEqual(75);
  expect(new Set(mutants.map((m) => m.name)).size).toBe(mutants.length);
});

describe("has its place, once, and its tests:", () => {
  test.each(mutants)("$name", async (mutant) => {
    expect(plantingProblem(mutant, await readFile(new URL(mutant.file, root), "utf8"))).toBeUndefined();
    await access(new URL(mutant.tests.file, root));
  });
});
