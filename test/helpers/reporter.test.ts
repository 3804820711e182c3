/** The counts that end every run. */
import { expect, test } from "vitest";
import { summarize, summaryLines } from "./reporter.ts";

test("counts by state, GPU tests by adapter, files that broke and tests that never ended as failures", () => {
  const summary = summarize(
    [
      { state: "passed", gpu: false },
      { state: "passed", gpu: true, adapter: "lavapipe: llvmpipe" },
      { state: "failed", gpu: true, adapter: "lavapipe: llvmpipe" },
      { state: "skipped", gpu: true },
      { state: "pending", gpu: false },
    ],
    2,
  );
  expect(summaryLines(summary)).toEqual([
    "GPU tests: 2 ran on lavapipe: llvmpipe",
    "2 passed, 4 failed, 1 skipped",
  ]);
});

test("says so when no GPU test ran", () => {
  expect(summaryLines(summarize([], 0))).toEqual(["GPU tests: none ran", "0 passed, 0 failed, 0 skipped"]);
});
