/** Bad data gets an error with file, line and field, or is counted and listed. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBfclEnvironment, loadBfcl, OptionError, TaskFileError } from "@pact/tools-sim";
import { afterAll, describe, expect, it, test } from "vitest";
import { main } from "../../../scripts/conformance/bfcl.ts";
import { requireData } from "../../helpers/require.ts";

const published = requireData("benchmarks/bfcl");
const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

const name = "BFCL_v4_multi_turn_base.json";
const task = {
  id: "a",
  question: [[{ role: "user", content: "Go." }], []],
  initial_config: { MathAPI: {} },
  involved_classes: ["MathAPI"],
  missed_function: { "1": ["add"] },
};
const truth = { id: "a", ground_truth: [["mean([1, 2])"], ["add(1, 2)"]] };

/** A folder with the published documents and tables, and these lines. */
function folder(lines: (object | string)[], answers: (object | string)[] = [truth]): string {
  const path = mkdtempSync(join(tmpdir(), "pact-bfcl-"));
  made.push(path);
  for (const shared of ["multi_turn_func_doc", "derived"])
    symlinkSync(join(published!, shared), join(path, shared));
  mkdirSync(join(path, "possible_answer"));
  const text = (rows: (object | string)[]) =>
    rows.map((r) => (typeof r === "string" ? r : JSON.stringify(r))).join("\n");
  writeFileSync(join(path, name), text(lines));
  writeFileSync(join(path, "possible_answer", name), text(answers));
  return path;
}

function problem(path: string): string {
  try {
    loadBfcl(path);
  } catch (error) {
    expect(error).toBeInstanceOf(TaskFileError);
    return (error as Error).message.replaceAll(path, "…");
  }
  return "none";
}

describe.skipIf(!published)("the ground truth", () => {
  const answers = `possible_answer/${name}:1: field "ground_truth[1][0]"`;
  test.each([
    ["rm('x')", 'calls the unknown function "rm", which is of no involved class'],
    ["MathAPI.nothing(1)", 'calls the unknown function "MathAPI.nothing"'],
    ["add(1, 2", "is no call: "],
    ["add(1, 2) add", "is no call: "],
  ])("%s is refused", (call, problemText) => {
    const path = folder([task], [{ ...truth, ground_truth: [[], [call]] }]);
    expect(problem(path)).toContain(`…/${answers} ${problemText}`);
    const { tasks, skipped } = loadBfcl(path, { skipInvalid: true });
    expect(tasks).toEqual([]);
    expect(skipped).toHaveLength(1);
  });
});

it.skipIf(!published)("a folder without tasks does not conform", () => {
  const printed: string[] = [];
  expect(main(["--dir", folder([], []), "--json"], (line) => printed.push(line))).toBe(2);
  expect(printed.at(-1)).toContain("holds no valid task");
});

describe.skipIf(!published)("loadBfcl", () => {
  test.each<[string, object | string, string]>([
    ["no JSON", "{", `…/${name}:1: not valid JSON`],
    ["no object", "[1]", `…/${name}:1: expected a JSON object, got a list`],
    ["no id", { ...task, id: undefined }, 'field "id" is missing'],
    ["an id without truth", { ...task, id: "b" }, 'field "id" "b" has no line in possible_answer/'],
    [
      "an unknown class",
      { ...task, involved_classes: ["Shell"] },
      'field "involved_classes" names the unknown class "Shell"; there are GorillaFileSystem,',
    ],
    [
      "an inherited class",
      { ...task, involved_classes: ["constructor"] },
      'names the unknown class "constructor"',
    ],
    [
      "other turns than the truth",
      { ...task, question: [[]] },
      'field "question" has 1 turns, its ground truth 2',
    ],
    [
      "a message without text",
      { ...task, question: [[{ role: "user" }], []] },
      'field "question[0]" must hold a message with text',
    ],
    [
      "an unknown function",
      { ...task, missed_function: { "1": ["fly"] } },
      'field "missed_function" names the unknown function "fly"',
    ],
    [
      "a turn that is none",
      { ...task, missed_function: { "9": ["add"] } },
      'field "missed_function" names turn "9", there are 2',
    ],
    [
      "a configuration that is no object",
      { ...task, initial_config: 3 },
      'field "initial_config" must be an object',
    ],
  ])("names %s", (_name, line, message) => {
    expect(problem(folder([line]))).toContain(message);
  });

  it("names a duplicate, a folder without files, and text that is not UTF-8", () => {
    expect(problem(folder([task, task]))).toContain(`${name}:2: field "id" "a" occurs twice`);
    expect(problem(folder([task], [truth, truth]))).toContain(
      `possible_answer/${name}:2: field "id" "a" occurs twice`,
    );
    const broken = folder([task]);
    writeFileSync(
      join(broken, name),
      Buffer.concat([readFileSync(join(broken, name)), Buffer.from([0xff, 0xfe])]),
    );
    expect(problem(broken)).toBe(`…/${name}:1: is not UTF-8`);
    const empty = mkdtempSync(join(tmpdir(), "pact-bfcl-"));
    made.push(empty);
    cpSync(join(published!, "multi_turn_func_doc"), join(empty, "multi_turn_func_doc"), { recursive: true });
    symlinkSync(join(published!, "derived"), join(empty, "derived"));
    expect(problem(empty)).toContain("no file BFCL_v4_multi_turn_<category>.json");
  });

  it("counts and lists what it leaves out", () => {
    const { tasks, skipped } = loadBfcl(folder(["{", task, { ...task, id: "b" }]), { skipInvalid: true });
    expect(tasks.map(({ id }) => id)).toEqual(["a"]);
    expect(skipped).toHaveLength(2);
    expect(skipped[0]).toContain(":1: not valid JSON");
  });
});

describe.skipIf(!published)("an episode", () => {
  const start = (options = {}) => {
    const { tasks, resources } = loadBfcl(folder([task]));
    const environment = createBfclEnvironment(tasks[0], resources, options);
    return { environment, ...environment.reset() };
  };
  const names = (tools: { function: { name: string } }[]) => tools.map((tool) => tool.function.name);
  const call = (name: string, args: string) =>
    `<tool_call>{"name": "${name}", "arguments": ${args}}</tool_call>`;

  it("offers a granted function from its turn on, and asks what about now", async () => {
    const { environment, messages, tools } = start();
    expect(messages).toEqual([{ role: "user", content: "Go." }]);
    expect(names(tools)).toContain("mean");
    expect(names(tools)).not.toContain("add");
    const first = await environment.step(call("mean", '{"numbers": [1, 2]}'));
    expect(first.messages).toEqual([{ role: "tool", name: "mean", content: '{"result": 1.5}' }]);
    const turn = await environment.step("Done.");
    expect(turn.messages).toEqual([
      { role: "user", content: "I have updated some more functions you can choose from. What about now?" },
    ]);
    expect(names(turn.tools!)).toContain("add");
    expect(turn).toMatchObject({ done: false, terminated: false });
    await environment.step(call("add", '{"a": 1, "b": 2}'));
    expect(await environment.step("Done.")).toMatchObject({
      done: true,
      terminated: true,
      stopReason: "completed",
    });
    expect(environment.outcome()).toEqual({ success: true, value: 1 });
  });

  it("is lost after one step too many", async () => {
    const { environment } = start({ maxSteps: 2 });
    const step = () => environment.step(call("mean", '{"numbers": [1, 2]}'));
    await step();
    expect(await step()).toMatchObject({ done: false });
    expect(await step()).toMatchObject({ done: true, truncated: true, stopReason: "step_limit" });
    expect(environment.score()).toEqual({
      correct: false,
      failure: { kind: "turn_count", expected: 2, received: 0 },
    });
    await expect(step()).rejects.toThrow("the episode has ended");
  });

  it("takes served messages and pairs their ids; a wrong call is an observation", async () => {
    const { environment } = start();
    const { messages } = await environment.step({
      role: "assistant",
      content: "",
      tool_calls: [
        { id: "c1", type: "function", function: { name: "mean", arguments: { numbers: [] } } },
        { id: "c2", type: "function", function: { name: "nope", arguments: {} } },
      ],
    });
    expect(messages.map(({ tool_call_id }) => tool_call_id)).toEqual(["c1", "c2"]);
    expect(messages[1].content).toBe("Error during execution: name 'nope' is not defined");
  });

  it("is single-use and checks its options", async () => {
    const { environment } = start();
    expect(() => environment.reset()).toThrow("it is single-use");
    expect(() => start({ maxSteps: 0 })).toThrow(OptionError);
    await environment.close();
    await environment.close();
  });

  it("in the prompting format lists the functions and reads Python", async () => {
    const { environment, messages } = start({ mode: "prompting" });
    expect(messages[0].role).toBe("system");
    expect(messages[0].content).toContain('"name":"mean"');
    const { observations } = await environment.step("[mean([1, 2]), mean(]");
    expect(observations.map(({ content }) => content)).toEqual([
      '{"result": 1.5}',
      'Error during execution: expected a value, found "]"',
    ]);
  });
});
