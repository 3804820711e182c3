/** Whatever a tool does, an environment answers with an observation; signals and close are honoured. */
import {
  createEnvironment,
  EnvironmentError,
  type EnvironmentOptions,
  type Observation,
  OptionError,
  SandboxError,
  type Task,
  type ToolRunner,
} from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { callLimits, observe } from "../../packages/tools-sim/src/guard.ts";

const task: Task = {
  id: "guard",
  category: "single_hop",
  question: "?",
  messages: [{ role: "user", content: "?" }],
  tools: [],
  unsolved: { f: ["gold"] },
  answer: "gold",
  setup: { kind: "ftrl", calls: [] },
};
const call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>';

function started(runner: unknown, options: EnvironmentOptions = {}) {
  const environment = createEnvironment(task, { createRunner: () => runner as ToolRunner, ...options });
  environment.reset();
  return environment;
}

const good = (content: unknown) => ({ name: "f", content, error: false, source: "simulated" });
const failed = (message: string): Observation => ({
  name: "f",
  content: `an error occured when call f: ${message}`,
  error: true,
  source: "simulated",
});
const thrower = (value: unknown) => () => {
  throw value;
};

describe("a tool that nobody can trust", () => {
  it("may answer later", async () => {
    const environment = started(async () => good("late gold"));
    expect((await environment.step(call)).observations).toEqual([good("late gold")]);
    expect(environment.outcome()).toEqual({ success: true, value: 1 });
  });

  it.each([
    ["throws", thrower(new Error("broken")), "broken"],
    ["throws text", thrower("text"), "text"],
    [
      "throws what has no text",
      thrower(Object.create(null)),
      "the tool failed with an error that has no text",
    ],
    ["rejects", async () => Promise.reject(new TypeError("later")), "later"],
    ["gives nothing", () => undefined, "the result is no text but undefined"],
    ["gives null", () => null, "the result is no text but undefined"],
    ["gives a number", () => good(7), "the result is no text but number"],
    ["gives an object", async () => good({ toString: () => "gold" }), "the result is no text but object"],
    [
      "gives too much",
      () => good("x".repeat(callLimits.contentLength + 1)),
      "the result has 1000001 characters, at most 1000000 are taken",
    ],
    [
      "throws when it is read",
      () => Object.defineProperty({}, "content", { get: thrower(new Error("trap")) }),
      "trap",
    ],
  ])("gets an error observation when it %s, and the episode goes on", async (_, runner, message) => {
    const environment = started(runner);
    const step = await environment.step(call);
    expect(step.observations).toEqual([failed(message)]);
    expect(step.done).toBe(false);
    expect(environment.score()).toMatchObject({ calls: 1, solved: 0 });
    expect((await environment.step("<answer>x</answer>")).stopReason).toBe("answer");
  });

  it("can not pass for another tool, and is heard only where it is asked", async () => {
    const lie = { ...good("gold"), name: "g", error: "no", source: "oracle", callId: "x", extra: 1 };
    expect((await started(() => lie).step(call)).observations).toEqual([good("gold")]);
  });

  it("is given up after the time limit, and told so", async () => {
    let told = false;
    const hangs: ToolRunner = (_, options) => {
      options?.signal?.addEventListener("abort", () => (told = true));
      return new Promise(() => {});
    };
    const { observations } = await started(hangs, { callTimeout: 20 }).step(call);
    expect(observations).toEqual([failed("timed out after 0.02 seconds.")]);
    expect(told).toBe(true);
  });

  it("can throw anything without a crash", async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything({ withBigInt: true, withNullPrototype: true }), async (value) => {
        const request = { type: "function" as const, function: { name: "f", arguments: {} } };
        const thrown = await observe(thrower(value) as ToolRunner, request);
        expect(thrown).toMatchObject({ name: "f", error: true });
        const answered = await observe((() => value) as unknown as ToolRunner, request);
        expect(typeof answered.content).toBe("string");
      }),
    );
  });
});

describe("createEnvironment with tools that answer later", () => {
  it("runs the calls of a reply one after the other", async () => {
    const log: string[] = [];
    const environment = started(async ({ function: { name } }: { function: { name: string } }) => {
      log.push(`${name} starts`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`${name} ends`);
      return good(name);
    });
    await environment.step(call + call.replace('"f"', '"g"'));
    expect(log).toEqual(["f starts", "f ends", "g starts", "g ends"]);
  });

  it("rejects with the signal's reason, stops waiting, and is over", async () => {
    const controller = new AbortController();
    const environment = started(() => new Promise(() => {}));
    const step = environment.step(call, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(step).rejects.toThrow("enough");
    await expect(environment.step("")).rejects.toThrow(/has ended/);
    const late = started(() => good("x"));
    await expect(late.step(call, { signal: controller.signal })).rejects.toThrow("enough");
    await expect(late.step(call)).rejects.toThrow(EnvironmentError);
  });

  it("refuses a second step before the first has returned", async () => {
    let release = (_: unknown) => {};
    const environment = started(() => new Promise((resolve) => (release = resolve)));
    const first = environment.step(call);
    await expect(environment.step(call)).rejects.toThrow(/the last step has not returned; await it/);
    release(good("done"));
    expect((await first).observations).toEqual([good("done")]);
  });

  it("closes its runner, also during a step and twice, and is over", async () => {
    const close = vi.fn(async () => {});
    let release = (_: unknown) => {};
    const runner = Object.assign(() => new Promise((resolve) => (release = resolve)), { close });
    const environment = started(runner);
    const step = environment.step(call);
    await environment.close();
    release(good("x"));
    await step;
    await expect(environment.step(call)).rejects.toThrow(/has ended/);
    await environment.close();
    expect(close).toHaveBeenCalled();
  });

  it("makes no runner for an episode without calls", async () => {
    const createRunner = vi.fn();
    const environment = createEnvironment(task, { createRunner });
    environment.reset();
    await environment.step("<answer>x</answer>");
    await environment.close();
    expect(createRunner).not.toHaveBeenCalled();
  });

  it("does not hide that Python can not be run at all", async () => {
    const environment = started(async () => Promise.reject(new SandboxError("no Pyodide")));
    await expect(environment.step(call)).rejects.toThrow("no Pyodide");
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
    "refuses %s as a time limit",
    (callTimeout) => {
      expect(() => createEnvironment(task, { callTimeout })).toThrow(OptionError);
    },
  );
});
