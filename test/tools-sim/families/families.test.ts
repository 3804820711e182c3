/** What holds for every generated family, at its default dials and at random ones. */
import {
  assistantText,
  bfclLike,
  chunkTypes,
  contextTurns,
  createEnvironment,
  createRunner,
  dateRelations,
  ftrlLike,
  heldOutRelations,
  type JsonObject,
  match,
  noiseFields,
  observedAnswers,
  relations,
  type Split,
  splitOfName,
  storeWords,
  type Task,
  teacherTrace,
  themes,
  toolHopLike,
  transforms,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

interface Family {
  id: string;
  generate(options: { seed: number; split: Split; count: number; start?: number; dials?: object }): Task[];
  dials: fc.Arbitrary<object>;
}

const shares = {
  failureRate: fc.double({ min: 0, max: 1, noNaN: true }),
  paraphrase: fc.double({ min: 0, max: 1, noNaN: true }),
  alternatives: fc.double({ min: 0, max: 1, noNaN: true }),
  noise: fc.integer({ min: 0, max: 4 }),
};
const families: Family[] = [
  {
    ...ftrlLike,
    dials: fc.record({
      ...shares,
      hops: fc.integer({ min: 2, max: 4 }),
      parallel: fc.integer({ min: 2, max: 3 }),
      splitRelations: fc.boolean(),
    }),
  },
  {
    ...toolHopLike,
    dials: fc.record({
      ...shares,
      minHops: fc.integer({ min: 3, max: 5 }),
      maxHops: fc.integer({ min: 5, max: 7 }),
      distractors: fc.integer({ min: 0, max: 8 }),
    }),
  },
  {
    ...bfclLike,
    dials: fc.record({
      ...shares,
      goals: fc.integer({ min: 1, max: 4 }),
      hops: fc.integer({ min: 1, max: 4 }),
      records: fc.integer({ min: 2, max: 20 }),
      recoveries: fc.double({ min: 0, max: 1, noNaN: true }),
      distractors: fc.integer({ min: 0, max: 8 }),
    }),
  },
];

const drawn = { seed: fc.nat(100_000), split: fc.constantFrom<Split>("train", "heldout") };

/** Whether a text holds a name in quotes ("Name" is a word of descriptions too), or a number, date or other word. */
function mentions(text: string, part: string): boolean {
  if (/^[A-Z]/.test(part)) return new RegExp(`"${part}\\\\*"`).test(text);
  return text.split(/[^\w-]+/).includes(part);
}

describe.each(families)("$id", (family) => {
  it("regenerates the same tasks, one by one or together, as plain JSON", () => {
    fc.assert(
      fc.property(fc.record({ ...drawn, dials: family.dials }), (options) => {
        const together = family.generate({ ...options, count: 4 });
        expect(family.generate({ ...options, count: 4 })).toEqual(together);
        const single = together.flatMap((_, start) => family.generate({ ...options, count: 1, start }));
        expect(single).toEqual(together);
        expect(JSON.parse(JSON.stringify(together))).toEqual(together);
        expect(family.generate({ ...options, seed: options.seed + 1, count: 4 })).not.toEqual(together);
      }),
      { numRuns: 15 },
    );
  });

  it("is solved by its teacher in a real environment, which gives the same observations", async () => {
    await fc.assert(
      fc.asyncProperty(fc.record({ ...drawn, dials: family.dials }), async (options) => {
        for (const task of family.generate({ ...options, count: 4 })) {
          const trace = task.trace!;
          expect(teacherTrace(task)).toEqual(trace);
          expect(trace.final.answer).toBe(task.answer);
          const environment = createEnvironment(task, { maxTurns: 100 });
          environment.reset();
          for (const turn of trace.turns) {
            const { observations } = await environment.step(assistantText(turn));
            expect(observations.map(({ content }) => content)).toEqual(turn.observations);
          }
          const { stopReason } = await environment.step(assistantText(trace.final));
          const { success, value } = environment.outcome();
          const { solveR, solveF1 } = environment.score();
          expect({ stopReason, success, solveR }).toEqual({ stopReason: "answer", success: true, solveR: 1 });
          expect(value).toBe(family.id === "ftrl-like" ? solveF1 : 1);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("is not solved by doing nothing", async () => {
    for (const task of family.generate({ seed: 3, split: "heldout", count: 40 })) {
      const environment = createEnvironment(task);
      environment.reset();
      await environment.step("I do not know.");
      expect(environment.outcome().success).toBe(false);
    }
  });

  it("labels its reasoning with known chunk types that join to the reasoning", () => {
    const types = new Set<string>();
    for (const { trace } of family.generate({ seed: 2, split: "train", count: 300 }))
      for (const turn of trace!.turns) {
        expect(turn.calls).toHaveLength(turn.observations.length);
        expect(turn.chunks.length).toBeGreaterThanOrEqual(2);
        turn.chunks.forEach(({ type, text }, i) => {
          types.add(type);
          expect(text).toMatch(i === 0 ? /^\S/ : /^ \S/);
        });
        expect(assistantText(turn)).toContain(
          `<think>${turn.chunks.map(({ text }) => text).join("")}</think>`,
        );
      }
    expect(chunkTypes).toEqual(expect.arrayContaining([...types]));
    expect([...types]).toEqual(expect.arrayContaining(["failure_reflection", "fallback_plan"]));
  });

  it("says what failed in the turn after a failure, and never without one", () => {
    const isError = (text: string) => text.startsWith('{"error"');
    for (const { trace } of family.generate({ seed: 4, split: "train", count: 200 }))
      trace!.turns.forEach((turn, t) => {
        const failedBefore = t > 0 && trace!.turns[t - 1].observations.some(isError);
        const types = turn.chunks.map(({ type }) => type);
        if (failedBefore) expect(types).toEqual(["failure_reflection", "fallback_plan"]);
        // A refusal may have to wait for the calls beside it that timed out.
        const failedEver = trace!.turns.slice(0, t).some(({ observations }) => observations.some(isError));
        expect(failedEver || !types.includes("failure_reflection")).toBe(true);
      });
  });

  it("has nothing of the final turn in the prompt, nor in the context trace but in observations", () => {
    fc.assert(
      fc.property(fc.record(drawn), (options) => {
        for (const task of family.generate({ ...options, count: 8 })) {
          const { final } = task.trace!;
          const prompt = JSON.stringify([task.question, task.messages, task.tools]);
          const context = contextTurns(task.trace!);
          const written = context
            .map((turn) => `${turn.chunks.map(({ text }) => text).join("")} ${JSON.stringify(turn.calls)}`)
            .join("\n");
          const reasoning = final.chunks.map(({ text }) => text).join("");
          for (const text of [prompt, written]) {
            expect(text).not.toContain(reasoning);
            for (const part of final.answer.split(", "))
              expect([part, mentions(text, part)]).toEqual([part, false]);
          }
          expect(context.flatMap(({ chunks }) => chunks.map(({ type }) => type))).not.toContain(
            "final_answer_grounding",
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  it("reports how many traces hold the answer in an observation", () => {
    const tasks = family.generate({ seed: 1, split: "train", count: 400 });
    const holds = (task: Task) =>
      match(task.trace!.turns.flatMap(({ observations }) => observations).join("\n"), task.answer);
    const { traces, containing, share } = observedAnswers(tasks);
    expect({ traces, containing }).toEqual({ traces: 400, containing: tasks.filter(holds).length });
    expect(share).toBe(containing / 400);
    // docs/environments.md has these.
    expect(share).toBeCloseTo({ "ftrl-like": 1, "toolhop-like": 1 }[family.id] ?? 0.425, 3);
  });

  it("keeps the entities of train and held-out tasks apart", () => {
    for (const split of ["train", "heldout"] as const) {
      const text = JSON.stringify(family.generate({ seed: 5, split, count: 200 }));
      // In quotes: "Make" is a word of requests.
      const quoted = text.matchAll(/"([A-Z][aeio](?:[bdfklmnrtv][aeio]){1,2})\\*"/g);
      const names = [...quoted].map(([, name]) => name);
      expect(new Set(names).size).toBeGreaterThan(100);
      expect(names.filter((name) => splitOfName(name) !== split)).toEqual([]);
    }
  });

  it("keeps the relations of train and held-out tasks apart", () => {
    const dials = family.id === "ftrl-like" ? { splitRelations: true } : {};
    const used = (["train", "heldout"] as const).map(
      (split) => new Set(family.generate({ seed: 6, split, count: 300, dials }).flatMap(relationsIn)),
    );
    expect(used[0].size).toBeGreaterThan(9);
    expect(used[1].size).toBeGreaterThan(9);
    expect([...used[0]].filter((name) => used[1].has(name))).toEqual([]);
  });

  it("answers every call with an observation, whatever a model wrote", () => {
    const [task] = family.generate({ seed: 7, split: "train", count: 1, dials: { failureRate: 0 } });
    const names = fc.oneof(
      fc.constantFrom(...task.tools.map((tool) => tool.function.name), "__proto__", "constructor"),
      fc.string(),
    );
    const keys = fc.oneof(
      fc.constantFrom("name", "town", "text", "number", "account", "from", "to", "__proto__"),
      fc.string(),
    );
    fc.assert(
      fc.property(names, fc.dictionary(keys, fc.jsonValue()), (name, args) => {
        const call = { type: "function" as const, function: { name, arguments: args as JsonObject } };
        const observation = createRunner(task)(call);
        expect(observation).toMatchObject({ name, source: "simulated" });
      }),
    );
  });
});

/** Names of what the tools of a task compute. */
function relationsIn({ setup }: Task): string[] {
  if (setup.kind === "ftrl-like") return Object.values(setup.lookups);
  if (setup.kind === "toolhop-like") return Object.values(setup.functions);
  return setup.kind === "bfcl-like" ? Object.keys(setup.actions) : [];
}

describe("words", () => {
  it("of relations and noise can not be mistaken for names", () => {
    const name = /[bdfklmnrtv][aeio][bdfklmnrtv][aeio]/;
    const words = [...heldOutRelations, ...dateRelations.train, ...dateRelations.heldout].map((r) => r.name);
    for (const word of words) expect(word).not.toMatch(name);
    expect(JSON.stringify(noiseFields).toLowerCase()).not.toMatch(name);
    expect(JSON.stringify(noiseFields)).not.toMatch(/\d/);
  });

  it("of train and held-out worlds are different", () => {
    const ofStores = (split: Split) => [
      ...themes[split].flatMap((theme) => Object.values(theme)),
      ...Object.values(storeWords[split].verbs).flat(),
      storeWords[split].open,
      storeWords[split].closed,
    ];
    const ofChains = (split: Split) => [
      ...(split === "train" ? relations : heldOutRelations).map(({ name }) => name),
      ...dateRelations[split].map(({ name }) => name),
      ...transforms[split].map(({ name }) => name),
    ];
    for (const words of [ofStores, ofChains]) {
      const all = [...words("train"), ...words("heldout")];
      expect(new Set(all).size).toBe(all.length);
    }
    // The two tables have relations of the same kinds, so that chains have the same shapes.
    const kinds = (table: typeof relations) => table.map(({ from, to }) => `${from} ${to}`).sort();
    expect(kinds(heldOutRelations)).toEqual(kinds(relations));
  });
});
