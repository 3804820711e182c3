/** Episodes over tools of one's own: the protocol, every syntax, scores, and what goes wrong. */

import {
  createToolEnvironment,
  EnvironmentError,
  type Message,
  OptionError,
  SchemaError,
  type ToolEnvironmentOptions,
  type Tools,
  tool,
} from "@pact/tools-sim";
import { describe, expect, it, test } from "vitest";

/** A counter: state that every episode must have for itself. */
const counter = (): Tools => {
  let total = 0;
  const inputSchema = { type: "object", properties: { by: { type: "integer" } }, required: ["by"] };
  return {
    add: tool({
      inputSchema,
      execute({ by }) {
        total += Number(by);
        return { total };
      },
    }),
  };
};
const make = (options: Partial<ToolEnvironmentOptions> = {}) =>
  createToolEnvironment({
    id: "count",
    messages: [{ role: "user", content: "Count to 3." }],
    tools: counter,
    ...options,
  });
const started = (options: Partial<ToolEnvironmentOptions> = {}) => {
  const environment = make(options);
  environment.reset();
  return environment;
};
const add = (by: unknown) =>
  `<tool_call>{"name": "add", "arguments": {"by": ${JSON.stringify(by)}}}</tool_call>`;

describe("createToolEnvironment", () => {
  it("plays an episode", async () => {
    const environment = make();
    const { messages, tools } = environment.reset();
    expect(messages).toEqual([{ role: "user", content: "Count to 3." }]);
    expect(tools.map((each) => each.function.name)).toEqual(["add"]);
    const first = await environment.step(add(1) + add(2));
    expect(first.messages.map(({ content }) => content)).toEqual(['{"total": 1}', '{"total": 3}']);
    expect(first).toMatchObject({ done: false, terminated: false, truncated: false, stopReason: undefined });
    expect(environment.outcome()).toEqual({ success: false, value: 0 });
    expect(await environment.step("<answer>3</answer>")).toMatchObject({
      done: true,
      terminated: true,
      truncated: false,
      stopReason: "answer",
    });
    expect(environment.outcome()).toEqual({ success: true, value: 1 });
  });

  test.each<[string, string | Message]>([
    ["Hermes", add(2)],
    ["Qwen3-Coder", "<tool_call><function=add><parameter=by>2</parameter></function></tool_call>"],
    ["Python", "[add(2)]"],
    [
      "OpenAI",
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "x", type: "function", function: { name: "add", arguments: { by: 2 } } }],
      },
    ],
  ])("reads calls in the syntax of %s", async (_, reply) => {
    const { observations } = await started().step(reply);
    expect(observations).toMatchObject([{ content: '{"total": 2}', error: false }]);
  });

  it("gives every episode tools of its own", async () => {
    const [one, two] = [started(), started()];
    await one.step(add(5));
    expect((await two.step(add(1))).observations[0].content).toBe('{"total": 1}');
  });

  it("observes what goes wrong, in the order of the calls", async () => {
    const { observations, messages } = await started().step(`${add("1")}<tool_call>{</tool_call>${add(1)}`);
    expect(observations.map(({ error }) => error)).toEqual([true, true, false]);
    expect(observations[0].content).toContain("by");
    expect(messages).toHaveLength(3);
  });

  it("answers a broken call of a message by its id", async () => {
    const calls = [{ id: "x", type: "function", function: { name: "add", arguments: "{" } }];
    const { messages } = await started().step({
      role: "assistant",
      content: "",
      tool_calls: calls,
    } as unknown as Message);
    expect(messages).toMatchObject([{ role: "tool", tool_call_id: "x" }]);
  });

  it("stops at a reply without calls, and at the last turn", async () => {
    expect((await started().step("I can not.")).stopReason).toBe("no_call");
    const environment = started({ maxTurns: 2 });
    await environment.step(add(1));
    expect(await environment.step(add(1))).toMatchObject({
      truncated: true,
      terminated: false,
      stopReason: "turn_limit",
    });
    expect(environment.outcome()).toEqual({ success: false, value: 0 });
  });

  it("scores the episode it is given", async () => {
    const environment = started({
      score: ({ calls, answer, turns, stopReason }) => ({
        success: answer === "3" && stopReason === "answer",
        value: calls.filter(({ observation }) => !observation.error).length / turns.length / 2,
      }),
    });
    await environment.step(add(1) + add("x"));
    await environment.step("<answer> 3 </answer>");
    expect(environment.score()).toEqual({ success: true, value: 0.25 });
    const wrong = started({ score: () => ({ success: true, value: 2 }) });
    expect(() => wrong.score()).toThrow(OptionError);
  });

  it("keeps a time limit per call", async () => {
    const tools: Tools = { hang: { inputSchema: {}, execute: () => new Promise(() => {}) } };
    const { observations } = await started({ tools, timeLimitMs: 5 }).step("[hang(), hang()]");
    expect(observations.map(({ content }) => content)).toEqual(
      new Array(2).fill('{"error": "timeout: no result within 5 ms"}'),
    );
  });

  it("rejects an aborted step and is over then", async () => {
    const controller = new AbortController();
    let runs = 0;
    const tools: Tools = {
      hang: {
        inputSchema: {},
        execute: () => {
          runs++;
          return new Promise(() => {});
        },
      },
    };
    const environment = started({ tools });
    const step = environment.step("[hang(), hang()]", { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(step).rejects.toThrow("enough");
    expect(runs).toBeLessThanOrEqual(1);
    await expect(environment.step("x")).rejects.toThrow(EnvironmentError);
  });

  it("stops a running step when it is closed", async () => {
    const environment = started({
      tools: { hang: { inputSchema: {}, execute: () => new Promise(() => {}) } },
    });
    const step = environment.step("[hang()]");
    await environment.close();
    await expect(step).rejects.toThrow(EnvironmentError);
    await expect(environment.step("x")).rejects.toThrow(EnvironmentError);
  });

  it("is single-use and refuses calls out of order", async () => {
    const environment = make();
    await expect(environment.step("x")).rejects.toThrow(EnvironmentError);
    environment.reset();
    expect(() => environment.reset()).toThrow(EnvironmentError);
    const step = environment.step(add(1));
    await expect(environment.step(add(1))).rejects.toThrow(EnvironmentError);
    await step;
    await environment.close();
    await environment.close();
    await expect(environment.step("x")).rejects.toThrow(EnvironmentError);
  });

  it("refuses settings and tools that can not be used", () => {
    expect(() => make({ maxTurns: 0 })).toThrow(OptionError);
    expect(() => make({ timeLimitMs: 0 })).toThrow(OptionError);
    expect(() => started({ tools: { t: { inputSchema: { type: "string" }, execute: () => 1 } } })).toThrow(
      SchemaError,
    );
  });
});
