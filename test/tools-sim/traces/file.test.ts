import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@cfworker/json-schema";
import {
  buildTraces,
  checkTrace,
  ftrlLike,
  type JsonObject,
  openSuite,
  readTraces,
  scriptedTeacher,
  TaskFileError,
  type TraceRecord,
  traceLine,
  withTraces,
} from "@pact/tools-sim";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "pact-traces-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "traces.jsonl");

const { tasks } = openSuite("ftrl-like", { count: 8, seed: 3, split: "train" });
const traces: TraceRecord[] = [];
for await (const { kept } of buildTraces(tasks, {
  environment: "ftrl-like",
  teacher: scriptedTeacher(tasks),
}))
  if (kept) traces.push(kept);

const schema = JSON.parse(
  readFileSync(new URL("../../../packages/tools-sim/schema/trace.schema.json", import.meta.url), "utf8"),
);
const validator = new Validator(schema, "2020-12");
const write = (...lines: unknown[]) =>
  writeFileSync(
    path,
    lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"),
  );

describe("a trace file", () => {
  it("is read as it was written, and its traces go back into tasks", () => {
    writeFileSync(path, traces.map((trace) => `${traceLine(trace)}\n`).join(""));
    const read = readTraces(path);
    expect(read.traces.map(({ trace }) => trace)).toEqual(traces);
    const bare = ftrlLike.generate({ seed: 3, split: "train", count: 9 });
    const given = withTraces(bare, read.traces);
    expect(given[0].trace!.turns).toHaveLength(traces[0].turns.length);
    expect(given[0].trace!.final).toEqual(bare[0].trace!.final);
    expect(given[8].trace).toBeUndefined();
  });
  it.each([
    ["no JSON", "{", "not valid JSON"],
    ["another version", { ...traces[0], version: 2 }, 'field "version" must be 1, got 2'],
    ["a missing field", { ...traces[0], question: undefined }, 'field "question" is missing'],
    [
      "a wrong type",
      { ...traces[0], answerInObservations: "yes" },
      'field "answerInObservations" must be true or false',
    ],
    [
      "an unknown pattern",
      { ...traces[0], turns: [{ ...traces[0].turns[0], pattern: "x" }] },
      'turns[0]: field "pattern" must be one of initial_attempt',
    ],
    [
      "an unknown type",
      { ...traces[0], final: { ...traces[0].final, chunks: [{ type: "x", text: "y" }] } },
      'final, chunks[0]: field "type" must be one of task_restate',
    ],
    [
      "a turn without calls",
      { ...traces[0], turns: [{ ...traces[0].turns[0], calls: [] }] },
      'turns[0]: field "calls" must not be empty',
    ],
  ])("with %s is refused by line and field, or the line is skipped", (_, line, problem) => {
    write(traces[1], line);
    expect(() => readTraces(path)).toThrow(TaskFileError);
    expect(() => readTraces(path)).toThrow(`${path}:2`);
    expect(() => readTraces(path)).toThrow(problem);
    const { traces: rest, skipped } = readTraces(path, { skipInvalid: true });
    expect(rest.map(({ trace }) => trace)).toEqual([traces[1]]);
    expect(skipped).toHaveLength(1);
    expect(skipped[0]).toContain(problem);
  });
  it("holds an id once", () => {
    write(traces[0], traces[1], traces[0]);
    expect(() => readTraces(path)).toThrow(`${path}:3: field "id" occurs twice, first at ${path}:1`);
  });
  it("is valid for the published schema exactly when it can be read", () => {
    const places: (readonly (string | number)[])[] = [];
    const walk = (value: unknown, at: readonly (string | number)[]) => {
      if (at.length > 0) places.push(at);
      // What tools take and say is anyone's: the schema says nothing of what is inside.
      if (at.includes("parameters") || at.includes("arguments")) return;
      if (typeof value === "object" && value !== null)
        for (const [key, item] of Object.entries(value))
          walk(item, [...at, Array.isArray(value) ? Number(key) : key]);
    };
    walk(traces[0], []);
    const values = fc.constantFrom(
      null,
      true,
      1,
      2,
      "",
      "x",
      "other",
      "rules",
      "answer",
      "function",
      [],
      {},
      [1],
      ["x"],
      undefined,
    );
    const outcomes = { valid: 0, invalid: 0 };
    fc.assert(
      fc.property(fc.constantFrom(...places), values, (place, value) => {
        const copy = structuredClone(traces[0]) as unknown as JsonObject;
        let parent = copy as Record<string | number, unknown>;
        for (const key of place.slice(0, -1)) parent = parent[key] as Record<string | number, unknown>;
        const key = place[place.length - 1];
        // A list keeps its length: JSON has no holes.
        parent[key] = value === undefined && Array.isArray(parent) ? null : value;
        const line = JSON.stringify(copy);
        write(line);
        const { valid } = validator.validate(JSON.parse(line));
        expect(readTraces(path, { skipInvalid: true }).skipped.length === 0).toBe(valid);
        outcomes[valid ? "valid" : "invalid"]++;
      }),
      { numRuns: 400 },
    );
    expect(Math.min(outcomes.valid, outcomes.invalid)).toBeGreaterThan(10);
  });
});

describe("checkTrace", () => {
  const [trace] = traces;
  const [turn] = trace.turns;
  const faultsOf = async (changed: Partial<TraceRecord>) =>
    (await checkTrace({ ...trace, ...changed })).faults.map(({ field, problem }) => `${field} ${problem}`);
  const withTurn = (changed: Partial<typeof turn>) => ({
    turns: [{ ...turn, ...changed }, ...trace.turns.slice(1)],
  });

  it("names every property that does not hold", async () => {
    expect(await faultsOf({})).toEqual([]);
    expect(await faultsOf(withTurn({ reasoning: `${turn.reasoning} More.` }))).toEqual([
      "turns[0].chunks do not reproduce the reasoning",
    ]);
    const noise = "<think>x";
    expect(await faultsOf(withTurn({ reasoning: noise, chunks: [{ type: "other", text: noise }] }))).toEqual([
      "turns[0].reasoning is not normalised",
    ]);
    expect(await faultsOf(withTurn({ pattern: "final_answer_turn" }))).toEqual([
      "turns[0].pattern the final turn must not be among the turns",
    ]);
    expect(await faultsOf(withTurn({ observations: [...turn.observations, "more"] }))).toEqual([
      `turns[0].observations has ${turn.calls.length + 1} entries for ${turn.calls.length} calls`,
    ]);
    const spelt = `${turn.calls[0].name}(x)`;
    expect(await faultsOf(withTurn({ reasoning: spelt, chunks: [{ type: "other", text: spelt }] }))).toEqual([
      "turns[0].chunks[0].type must be explicit_call_preview: its text spells out the call",
    ]);
    expect(
      await faultsOf(withTurn({ calls: turn.calls.map((call) => ({ ...call, name: "oracle" })) })),
    ).toContain('turns[0].calls[0].name is no tool of the trace: "oracle"');
    expect(await faultsOf({ answerInObservations: false })).toEqual([
      "answerInObservations must be true: the observations hold the reference",
    ]);
    expect(await faultsOf({ turns: [], answerInObservations: false })).toEqual(["turns must not be empty"]);
    expect(await faultsOf({ tools: [...trace.tools, trace.tools[0]] })).toEqual([
      `tools[${trace.tools.length}].function.name occurs twice`,
    ]);
  });
  it("warns of arguments that do not fit", async () => {
    const { faults, warnings } = await checkTrace({
      ...trace,
      ...withTurn({ calls: turn.calls.map((call) => ({ ...call, arguments: { x: 1 } })) }),
    });
    expect(faults).toEqual([]);
    expect(warnings[0].field).toBe("turns[0].calls[0].arguments");
  });
});
