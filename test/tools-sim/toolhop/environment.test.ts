import { fileURLToPath } from "node:url";
import {
  createToolHopEnvironment,
  loadToolHop,
  OptionError,
  openSuite,
  type Sandbox,
  type ToolHopOptions,
  toolHopScenarios,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { conformsToEnvironment } from "../../conformance/environment.ts";
import { requireData } from "../../helpers/require.ts";

const fixture = fileURLToPath(new URL("../fixtures/toolhop.json", import.meta.url));
const published = requireData("benchmarks/toolhop");
const [task] = loadToolHop(fixture).tasks;

/** A sandbox that adds names: enough for an episode, whatever the source says. */
const createSandbox = (): Sandbox => ({
  async call(name) {
    if (name === "total_length") return { ok: true, value: "13", kind: "other", json: "13" };
    if (name === "ship_finder")
      return { ok: false, error: "no ship", reason: "exception", exception: "ValueError" };
    return { ok: true, value: "Ottilie", kind: "string", json: '"Ottilie"' };
  },
  async close() {},
});
const call = (name: string, args: object = {}) =>
  `<tool_call>${JSON.stringify({ name, arguments: args })}</tool_call>`;

function started(options: ToolHopOptions = {}) {
  const environment = createToolHopEnvironment(task, { createSandbox, ...options });
  const start = environment.reset();
  return { environment, start };
}

conformsToEnvironment({
  name: "toolhop",
  create: () => createToolHopEnvironment(task, { createSandbox }),
  solution: [call("extract_name"), call("total_length"), "<answer>13</answer>"],
});

describe("createToolHopEnvironment", () => {
  it.each(toolHopScenarios)("%s: asks for a short answer, ISO dates and digits", (scenario) => {
    const { messages, tools } = started({ scenario }).start;
    expect(messages).toHaveLength(1);
    const [{ role, content }] = messages;
    expect(role).toBe("user");
    for (const demand of ["<answer>", "YYYY-MM-DD", "digits", task.question])
      expect(content).toContain(demand);
    expect(content.includes("Call a tool at every step")).toBe(scenario === "mandatory");
    expect(tools).toHaveLength(scenario === "direct" ? 0 : 4);
  });

  it("scores the answer, and the feedback that was an error", async () => {
    const { environment } = started();
    const first = await environment.step(call("ship_finder") + call("no_such_tool") + call("extract_name"));
    expect(first.messages.map(({ content }) => content)).toEqual([
      "an error occured when call ship_finder: no ship",
      "an error occured when call no_such_tool: 'no_such_tool'",
      "Ottilie",
    ]);
    expect((await environment.step("<answer>13</answer>")).stopReason).toBe("answer");
    expect(environment.score()).toEqual({ correct: true, correctOriginal: true, calls: 3, callErrors: 2 });
    expect(environment.outcome()).toEqual({ success: true, value: 1 });
  });

  it("takes the tool's answer for the model's where the model says anything", async () => {
    const { environment } = started();
    await environment.step(call("total_length"));
    await environment.step("done");
    expect(environment.score()).toMatchObject({ correct: true, correctOriginal: true });
  });

  it("is wrong after nine replies with calls", async () => {
    const { environment } = started();
    for (let turn = 1; turn < 9; turn++)
      expect((await environment.step(call("total_length"))).done).toBe(false);
    expect(await environment.step(call("total_length"))).toMatchObject({
      truncated: true,
      stopReason: "turn_limit",
    });
    expect(environment.score()).toEqual({ correct: false, correctOriginal: false, calls: 9, callErrors: 0 });
  });

  it("takes a reply whose calls are all malformed for its text", async () => {
    const { environment } = started();
    const step = await environment.step("13 <tool_call>{</tool_call>");
    expect(step).toMatchObject({ done: true, stopReason: "malformed", observations: [] });
    expect(environment.score()).toMatchObject({ correct: true, calls: 0 });
  });

  it("direct: has one reply, whose calls lead nowhere", async () => {
    const { environment } = started({ scenario: "direct" });
    expect((await environment.step(`13${call("total_length")}`)).done).toBe(true);
    expect(environment.score()).toEqual({ correct: true, correctOriginal: true, calls: 1, callErrors: 1 });
  });

  it("shows results through JSON on request", async () => {
    const { environment } = started({ results: "json" });
    const { observations } = await environment.step(call("extract_name") + call("total_length"));
    expect(observations.map(({ content }) => content)).toEqual(['"Ottilie"', "13"]);
  });

  it("replays recorded calls where there is no source, quoted on request", async () => {
    const calls = ["Oslo", '{"a": 1}', "[broken"].map((output, x) => ({
      name: "f",
      arguments: { x },
      output,
    }));
    const { codes: _, ...bare } = { ...task, calls };
    const contents = async (results: "text" | "json") => {
      const environment = createToolHopEnvironment(bare, { results });
      expect(environment.replayed).toBe(true);
      environment.reset();
      const text = [0, 1, 2, 3].map((x) => call("f", { x })).join("");
      return (await environment.step(text)).observations.map(({ content }) => content);
    };
    expect(await contents("text")).toEqual([
      "Oslo",
      '{"a": 1}',
      "[broken",
      expect.stringContaining("error occured"),
    ]);
    expect(await contents("json")).toEqual([
      '"Oslo"',
      '{"a": 1}',
      '"[broken"',
      expect.stringContaining("error occured"),
    ]);
  });

  it("refuses limits out of range", () => {
    expect(() => createToolHopEnvironment(task, { maxTurns: 0 })).toThrow(OptionError);
  });
});

it("executes the sources of the fixture, in the sandbox", async () => {
  const environment = createToolHopEnvironment(task);
  expect(environment.replayed).toBe(false);
  environment.reset();
  try {
    const { observations } = await environment.step(
      call("ship_finder", { name: "Marel" }) +
        call("extract_name", { full_name: "Ottilie Brandt", upper: true }),
    );
    expect(observations.map(({ content }) => content)).toEqual([
      '{"captain": "Ottilie Brandt"}',
      '{"last_name": "BRANDT"}',
    ]);
  } finally {
    await environment.close();
  }
}, 60_000);

describe("openSuite", () => {
  it("has the tasks of one scenario, mandatory unless asked otherwise", () => {
    const ids = (category?: string) =>
      openSuite("toolhop", { data: fixture, category }).tasks.map(({ taskId, category: of, create }) => {
        expect(create().taskId).toBe(taskId);
        return `${of} ${taskId}`;
      });
    expect(ids()).toEqual(["mandatory toolhop/mandatory/7", "mandatory toolhop/mandatory/8b"]);
    expect(ids("free")).toEqual(["free toolhop/free/7", "free toolhop/free/8b"]);
    expect(() => ids("simple")).toThrow(/no task of category "simple"; there are direct, mandatory, free/);
  });
});

it.skipIf(!published)(
  "the recorded calls of the published subset, replayed, solve the tasks whose last hop they have",
  async () => {
    const { tasks } = loadToolHop(published!);
    let solved = 0;
    let errors = 0;
    for (const each of tasks) {
      const environment = createToolHopEnvironment(each, { maxTurns: 20 });
      environment.reset();
      const probes = new Set(each.hops.map(({ tool }) => tool.function.name)).size;
      for (const { name, arguments: args } of each.calls.slice(probes))
        await environment.step(call(name, args));
      await environment.step("That is what the tools say.");
      const { correct, callErrors } = environment.score();
      if (correct) solved++;
      errors += callErrors;
    }
    console.log(`ToolHop: replayed calls solve ${solved} of ${tasks.length} tasks, ${errors} calls fail`);
    expect(errors).toBe(0);
    expect(solved).toBeGreaterThanOrEqual(81);
  },
);
