import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadToolHop, TaskFileError } from "@pact/tools-sim";
import { afterAll, describe, expect, it } from "vitest";
import { requireData } from "../../helpers/require.ts";

const fixture = fileURLToPath(new URL("../fixtures/toolhop.json", import.meta.url));
const published = requireData("benchmarks/toolhop");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const tool = { name: "f", description: "finds", parameters: { type: "object" } };
const row = {
  id: 1,
  question: "Where?",
  answer: "Oslo",
  sub_task: { "Where is it?": "Oslo" },
  tools: { "Where is it?": tool },
  functions: ["def f(x):\n    return x"],
};
const derived = {
  id: 1,
  complete: true,
  calls: [
    { sub_question: "Where is it?", name: "f", sub_answer: "Oslo", arguments: { x: 1 }, output: "Oslo" },
  ],
  probes: { f: { arguments: {}, output: "no" } },
};

function folderWith(data: string | Buffer, calls?: unknown[], name = "ToolHop.json"): string {
  const folder = mkdtempSync(join(tmpdir(), "toolhop-"));
  folders.push(folder);
  writeFileSync(join(folder, name), data);
  if (calls)
    writeFileSync(join(folder, "derived_calls.jsonl"), calls.map((line) => JSON.stringify(line)).join("\n"));
  return folder;
}
const lines = (...rows: unknown[]) => rows.map((each) => JSON.stringify(each)).join("\n");

describe("loadToolHop", () => {
  it("reads the published form; hops whose tools share a name keep their own source, an episode takes the last", () => {
    const { tasks, skipped } = loadToolHop(fixture);
    expect(skipped).toEqual([]);
    expect(tasks.map(({ id, answer, domain }) => [id, answer, domain])).toEqual([
      ["7", "13", "Ships"],
      ["8b", "1871-05-03", "Ships"],
    ]);
    const [, first, last] = tasks[0].hops;
    expect(first.tool.function.name).toBe(last.tool.function.name);
    expect(first.code).toContain("[0]");
    expect(last.code).toContain("helper");
    expect(tasks[0].codes?.extract_name).toBe(last.code);
    expect(tasks[1].codes).toEqual({ ship_finder: tasks[0].hops[0].code });
  });

  it("finds sources that are not in the order of the hops, and tolerates one too few", () => {
    const two = {
      ...row,
      sub_task: { a: "1", b: "2" },
      tools: { a: { ...tool, name: "first" }, b: { ...tool, name: "second" } },
    };
    const second = "import re\n\nasync def second (x):\n    return x";
    const first = "first: object = lambda x: x";
    const of = (functions: string[]) => loadToolHop(folderWith(lines({ ...two, functions }))).tasks[0].codes;
    expect(of([second, first])).toEqual({ first, second });
    expect(of([second])).toEqual({ first: second, second });
    // A comparison, a longer name and an indented definition define nothing.
    const not = "first == 1\nfirst_two = 2\n  first = 3\ndef firsts(): pass";
    expect(of([not, first])).toEqual({ first, second: first });
  });

  it("joins the copy without sources with its recorded calls", () => {
    const { functions: _, ...bare } = row;
    const folder = folderWith(lines(bare), [derived], "toolhop_subset100.no_code.jsonl");
    const [task] = loadToolHop(folder).tasks;
    expect(task.codes).toBeUndefined();
    expect(task.calls.map(({ output }) => output)).toEqual(["no", "Oslo"]);
  });

  it.each<[string, unknown, RegExp]>([
    ["a missing field", { ...row, answer: undefined }, /ToolHop\.json:1: field "answer" is missing/],
    ["a wrong type", { ...row, question: 3 }, /:1: field "question" must be a string, got number/],
    ["an id", { ...row, id: null }, /:1: field "id" must be a number or a text, got null/],
    ["no tools", { ...row, tools: {} }, /:1: field "tools" must hold a tool/],
    [
      "an unknown sub-question",
      { ...row, tools: { "Who?": tool } },
      /field "tools" has no sub-question "Who\?"/,
    ],
    ["a tool", { ...row, tools: { "Where is it?": {} } }, /tools, Where is it\?: field "name" is missing/],
    ["functions", { ...row, functions: 3 }, /field "functions" must be a list of sources/],
    ["a source", { ...row, functions: [3] }, /field "functions\[0\]" must be Python source/],
    ["a named source", { ...row, functions: { f: [] } }, /field "functions\.f" must be Python source/],
    ["an unknown tool", { ...row, functions: { g: "" } }, /field "functions" has the unknown tool "g"/],
    [
      "no source and no calls",
      { ...row, functions: undefined },
      /field "functions" is missing, and there are no/,
    ],
  ])("names file, line and field: %s", (_, broken, message) => {
    const folder = folderWith(lines(broken));
    expect(() => loadToolHop(folder)).toThrow(TaskFileError);
    expect(() => loadToolHop(folder)).toThrow(message);
    const { tasks, skipped } = loadToolHop(folder, { skipInvalid: true });
    expect(tasks).toEqual([]);
    expect(skipped).toEqual([expect.stringMatching(message)]);
  });

  it("names the place in an array, duplicates, and text that is no JSON or not UTF-8", () => {
    const inArray = folderWith(JSON.stringify([row, 3, row, { ...row, id: "1" }]));
    expect(() => loadToolHop(inArray)).toThrow(/ToolHop\.json\[1\]: expected a JSON object/);
    const { tasks, skipped } = loadToolHop(inArray, { skipInvalid: true });
    expect(tasks).toHaveLength(1);
    expect(skipped.map((reason) => reason.replace(/^.*ToolHop/, ""))).toEqual([
      ".json[1]: expected a JSON object",
      '.json[2]: field "id" 1 occurs twice',
      '.json[3]: field "id" "1" occurs twice',
    ]);
    expect(() => loadToolHop(folderWith("[{"))).toThrow(/ToolHop\.json: not valid JSON/);
    const broken = folderWith(Buffer.concat([Buffer.from(`${lines(row)}\n`), Buffer.from([0xff, 0x0a])]));
    expect(() => loadToolHop(broken)).toThrow(/ToolHop\.json:2: is not UTF-8/);
    expect(loadToolHop(broken, { skipInvalid: true }).tasks).toHaveLength(1);
    expect(() => loadToolHop("/nonexistent")).toThrow(/\/nonexistent: can not be read/);
  });

  it("names what is wrong with the recorded calls", () => {
    expect(() => loadToolHop(folderWith(lines(row), [derived, derived]))).toThrow(
      /derived_calls\.jsonl:2: field "id" 1 occurs twice/,
    );
    const broken = { ...derived, calls: [{ ...derived.calls[0], arguments: [] }] };
    expect(() => loadToolHop(folderWith(lines(row), [broken]))).toThrow(
      /calls\[0\]: field "arguments" must be an object, got a list/,
    );
  });

  it("sets no prototype through names", () => {
    const odd = {
      ...row,
      tools: { "Where is it?": { ...tool, name: "__proto__" } },
      functions: ["__proto__ = 1"],
    };
    const [task] = loadToolHop(folderWith(lines(odd))).tasks;
    expect(Object.keys(task.codes!)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(task.codes)).toBe(Object.prototype);
  });
});

it.skipIf(!published)("loads the published subset", () => {
  const { tasks, skipped } = loadToolHop(published!);
  expect(skipped).toEqual([]);
  expect(tasks).toHaveLength(100);
  expect(tasks.flatMap(({ hops }) => hops)).toHaveLength(450);
  expect(tasks.every(({ codes }) => codes === undefined)).toBe(true);
});
