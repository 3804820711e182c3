/** Each dial of each family changes what it is there for, and refuses what is outside its range. */
import {
  assistantText,
  bfclLike,
  createEnvironment,
  defaultBfclDials,
  defaultDials,
  defaultToolHopDials,
  ftrlLike,
  noiseFields,
  OptionError,
  relations,
  type Split,
  type Task,
  toolHopLike,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

type Generate = (options: { seed: number; split: Split; count: number; dials?: object }) => Task[];

const families: [id: string, generate: Generate, defaults: object][] = [
  ["ftrl-like", ftrlLike.generate, defaultDials],
  ["toolhop-like", toolHopLike.generate, defaultToolHopDials],
  ["bfcl-like", bfclLike.generate, defaultBfclDials],
];

const count = 60;
const make = (generate: Generate, dials: object, split: Split = "train") =>
  generate({ seed: 11, split, count, dials });
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const observations = (task: Task) => task.trace!.turns.flatMap((turn) => turn.observations);
const timeouts = (tasks: Task[]) =>
  sum(tasks.map((task) => observations(task).filter((text) => text === '{"error": "timeout"}').length));
const functionsOf = ({ setup }: Task): Record<string, string> =>
  setup.kind === "toolhop-like" ? setup.functions : setup.kind === "bfcl-like" ? setup.actions : {};

describe.each(families)("%s", (id, generate, defaults) => {
  it("failureRate: nothing times out at 0, every first call at 1", () => {
    expect(timeouts(make(generate, { failureRate: 0 }))).toBe(0);
    for (const task of make(generate, { failureRate: 1, alternatives: 0 })) {
      const calls = task.trace!.turns.flatMap((turn) => turn.calls.map((call) => JSON.stringify(call)));
      expect(timeouts([task])).toBe(new Set(calls).size);
    }
    const [few, many] = [0.1, 0.5].map((failureRate) => timeouts(make(generate, { failureRate })));
    expect(few).toBeGreaterThan(0);
    expect(many).toBeGreaterThan(2 * few);
  });

  it("paraphrase: one wording of every tool and request at 0, the other at 1", () => {
    const describe = (paraphrase: number) =>
      make(generate, { paraphrase }).flatMap((task) =>
        task.tools
          .filter((tool) => tool.function.name !== "math_add")
          .map((tool) => tool.function.description.split(" ")[0]),
      );
    const [plain, other] = [new Set(describe(0)), new Set(describe(1))];
    expect([...plain].filter((word) => other.has(word))).toEqual([]);
    expect(new Set(describe(0.5)).size).toBe(plain.size + other.size);
    const questions = [0, 1].map((paraphrase) => make(generate, { paraphrase }).map((task) => task.question));
    expect(questions[0].filter((question) => questions[1].includes(question)).length).toBeLessThan(count / 4);
  });

  it("alternatives: no second tool at 0, one for each needed tool at 1, scored alike", async () => {
    for (const task of make(generate, { alternatives: 0 })) expect(task.equivalents).toBeUndefined();
    for (const task of make(generate, { alternatives: 1, failureRate: 0 })) {
      const { equivalents = {} } = task;
      const needed = Object.keys(task.unsolved).filter((tool) => tool !== "math_add");
      expect(Object.values(equivalents).sort()).toEqual(needed.sort());
      const listed = task.tools.map((tool) => tool.function.name);
      expect(new Set(listed).size).toBe(listed.length);
      expect(listed).toEqual(expect.arrayContaining(Object.keys(equivalents)));
      const second = new Map(Object.entries(equivalents).map(([other, first]) => [first, other]));
      const environment = createEnvironment(task, { maxTurns: 50 });
      environment.reset();
      for (const { calls } of task.trace!.turns)
        await environment.step(
          assistantText({
            chunks: [],
            calls: calls.map(({ function: { name, arguments: args } }) => ({
              type: "function",
              function: { name: second.get(name) ?? name, arguments: args },
            })),
          }),
        );
      await environment.step(assistantText(task.trace!.final));
      expect(environment.outcome().success).toBe(true);
      expect(environment.score().solveR).toBe(1);
    }
  });

  it("noise: that many irrelevant fields in each successful observation, one of them first", () => {
    for (const noise of [0, 1, 4])
      for (const task of make(generate, { noise, failureRate: 0 }))
        for (const text of observations(task)) {
          const keys = Object.keys(JSON.parse(text));
          const irrelevant = keys.filter((key) => Object.hasOwn(noiseFields, key));
          if (keys.includes("error")) continue;
          expect(irrelevant).toHaveLength(noise);
          expect(keys.length).toBeGreaterThan(noise);
          if (noise > 0) expect(irrelevant).toContain(keys[0]);
        }
  });

  it("changes nothing where a dial is given at its default", () => {
    expect(make(generate, { ...defaults })).toEqual(make(generate, {}));
  });

  it.each([
    ["failureRate", 1.5],
    ["failureRate", -0.1],
    ["failureRate", Number.NaN],
    ["paraphrase", 2],
    ["alternatives", -1],
    ["noise", 5],
    ["noise", 0.5],
    ["distraction", 1],
    ["__proto__x", 1],
  ])("refuses %s %o by name", (dial, value) => {
    expect(() => make(generate, { [dial]: value })).toThrow(OptionError);
    expect(() => make(generate, { [dial]: value })).toThrow(new RegExp(`^${id}: .*${dial}`));
  });

  it.each([
    [{ seed: -1 }, "seed"],
    [{ count: 1.5 }, "count"],
    [{ start: -1 }, "start"],
    [{ split: "test" as Split }, "split"],
  ])("refuses %o by name", (options, name) => {
    expect(() => generate({ seed: 1, split: "train", count: 1, ...options })).toThrow(OptionError);
    expect(() => generate({ seed: 1, split: "train", count: 1, ...options })).toThrow(name);
  });
});

describe("ftrl-like", () => {
  it("splitRelations: shared relations without it, none with it", () => {
    const used = (split: Split, splitRelations: boolean) =>
      new Set(
        make(ftrlLike.generate, { splitRelations }, split).flatMap(({ setup }) =>
          setup.kind === "ftrl-like" ? Object.values(setup.lookups) : [],
        ),
      );
    const known = new Set(relations.map(({ name }) => name));
    expect(used("train", false)).toEqual(known);
    expect(used("heldout", false)).toEqual(known);
    expect(used("train", true)).toEqual(known);
    expect(used("heldout", true).size).toBe(15);
    expect([...used("heldout", true)].filter((name) => known.has(name))).toEqual([]);
  });

  it("alternatives need two suffixes", () => {
    expect(() => make(ftrlLike.generate, { alternatives: 0.5, suffixes: ["Finder"] })).toThrow(
      /alternatives above 0 need two/,
    );
  });
});

describe("toolhop-like", () => {
  const hops = (dials: object) =>
    make(toolHopLike.generate, dials).map(({ setup }) =>
      setup.kind === "toolhop-like" ? setup.steps.length : 0,
    );

  it("minHops and maxHops: the length of chains", () => {
    expect(new Set(hops({ minHops: 3, maxHops: 3 }))).toEqual(new Set([3]));
    expect(new Set(hops({ minHops: 7, maxHops: 7 }))).toEqual(new Set([7]));
    expect([...new Set(hops({ minHops: 3, maxHops: 7 }))].sort()).toEqual([3, 4, 5, 6, 7]);
  });

  it("distractors: listed tools that no hop needs", () => {
    for (const distractors of [0, 3, 8])
      for (const task of make(toolHopLike.generate, { distractors, alternatives: 0 })) {
        const steps = task.setup.kind === "toolhop-like" ? task.setup.steps : [];
        const unneeded = Object.values(functionsOf(task)).filter((name) => !steps.includes(name));
        expect(unneeded).toHaveLength(distractors);
        expect(task.tools).toHaveLength(steps.length + distractors);
      }
  });

  it("worlds: how many worlds there are", () => {
    const worlds = (dials: object) =>
      new Set(
        make(toolHopLike.generate, dials).map(({ setup }) =>
          setup.kind === "toolhop-like" ? setup.world.index : -1,
        ),
      );
    expect(worlds({ worlds: 1 })).toEqual(new Set([0]));
    expect(worlds({ worlds: 3 })).toEqual(new Set([0, 1, 2]));
  });

  it.each([{ minHops: 2 }, { maxHops: 8 }, { minHops: 6, maxHops: 5 }, { distractors: 9 }, { worlds: 0 }])(
    "refuses %o",
    (dials) => {
      expect(() => make(toolHopLike.generate, dials)).toThrow(
        /^toolhop-like: \w+ must be a whole number from/,
      );
    },
  );
});

describe("bfcl-like", () => {
  const setups = (dials: object) =>
    make(bfclLike.generate, dials).flatMap(({ setup }) => (setup.kind === "bfcl-like" ? [setup] : []));

  it("goals: how many a request has", () => {
    for (const goals of [1, 2, 4])
      for (const setup of setups({ goals })) expect(setup.goals).toHaveLength(goals);
  });

  it("hops: lookups before a record can be acted on", () => {
    for (const hops of [1, 2, 4])
      for (const task of make(bfclLike.generate, { hops, goals: 1, recoveries: 0, failureRate: 0 })) {
        expect(task.trace!.turns).toHaveLength(hops + 1);
        const { question, setup } = task;
        const links = Object.values(functionsOf(task)).filter((action) => action === "link");
        if (hops > 1) expect(links.length).toBeGreaterThan(0);
        if (setup.kind !== "bfcl-like") continue;
        const targets = setup.goals[0].kind === "move" ? 2 : 1;
        expect(question.match(/ of the | of ".*"/g)?.length ?? 0).toBeGreaterThanOrEqual(
          (hops - 1) * targets,
        );
      }
  });

  it("records: the size of the store, as far as the goals leave it", () => {
    for (const setup of setups({ records: 30 })) expect(setup.records).toHaveLength(30);
    for (const setup of setups({ records: 2, goals: 3 })) expect(setup.records).toHaveLength(6);
    for (const setup of setups({ records: 2, goals: 1, hops: 4 })) expect(setup.records).toHaveLength(5);
  });

  it("distractors: listed tools that no goal needs", () => {
    for (const distractors of [0, 3, 8])
      for (const task of make(bfclLike.generate, { distractors, alternatives: 0 })) {
        expect(task.tools).toHaveLength(Object.keys(task.unsolved).length + distractors);
        expect(Object.keys(functionsOf(task))).toHaveLength(task.tools.length);
      }
  });

  it("recoveries: whether a record is closed that has to change", () => {
    const recovering = (recoveries: number) =>
      make(bfclLike.generate, { recoveries }).filter(({ category }) => category === "recovery").length;
    expect(recovering(0)).toBe(0);
    expect(recovering(1)).toBeGreaterThan(count / 2);
    expect(recovering(0.3)).toBeLessThan(recovering(1));
    for (const { goals, records } of setups({ recoveries: 1, goals: 4 })) {
      const changing = goals.filter(({ kind }) => kind === "move" || kind === "assign").length;
      expect(records.filter(({ isOpen }) => !isOpen)).toHaveLength(changing);
    }
  });

  it.each([{ goals: 0 }, { goals: 5 }, { hops: 5 }, { records: 1 }, { distractors: 9 }])(
    "refuses %o",
    (dials) => {
      expect(() => make(bfclLike.generate, dials)).toThrow(/^bfcl-like: \w+ must be a whole number from/);
    },
  );

  it("refuses recoveries outside [0, 1]", () => {
    expect(() => make(bfclLike.generate, { recoveries: 2 })).toThrow(/recoveries must be in \[0, 1\], got 2/);
  });
});
