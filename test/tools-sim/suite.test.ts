import { openSuite } from "@pact/tools-sim";
import { expect, it } from "vitest";

it.each(["ftrl-like", "toolhop-like", "bfcl-like"])(
  "%s: an answer needs tags, unless it is told",
  async (id) => {
    const [task] = openSuite(id, { count: 1 }).tasks;
    const stops = [undefined, { answers: "tagged" }, { answers: "any" }] as const;
    const found: unknown[] = [];
    for (const options of stops) {
      const environment = task.create(options);
      environment.reset();
      found.push((await environment.step("It is Mira.")).stopReason);
      await environment.close();
    }
    expect(found).toEqual(["no_call", "no_call", "answer"]);
  },
);
