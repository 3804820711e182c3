/** Every published task: result texts, state changes and scores are the executed truth's. */

import { createBfclEnvironment, loadBfcl } from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { compareFolder, main } from "../../../scripts/conformance/bfcl.ts";
import { requireData } from "../../helpers/require.ts";

const folder = requireData("benchmarks/bfcl");

describe.skipIf(!folder)("the published multi-turn tasks", () => {
  it("are reproduced call for call and state for state", () => {
    const differences: string[] = [];
    const totals = compareFolder(folder!, (line) => differences.push(line));
    expect(differences).toEqual([]);
    expect(totals).toEqual({
      tasks: 600,
      callsCompared: 3465,
      callsEqual: 3465,
      statesCompared: 1677,
      statesEqual: 1677,
      truthPasses: 600,
      cutTruthFails: 600,
    });
  });

  it("are right when an episode plays the truth in the prompting format", async () => {
    const { tasks, resources } = loadBfcl(folder!);
    const wrong: string[] = [];
    for (const task of tasks) {
      const environment = createBfclEnvironment(task, resources, { mode: "prompting" });
      environment.reset();
      let last: string | undefined;
      for (const calls of task.truth) {
        if (calls.length > 0) await environment.step(`[${calls.join(", ")}]`);
        last = (await environment.step("That is all.")).stopReason;
      }
      if (last !== "completed" || !environment.outcome().success) wrong.push(task.id);
    }
    expect(wrong).toEqual([]);
  });

  it("give the command's exit status", () => {
    const printed: string[] = [];
    expect(main(["--dir", folder!, "--json"], (line) => printed.push(line))).toBe(0);
    expect(JSON.parse(printed.join(""))).toMatchObject({ tasks: 600, callsEqual: 3465 });
    printed.length = 0;
    expect(main(["--dir", folder!, "--json", "--skip-invalid"], (line) => printed.push(line))).toBe(0);
    expect(JSON.parse(printed.join(""))).toMatchObject({ tasks: 600, skipped: [] });
    expect(main([], () => {})).toBe(2);
    expect(main(["--dir", "/nowhere"], () => {})).toBe(2);
    expect(main(["--dri", folder!], () => {})).toBe(2);
  });
});
