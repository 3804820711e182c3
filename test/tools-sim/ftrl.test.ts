import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assistantText, categories, createEnvironment, ftrl, match, TaskFileError } from "@pact/tools-sim";
import { afterAll, describe, expect, it, test } from "vitest";
import { requireData } from "../helpers/require.ts";
import { replay } from "./helpers.ts";

const published = requireData("benchmarks/ftrl");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const tool = {
  type: "function",
  function: { name: "f", description: "finds", parameters: { type: "object" } },
};
const row = {
  messages: [{ role: "user", content: "Use tools.\nQuestion: Where?" }],
  tools: JSON.stringify([tool]),
  unsolved_set: JSON.stringify({ f: ["Kenya"] }),
  data_source: "self/single_hop",
  answer: "Kenya",
};
const derived = {
  index: 0,
  data_source: "self/single_hop",
  complete: true,
  calls: [
    {
      name: "f",
      arguments: { x: 1, y: null },
      output: "in Kenya",
      solves: "Kenya",
      golden_in_arguments: false,
    },
  ],
  probes: { f: { arguments: { x: "unknown" }, output: "nothing" } },
};

function folderWith(rows: unknown[], calls: unknown[]): string {
  const folder = mkdtempSync(join(tmpdir(), "ftrl-"));
  folders.push(folder);
  const lines = (items: unknown[]) =>
    items.map((item) => (typeof item === "string" ? item : JSON.stringify(item))).join("\n");
  writeFileSync(join(folder, "test.no_code.jsonl"), lines(rows));
  writeFileSync(join(folder, "derived_calls.jsonl"), lines(calls));
  return folder;
}

describe("ftrl.load", () => {
  it("reads a row and replays its recorded calls, whatever the order of keys", async () => {
    const [task] = ftrl.load(folderWith([row, ""], [derived]));
    expect(task).toMatchObject({
      id: "ftrl/single_hop/0",
      question: "Where?",
      answer: "Kenya",
      unsolved: { f: ["Kenya"] },
    });
    expect(task.messages[0].content).toContain("Use tools.");
    const environment = createEnvironment(task);
    environment.reset();
    expect(environment.replayed).toBe(true);
    const call = (args: object) => `<tool_call>${JSON.stringify({ name: "f", arguments: args })}</tool_call>`;
    const text = `${call({ y: null, x: 1 })}${call({ x: "unknown" })}${call({ x: 2 })}${call({}).replace('"f"', '"g"')}`;
    const { observations } = await environment.step(text);
    expect(observations).toEqual([
      { name: "f", content: "in Kenya", error: false, source: "recorded" },
      { name: "f", content: "nothing", error: false, source: "recorded" },
      {
        name: "f",
        content: "an error occured when call f: no recorded output for these arguments",
        error: true,
        source: "missing",
      },
      { name: "g", content: "an error occured when call g: unknown tool", error: true, source: "missing" },
    ]);
    expect(environment.score()).toMatchObject({ calls: 4, solved: 1, goldens: 1 });
  });

  it("gives no trace to rows that are incomplete or whose calls contain their golden", () => {
    const call = { ...derived.calls[0], golden_in_arguments: true };
    const variants = [
      { ...derived, complete: false },
      { ...derived, calls: [call] },
      { ...derived, calls: [] },
    ];
    for (const variant of variants) expect(ftrl.load(folderWith([row], [variant]))[0].trace).toBeUndefined();
    expect(ftrl.load(folderWith([row], []))[0].trace).toBeUndefined();
    expect(ftrl.load(folderWith([row], [derived]))[0].trace?.turns).toHaveLength(1);
  });

  it.each([
    ["no JSON", ["{"], [derived], /test\.no_code\.jsonl:1: not valid JSON/],
    ["a list", ["[]"], [derived], /test\.no_code\.jsonl:1: expected a JSON object, got a list/],
    [
      "a missing field",
      [row, { ...row, answer: undefined }],
      [derived],
      /jsonl:2: field "answer" is missing/,
    ],
    [
      "a wrong type",
      [{ ...row, answer: 3 }],
      [derived],
      /jsonl:1: field "answer" must be a string, got number/,
    ],
    ["inner JSON", [{ ...row, tools: "[" }], [derived], /jsonl:1: field "tools" is not valid JSON/],
    [
      "a tool without name",
      [{ ...row, tools: '[{"function": {}}]' }],
      [derived],
      /tools\[0\], function: field "name" is missing/,
    ],
    [
      "goldens",
      [{ ...row, unsolved_set: '{"f": "x"}' }],
      [derived],
      /field "unsolved_set\.f" must be a list/,
    ],
    [
      "a role",
      [{ ...row, messages: [{ role: "root", content: "" }] }],
      [derived],
      /field "role" must be system/,
    ],
    ["no user", [{ ...row, messages: [] }], [derived], /field "messages" has no user message/],
    ["a category", [{ ...row, data_source: "x" }], [derived], /field "data_source" must be self\//],
    [
      "other rows",
      [{ ...row, data_source: "self/multi_hop" }],
      [derived],
      /derived calls of index 0 say self\/single_hop/,
    ],
    [
      "a repeated index",
      [row],
      [derived, derived],
      /derived_calls\.jsonl:2: field "index" must be a row number/,
    ],
    ["an index too high", [row], [{ ...derived, index: 4 }], /index 4 has no row among the 1 tasks/],
    [
      "a probe",
      [row],
      [{ ...derived, probes: { f: { output: "" } } }],
      /probes, f: field "arguments" is missing/,
    ],
  ])("names file, line and field: %s", (_, rows, calls, message) => {
    const folder = folderWith(rows, calls);
    expect(() => ftrl.load(folder)).toThrow(TaskFileError);
    expect(() => ftrl.load(folder)).toThrow(message);
  });

  it("names a folder that is not there", () => {
    expect(() => ftrl.load("/nonexistent")).toThrow(/\/nonexistent: can not be read/);
  });

  it("sets no prototype through tool names", () => {
    const unsolved_set = '{"__proto__": ["x"]}';
    const [task] = ftrl.load(folderWith([{ ...row, unsolved_set }], [derived]));
    expect(Object.getPrototypeOf(task.unsolved)).toBe(Object.prototype);
    expect(Object.keys(task.unsolved)).toEqual(["__proto__"]);
  });
});

describe("rows with source", () => {
  const withCodes = { ...row, codes: JSON.stringify({ f: "def f(x, y=None):\n    return f'{x} in Kenya'" }) };
  const fileWith = (data: string | Buffer, calls?: unknown[]) => {
    const folder = folderWith([], calls ?? []);
    writeFileSync(join(folder, "test.jsonl"), data);
    return join(folder, "test.jsonl");
  };
  const problemOf = (value: object) => fileWith(JSON.stringify({ ...withCodes, ...value }));

  it("are executed, in a folder's test.jsonl or a file of their own, with or without recorded calls", async () => {
    const path = fileWith(JSON.stringify(withCodes), [derived]);
    for (const [task] of [ftrl.load(path), ftrl.load(join(path, ".."))]) {
      const environment = createEnvironment(task, { malformed: "end", maxTurns: 20 });
      expect(environment.replayed).toBe(false);
      environment.reset();
      const { observations } = await environment.step(
        '<tool_call>{"name": "f", "arguments": {"x": 2.0}}</tool_call><tool_call>{"name": "g", "arguments": {}}</tool_call>',
      );
      await environment.close();
      expect(observations).toEqual([
        { name: "f", content: "2.0 in Kenya", error: false, source: "simulated" },
        { name: "g", content: "an error occured when call g: 'g'", error: true, source: "simulated" },
      ]);
      expect(environment.score()).toMatchObject({ calls: 2, solved: 1 });
    }
    expect(ftrl.load(path)[0].trace).toBeUndefined();
    expect(ftrl.load(join(path, ".."))[0].trace?.turns).toHaveLength(1);
  }, 60_000);

  it("take messages as a list or as JSON in a string; null or no codes are none", () => {
    const messages = JSON.stringify(row.messages);
    expect(ftrl.load(problemOf({ messages }))[0].messages).toEqual(row.messages);
    for (const codes of [null, "{}", undefined]) {
      const path = fileWith(JSON.stringify({ ...row, codes }), [derived]);
      expect(createEnvironment(ftrl.load(join(path, ".."))[0]).replayed).toBe(true);
      expect(() => ftrl.load(path)).toThrow(/:1: field "codes" is missing, and there are no recorded calls/);
    }
  });

  it.each<[string, object, RegExp]>([
    [
      "codes that are no string",
      { codes: { f: "" } },
      /test\.jsonl:1: field "codes" must be a string, got object/,
    ],
    ["codes that are no JSON", { codes: "{" }, /:1: field "codes" is not valid JSON/],
    ["codes that are a list", { codes: "[]" }, /:1: field "codes" must hold a JSON object, got a list/],
    ["a source that is no text", { codes: '{"f": 1}' }, /:1: field "codes\.f" must be Python source/],
    ["an unknown tool", { codes: '{"g": ""}' }, /:1: field "codes" has the unknown tool "g"/],
    ["tools that are no JSON", { tools: "f" }, /:1: field "tools" is not valid JSON/],
    ["messages that are no JSON", { messages: "[" }, /:1: field "messages" is not valid JSON/],
  ])("name file, line and field of %s, or are skipped", (_, value, message) => {
    const path = problemOf(value);
    expect(() => ftrl.load(path)).toThrow(TaskFileError);
    expect(() => ftrl.load(path)).toThrow(message);
    const { tasks, skipped } = ftrl.read(path, { skipInvalid: true });
    expect(tasks).toEqual([]);
    expect(skipped).toEqual([expect.stringMatching(message)]);
  });

  it("keep their index when lines before them are skipped, also those that are not UTF-8", () => {
    const line = Buffer.from(`${JSON.stringify(withCodes)}\n`);
    const path = fileWith(Buffer.concat([Buffer.from("{\n"), Buffer.from([0xc3, 0x0a]), line]));
    expect(() => ftrl.load(path)).toThrow(/test\.jsonl:1: not valid JSON/);
    const { tasks, skipped } = ftrl.read(path, { skipInvalid: true });
    expect(tasks.map(({ id }) => id)).toEqual(["ftrl/single_hop/2"]);
    expect(skipped).toEqual([
      expect.stringMatching(/:1: not valid JSON/),
      expect.stringMatching(/:2: is not UTF-8/),
    ]);
    const repeated = fileWith(JSON.stringify(withCodes), [derived, derived, { ...derived, index: 7 }]);
    expect(ftrl.read(join(repeated, ".."), { skipInvalid: true }).skipped).toEqual([
      expect.stringMatching(/derived_calls\.jsonl:2: field "index" must be a row number that occurs once/),
      expect.stringMatching(/index 7 has no row among the 1 tasks/),
    ]);
  });
});

test.skipIf(published === undefined)(
  "loads the 200 published rows; traces replay to F1 = 1 in every category",
  async () => {
    const tasks = ftrl.load(published as string);
    expect(tasks).toHaveLength(200);
    for (const category of categories)
      expect(tasks.filter((task) => task.category === category)).toHaveLength(50);
    expect(tasks.flatMap((task) => Object.values(task.unsolved).flat())).toHaveLength(820);
    let withAnswer = 0;
    const traced = tasks.filter((task) => task.trace !== undefined);
    for (const task of traced) {
      const trace = task.trace!;
      const { observations, score } = await replay(task, trace);
      expect(observations).toEqual(trace.turns.map((turn) => turn.observations));
      expect(score.solveF1).toBe(1);
      expect(assistantText(trace.turns[0])).toContain("<think>");
      if (match(observations.flat().join("\n"), task.answer)) withAnswer++;
    }
    console.log(
      `FTRL: ${traced.length} of 200 rows have a trace, observations hold the answer in ${withAnswer}`,
    );
    expect(traced.length).toBe(159);
  },
);
