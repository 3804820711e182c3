import {
  categories,
  type FtrlLikeDials,
  ftrlLike,
  OptionError,
  relations,
  splitOfName,
  type Task,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Every made-up name that a task or its trace mentions. */
function namesIn(task: Task): string[] {
  const text = JSON.stringify([task.question, task.answer, task.unsolved, task.trace]);
  return text.match(/\b[A-Z][aeio](?:[bdfklmnrtv][aeio]){1,2}\b/g) ?? [];
}

describe("ftrlLike.generate", () => {
  it("regenerates the same tasks, one by one or together", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.constantFrom("train", "heldout"), (seed, split) => {
        const options = { seed, split: split as "train" | "heldout" };
        const together = ftrlLike.generate({ ...options, count: 8 });
        expect(ftrlLike.generate({ ...options, count: 8 })).toEqual(together);
        const single = together.flatMap((_, start) => ftrlLike.generate({ ...options, count: 1, start }));
        expect(single).toEqual(together);
        expect(ftrlLike.generate({ ...options, seed: seed + 1, count: 8 })).not.toEqual(together);
      }),
      { numRuns: 20 },
    );
  });

  it("survives JSON", () => {
    const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 8 });
    expect(JSON.parse(JSON.stringify(tasks))).toEqual(tasks);
  });

  it("keeps the entities of train and held-out tasks disjoint", () => {
    for (const split of ["train", "heldout"] as const) {
      const names = ftrlLike.generate({ seed: 7, split, count: 400 }).flatMap(namesIn);
      expect(new Set(names).size).toBeGreaterThan(200);
      expect(names.filter((name) => splitOfName(name) !== split)).toEqual([]);
    }
  });

  it("cycles through the four categories, with FTRL's shape of goldens", () => {
    const tasks = ftrlLike.generate({ seed: 2, split: "train", count: 400 });
    for (const category of categories)
      expect(tasks.filter((task) => task.category === category)).toHaveLength(100);
    for (const task of tasks) {
      const goldens = Object.values(task.unsolved).flat().length;
      const sum = Object.hasOwn(task.unsolved, "math_add") ? 1 : 0;
      const lookups =
        (task.category.startsWith("parallel") ? 2 : 1) * (task.category.endsWith("multi_hop") ? 2 : 1);
      expect(goldens).toBe(lookups + sum);
    }
    const parallel = tasks.filter((task) => task.category.startsWith("parallel"));
    const sums = parallel.filter((task) => Object.hasOwn(task.unsolved, "math_add")).length;
    expect(sums / parallel.length).toBeGreaterThan(0.2);
    expect(sums / parallel.length).toBeLessThan(0.4);
  });

  it("lists 4 to 6 tools with one required argument, the needed ones and a distractor or more among them", () => {
    let distractors = 0;
    for (const task of ftrlLike.generate({ seed: 3, split: "train", count: 200 })) {
      const names = task.tools.map((tool) => tool.function.name);
      expect(names.length).toBeGreaterThanOrEqual(4);
      expect(names.length).toBeLessThanOrEqual(6);
      expect(new Set(names).size).toBe(names.length);
      for (const name of Object.keys(task.unsolved)) expect(names).toContain(name);
      distractors += names.length - Object.keys(task.unsolved).length;
      for (const { function: tool } of task.tools) {
        const keys = Object.keys(tool.parameters.properties ?? {});
        expect(keys).toEqual(tool.parameters.required);
        if (tool.name === "math_add") expect(keys).toEqual(["a", "b"]);
        else expect(keys).toEqual([relations.find((relation) => tool.name.startsWith(relation.name))?.from]);
      }
    }
    expect(distractors / 200).toBeGreaterThan(2);
  });

  it("uses every relation and every suffix, and draws suffixes per task", () => {
    const names = ftrlLike
      .generate({ seed: 4, split: "train", count: 200 })
      .flatMap((t) => t.tools.map((d) => d.function.name));
    for (const relation of relations)
      for (const suffix of ["Finder", "Lookup", "Search"]) expect(names).toContain(relation.name + suffix);
  });

  it("quotes every name in the question", () => {
    for (const task of ftrlLike.generate({ seed: 5, split: "train", count: 100 }))
      for (const chain of task.setup.kind === "ftrl-like" ? task.setup.chains : [])
        expect(task.question).toContain(`"${chain.entity}"`);
  });

  it("turns dials", () => {
    const dials = { hops: 4, parallel: 3, minTools: 8, maxTools: 12, worlds: 1, failureRate: 0 };
    const tasks = ftrlLike.generate({
      seed: 1,
      split: "heldout",
      count: 20,
      category: "parallel_multi_hop",
      dials,
    });
    for (const task of tasks) {
      expect(Object.values(task.unsolved).flat()).toHaveLength(12);
      expect(task.tools.length).toBeGreaterThanOrEqual(8);
      expect(task.trace?.turns).toHaveLength(4);
    }
  });

  it.each<[string, Partial<FtrlLikeDials>]>([
    ["failureRate", { failureRate: 1.5 }],
    ["hops", { hops: 1 }],
    ["entitiesPerType", { entitiesPerType: 3 }],
    ["maxTools", { minTools: 7 }],
    ["suffixes", { suffixes: ["two words"] }],
    ["unknown dial", { hop: 3 } as Partial<FtrlLikeDials>],
  ])("refuses a bad dial: %s", (name, dials) => {
    expect(() => ftrlLike.generate({ seed: 1, split: "train", count: 1, dials })).toThrow(name);
  });

  it("refuses bad options", () => {
    expect(() => ftrlLike.generate({ seed: 0.5, split: "train", count: 1 })).toThrow(OptionError);
    expect(() => ftrlLike.generate({ seed: 1, split: "test" as "train", count: 1 })).toThrow(
      /split must be "train"/,
    );
    expect(() => ftrlLike.generate({ seed: 1, split: "train", count: -1 })).toThrow(
      /count must be an integer ≥ 0, got -1/,
    );
  });
});
