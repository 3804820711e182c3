/** Calls of tools that users define: no tool can do worse than give an error observation. */

import {
  executeTool,
  OptionError,
  resultLimits,
  type ToolCall,
  type ToolContext,
  type Tools,
} from "@pact/tools-sim";
import { describe, expect, it, test } from "vitest";

type Arguments = ToolCall["function"]["arguments"];
const call = (name: string, args: Arguments = {}, id?: string): ToolCall => ({
  ...(id === undefined ? {} : { id }),
  type: "function",
  function: { name, arguments: args },
});
const run = (execute: (context: ToolContext) => unknown, options = {}) =>
  executeTool(
    { t: { inputSchema: { type: "object" }, execute: (_: never, context) => execute(context) } },
    call("t"),
    options,
  );

const echo = { execute: (input: unknown) => input as Arguments };

describe("executeTool", () => {
  const circular: Record<string, unknown> = {};
  circular.self = { deep: circular };
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];

  test.each<[string, () => unknown, RegExp]>([
    [
      "throws",
      () => {
        throw new Error("no such town");
      },
      /^\{"error": "no such town"\}$/,
    ],
    [
      "throws text",
      () => {
        throw "down";
      },
      /"down"/,
    ],
    [
      "throws nothing",
      () => {
        throw undefined;
      },
      /null/,
    ],
    [
      "throws what throws when read",
      () => {
        throw Object.defineProperty(new Error(), "message", {
          get() {
            throw new Error("x");
          },
        });
      },
      /can not be read/,
    ],
    ["rejects", () => Promise.reject(new Error("refused")), /refused/],
    ["gives a circular result", () => circular, /result\.self\.deep contains itself/],
    ["gives a result without bottom", () => deep, /nested deeper/],
    ["gives NaN", () => ({ a: [Number.NaN] }), /result\.a\[0\] is NaN/],
    ["gives a function", () => () => 1, /function/],
    ["gives a Map", () => new Map(), /Map/],
    [
      "gives a getter that throws",
      () => ({
        get a() {
          throw new Error("hidden");
        },
      }),
      /hidden/,
    ],
    [
      "gives a revoked proxy",
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      },
      /proxy/,
    ],
    [
      "gives what throws on every access",
      () =>
        new Proxy(
          {},
          {
            get() {
              throw new Error("not yet");
            },
          },
        ),
      /not yet/,
    ],
    [
      "gives a stream that fails",
      async function* () {
        yield 1;
        throw new Error("broken pipe");
      },
      /broken pipe/,
    ],
  ])("turns a tool that %s into an observation", async (_, execute, message) => {
    const { error, content } = await run(execute);
    expect(error).toBe(true);
    expect(content).toMatch(message);
    expect(content.length).toBeLessThan(3000);
  });

  test.each<[unknown, string]>([
    ["as it is", "as it is"],
    [{ a: 1, b: [true, null], c: undefined }, '{"a": 1, "b": [true, null]}'],
    [undefined, "null"],
    [12345678901234567890n, "12345678901234567890"],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [new Array(3), "[null, null, null]"],
  ])("writes %o", async (value, text) => {
    expect(await run(() => value)).toMatchObject({ content: text, error: false });
  });

  it.each<[string, unknown]>([
    ["a string", "x".repeat(3_000_000)],
    ["a list", new Array(3_000_000).fill(1)],
    ["a sparse list", new Array(2 ** 32 - 1)],
    ["a string inside", { text: "x".repeat(3_000_000) }],
  ])("cuts %s that is too long", async (_, value) => {
    const { content } = await run(() => value);
    expect(content.slice(resultLimits.textLength)).toBe("… (cut after 100000 characters)");
  });

  it("ends the wait at the time limit and tells the tool", async () => {
    let heard: unknown;
    const { error, content } = await run(
      ({ signal }) => {
        signal.addEventListener("abort", () => {
          heard = signal.reason;
        });
        return new Promise(() => {});
      },
      { timeLimitMs: 20 },
    );
    expect({ error, content }).toEqual({
      error: true,
      content: '{"error": "timeout: no result within 20 ms"}',
    });
    expect(heard).toMatchObject({ name: "TimeoutError" });
  });

  it("ends the wait when it is cancelled, before and while the tool runs", async () => {
    const controller = new AbortController();
    let started = 0;
    const hang = () => {
      started++;
      return new Promise(() => {});
    };
    const running = run(hang, { signal: controller.signal });
    await Promise.resolve();
    controller.abort(new Error("stop"));
    expect((await running).content).toBe('{"error": "cancelled"}');
    expect((await run(hang, { signal: controller.signal })).content).toBe('{"error": "cancelled"}');
    expect(started).toBe(1);
  });

  it("forgets a failure that comes after the time limit", async () => {
    const late = run(
      () =>
        new Promise((_, reject) => {
          setTimeout(() => reject(new Error("late")), 30);
        }),
      { timeLimitMs: 5 },
    );
    expect((await late).content).toContain("timeout");
    // An unhandled rejection would fail the test run.
    await new Promise((resolve) => {
      setTimeout(resolve, 60);
    });
  });

  it("knows no tools but its own", async () => {
    const tools: Tools = { add: { inputSchema: {}, execute: () => 1 } };
    for (const name of ["sub", "toString", "constructor", "__proto__"]) {
      const { error, content } = await executeTool(tools, call(name));
      expect({ error, content }).toEqual({
        error: true,
        content: '{"error": "unknown tool; the tools are add"}',
      });
    }
  });

  it("does not let a tool change the call", async () => {
    const given = call("t", { list: [1] });
    await executeTool(
      { t: { inputSchema: {}, execute: (input: { list: number[] }) => input.list.push(2) } },
      given,
    );
    expect(given.function.arguments).toEqual({ list: [1] });
  });

  it("does not take inherited members for arguments", async () => {
    const inputSchema = {
      type: "object",
      required: ["constructor"],
      properties: { constructor: { type: "string" } },
    };
    const tools: Tools = { t: { inputSchema, ...echo } };
    expect((await executeTool(tools, call("t"))).error).toBe(true);
    expect((await executeTool(tools, call("t", { constructor: "x" }))).content).toBe('{"constructor": "x"}');
  });

  it("turns a check that throws or hangs into an observation", async () => {
    const standard = (validate: () => never | Promise<never>) => ({
      "~standard": { version: 1 as const, vendor: "test", validate },
    });
    const throwing: Tools = {
      t: {
        inputSchema: standard(() => {
          throw new Error("odd");
        }),
        jsonSchema: {},
        execute: () => 1,
      },
    };
    expect((await executeTool(throwing, call("t"))).content).toContain("can not be checked: odd");
    const hanging: Tools = {
      t: { inputSchema: standard(() => new Promise(() => {})), jsonSchema: {}, execute: () => 1 },
    };
    expect((await executeTool(hanging, call("t"), { timeLimitMs: 5 })).content).toContain("timeout");
  });

  it.each([0, -1, Number.NaN, 2 ** 31])("refuses a time limit of %d", async (timeLimitMs) => {
    await expect(run(() => 1, { timeLimitMs })).rejects.toThrow(OptionError);
  });
});
