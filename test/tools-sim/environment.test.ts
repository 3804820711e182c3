import {
  assistantText,
  createEnvironment,
  EnvironmentError,
  ftrlLike,
  OptionError,
  type Task,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

const [task] = ftrlLike.generate({
  seed: 1,
  split: "train",
  count: 1,
  category: "single_hop",
  dials: { failureRate: 0 },
});
const callText = (name: string, args: object) =>
  `<tool_call>${JSON.stringify({ name, arguments: args })}</tool_call>`;
const contents = (result: { observations: { content: string }[] }) =>
  result.observations.map((o) => o.content);

function started(of: Task, options = {}) {
  const environment = createEnvironment(of, options);
  environment.reset();
  return environment;
}

describe("createEnvironment", () => {
  it("plays an episode to its answer", async () => {
    const environment = createEnvironment(task);
    const { messages, tools } = environment.reset();
    expect(messages).toEqual(task.messages);
    expect(tools).toEqual(task.tools);
    const first = await environment.step(assistantText(task.trace!.turns[0]));
    expect(first).toMatchObject({ done: false, stopReason: undefined });
    expect(contents(first)).toEqual(task.trace!.turns[0].observations);
    const last = await environment.step(assistantText(task.trace!.final));
    expect(last).toMatchObject({
      done: true,
      stopReason: "answer",
      observations: [],
      parsed: { answer: task.answer },
    });
    expect(environment.score()).toMatchObject({ calls: 1, solveF1: 1 });
    expect(environment.replayed).toBe(false);
  });

  it("is single-use and says what to call", async () => {
    const environment = createEnvironment(task);
    await expect(environment.step("")).rejects.toThrow(/call reset\(\) first/);
    environment.reset();
    expect(() => environment.reset()).toThrow(EnvironmentError);
    await environment.step("<answer>x</answer>");
    await expect(environment.step("more")).rejects.toThrow(/has ended: call createEnvironment\(task\)/);
    expect(() => createEnvironment(task, { maxTurns: 0 })).toThrow(OptionError);
  });

  it("does not let a caller change the task through what reset returned", () => {
    const before = JSON.stringify(task);
    const { messages, tools } = createEnvironment(task).reset();
    messages[0].content = "changed";
    tools.length = 0;
    expect(JSON.stringify(task)).toBe(before);
  });

  it("answers unknown tools, bad arguments and malformed calls with observations, in order", async () => {
    const [name] = Object.keys(task.unsolved);
    const environment = started(task);
    const text = [
      callText("noSuchTool", {}),
      callText("constructor", {}),
      callText(name, { wrong: "x" }),
      callText(name, { person: 1, town: 2 }),
      "<tool_call>{oops</tool_call>",
      assistantText(task.trace!.turns[0]).replace(/^<think>.*<\/think>/, ""),
    ].join("");
    const result = await environment.step(text);
    expect(contents(result)).toEqual([
      '{"error": "unknown tool"}',
      '{"error": "unknown tool"}',
      '{"error": "bad arguments"}',
      '{"error": "bad arguments"}',
      '{"error": "call is not valid JSON"}',
      task.trace!.turns[0].observations[0],
    ]);
    expect(result.observations.map((o) => o.error)).toEqual([true, true, true, true, true, false]);
    expect(result.done).toBe(false);
    // The broken call was never executed, so FTRL's C does not count it.
    expect(environment.score()).toMatchObject({ calls: 5, solved: 1 });
  });

  it("never echoes an argument: naming the golden earns nothing", async () => {
    const [[name, [golden]]] = Object.entries(task.unsolved);
    const definition = task.tools.find((tool) => tool.function.name === name);
    const [key] = definition!.function.parameters.required!;
    const environment = started(task);
    await environment.step(callText(name, { [key]: `not ${golden}` }) + callText(name, { [golden]: golden }));
    expect(environment.score()).toMatchObject({ calls: 2, solved: 0 });
  });

  it.each([
    ["no_call", "I do not know"],
    ["no_call", ""],
    ["no_call", "<think>call it"],
    ["answer", "<think>so</think><answer>1</answer>"],
  ])("stops with %s after %j", async (stopReason, text) => {
    expect(await started(task).step(text)).toMatchObject({ done: true, stopReason, observations: [] });
  });

  it("goes on when an answer stands beside a call, and stops at the turn limit", async () => {
    const environment = started(task, { maxTurns: 2 });
    const both = `${callText("f", {})}<answer>1</answer>`;
    expect(await environment.step(both)).toMatchObject({ done: false });
    expect(await environment.step(both)).toMatchObject({ done: true, stopReason: "turn_limit" });
  });

  it("can end on malformed replies as FTRL does", async () => {
    const result = await started(task, { malformed: "end" }).step("<tool_call>{</tool_call>");
    expect(result).toMatchObject({ done: true, stopReason: "malformed", observations: [] });
  });

  it("fails alike for every member of a group, and only on the first try", async () => {
    const tasks = ftrlLike.generate({ seed: 8, split: "train", count: 400, category: "single_hop" });
    let failed = 0;
    for (const each of tasks) {
      const call = assistantText({ chunks: [], calls: each.trace!.turns[0].calls });
      const [a, b] = [started(each), started(each)];
      const first = await a.step(call);
      expect(contents(await b.step(call))).toEqual(contents(first));
      const second = await a.step(call);
      expect(second.observations[0].error).toBe(false);
      if (first.observations[0].error) {
        failed++;
        expect(contents(first)).toEqual(['{"error": "timeout"}']);
      }
    }
    // 8 % of 400, within four standard deviations.
    expect(failed).toBeGreaterThan(10);
    expect(failed).toBeLessThan(54);
  });

  it("adds small non-negative integers only", async () => {
    const sums = ftrlLike.generate({
      seed: 1,
      split: "train",
      count: 1,
      category: "parallel_single_hop",
      dials: { sumShare: 1, failureRate: 0 },
    });
    const environment = started(sums[0]);
    const inputs = [
      { a: 20, b: 22 },
      { a: 0, b: 999 },
      { a: -1, b: 2 },
      { a: 1.5, b: 2 },
      { a: "1", b: 2 },
      { a: 1 },
      { a: 1, b: 2, c: 3 },
    ];
    const result = await environment.step(inputs.map((args) => callText("math_add", args)).join(""));
    const bad = '{"error": "bad arguments"}';
    expect(contents(result)).toEqual(['{"sum": 42}', '{"sum": 999}', bad, bad, bad, bad, bad]);
  });
});
