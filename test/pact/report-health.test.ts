/** Warnings of the health checks in the report of a run. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readRun } from "../../packages/pact/src/report/read-run.ts";
import { runReport } from "../../packages/pact/src/report/report.ts";

const folder = mkdtempSync(join(tmpdir(), "pact-report-health-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("shows each warning at the step where it began, escaped; what is no text is left out", async () => {
  const values = { "reward/mean": 1 };
  const lines = [
    { step: 0, values },
    { step: 1, values, health: ["call spam: calls < rose. Likely cause: <b>x</b>.", 7, null] },
    { step: 2, values, health: "not a list" },
    { step: 3, values, health: Array.from({ length: 99 }, (_, index) => `warning ${index}`) },
  ];
  writeFileSync(join(folder, "config.json"), "{}");
  writeFileSync(join(folder, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const page = await runReport(folder);
  expect(page).toContain("From step 2: call spam: calls &lt; rose. Likely cause: &lt;b&gt;x&lt;/b&gt;.");
  expect(page.split("From step ")).toHaveLength(1 + 1 + 50);
  expect((await readRun(folder)).metrics.map(({ health }) => health.length)).toEqual([0, 1, 0, 50]);
});
