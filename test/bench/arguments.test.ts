/** The command line of the benchmarks: what it chooses, and what it says to what it can not follow. */
import { describe, expect, test } from "vitest";
import { benchArguments, UsageError } from "../../bench/arguments.ts";

const names = ["W1", "W2", "W3"];

/** What the command line is refused with. */
function refusal(...argv: string[]): string {
  try {
    benchArguments(argv, names);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`${argv.join(" ")} was accepted.`);
}

describe("benchArguments", () => {
  test("without options everything runs on the device that is found", () => {
    expect(benchArguments([], names)).toEqual({ help: false, json: false, device: "auto", only: names });
  });

  test("--only keeps the order of the list and does not mind case and spaces", () => {
    expect(benchArguments(["--only", "w3, W1"], names).only).toEqual(["W1", "W3"]);
  });

  test("--device, --json and --help", () => {
    const { device, json, help } = benchArguments(["--device", "cpu", "--json", "-h"], names);
    expect({ device, json, help }).toEqual({ device: "cpu", json: true, help: true });
  });

  test("what does not exist is named beside what does", () => {
    expect(refusal("--only", "W1,W9")).toMatchInlineSnapshot(
      `"There is no workload "W9". There are W1, W2, W3."`,
    );
    expect(refusal("--device", "gpu")).toMatchInlineSnapshot(
      `"--device is "gpu", expected auto, webgpu, cpu."`,
    );
    expect(refusal("--onyl", "W1")).toMatch(/--onyl/);
    expect(refusal("W1")).toMatch(/W1/);
  });
});
