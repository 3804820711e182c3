/**
 * A vitest reporter that ends a run with the facts a reader of a log wants: how many GPU tests ran on which adapter,
 * and the counts alone on a line: `N passed, N failed, N skipped`.
 */
import type { Reporter, TestModule } from "vitest/node";

/** Counts of one run. */
export interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  /** GPU tests that ran (passed or failed) by adapter. */
  gpu: Map<string, number>;
}

/** A test as far as it is counted here. */
export interface CountedTest {
  state: "passed" | "failed" | "skipped" | "pending";
  /** Its file needs a GPU. */
  gpu: boolean;
  adapter?: string;
}

/** Adds tests up; `brokenFiles` are test files that failed as a whole, each counted as one failure. */
export function summarize(tests: Iterable<CountedTest>, brokenFiles: number): Summary {
  const summary: Summary = { passed: 0, failed: brokenFiles, skipped: 0, gpu: new Map() };
  for (const test of tests) {
    if (test.state === "pending")
      summary.failed++; // never finished: its process died
    else summary[test.state]++;
    if (!test.gpu || test.state === "skipped") continue;
    const adapter = test.adapter ?? "an unnamed adapter";
    summary.gpu.set(adapter, (summary.gpu.get(adapter) ?? 0) + 1);
  }
  return summary;
}

/** The lines to print. */
export function summaryLines(summary: Summary): string[] {
  const gpu = [...summary.gpu].map(([adapter, count]) => `GPU tests: ${count} ran on ${adapter}`);
  return [
    ...(gpu.length > 0 ? gpu : ["GPU tests: none ran"]),
    `${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`,
  ];
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests: CountedTest[] = [];
    let broken = unhandledErrors.length;
    for (const module of modules) {
      if (module.errors().length > 0) broken++;
      const gpu = module.moduleId.endsWith(".gpu.test.ts");
      for (const test of module.children.allTests()) {
        tests.push({ state: test.result().state, gpu, adapter: test.meta().adapter });
      }
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) broken++;
    }
    console.log(["", ...summaryLines(summarize(tests, broken)), ""].join("\n"));
  }
}
