/** Python tools as FTRL shows them, on a sandbox that is made up and on the real one. */
import { createSandbox, type Sandbox, type SandboxResult, type ToolCall } from "@pact/tools-sim";
import { describe, expect, it, vi } from "vitest";
import { pythonRunner } from "../../packages/tools-sim/src/python-tools.ts";

const call = (
  name: string,
  args: ToolCall["function"]["arguments"] = {},
  argumentsText?: string,
): ToolCall => ({
  type: "function",
  function: { name, arguments: args, argumentsText },
});

function fake(result: SandboxResult) {
  const sandbox = { call: vi.fn(async () => result), close: vi.fn(async () => {}) } satisfies Sandbox;
  const create = vi.fn(() => sandbox);
  return { sandbox, create };
}

const exception = (error: string): SandboxResult => ({
  ok: false,
  reason: "exception",
  error,
  exception: "TypeError",
});

describe("pythonRunner", () => {
  it("gives arguments as they were written where it can", async () => {
    const { sandbox, create } = fake({ ok: true, value: "3", kind: "other", json: "3" });
    const run = pythonRunner({ f: "" }, { createSandbox: create });
    expect(await run(call("f", { x: 10 }, '{"x": 10.0}'))).toEqual({
      name: "f",
      content: "3",
      error: false,
      source: "simulated",
    });
    await run(call("f", { x: 10 }));
    expect(sandbox.call.mock.calls.map((args: unknown[]) => args.slice(0, 2))).toEqual([
      ["f", '{"x": 10.0}'],
      ["f", { x: 10 }],
    ]);
    expect(create).toHaveBeenCalledTimes(1);
  });

  it("answers unknown tools like a dict lookup, without starting anything", async () => {
    const { create } = fake(exception(""));
    const run = pythonRunner({ f: "" }, { createSandbox: create });
    for (const [name, quoted] of [
      ["g", "'g'"],
      ["constructor", "'constructor'"],
      ["it's", '"it\'s"'],
    ])
      expect(await run(call(name))).toMatchObject({
        content: `an error occured when call ${name}: ${quoted}`,
        error: true,
      });
    await run.close?.();
    expect(create).not.toHaveBeenCalled();
  });

  it.each([
    ["f() missing 1 required positional argument: 'x'", "f() missing 1 required positional argument: 'x'"],
    [
      "f() got an unexpected keyword argument 'nam'. Did you mean 'name'?",
      "f() got an unexpected keyword argument 'nam'",
    ],
    ["name 'x' is not defined. Did you mean: 'y'?", "name 'x' is not defined. Did you mean: 'y'?"],
    ["", ""],
  ])("shows the exception %j", async (error, shown) => {
    const run = pythonRunner({ f: "" }, { createSandbox: fake(exception(error)).create });
    expect((await run(call("f"))).content).toBe(`an error occured when call f: ${shown}`);
  });

  it("passes every result through JSON on request", async () => {
    const text: SandboxResult = { ok: true, value: "Oslo", kind: "string", json: '"Oslo"' };
    const set: SandboxResult = { ok: true, value: "{1}", kind: "other", json: null };
    const of = async (result: SandboxResult) =>
      await pythonRunner({ f: "" }, { createSandbox: fake(result).create, results: "json" })(call("f"));
    expect(await of(text)).toMatchObject({ content: '"Oslo"', error: false });
    expect(await of(set)).toMatchObject({ error: true });
  });

  it("closes what it started", async () => {
    const { sandbox, create } = fake({ ok: true, value: "", kind: "string", json: '""' });
    const run = pythonRunner({ f: "" }, { createSandbox: create });
    await run(call("f"));
    await run.close?.();
    expect(sandbox.close).toHaveBeenCalledTimes(1);
  });
});

it("survives tools that hang, exit, print without end or exhaust the stack", async () => {
  const sources = {
    hangs: "def hangs():\n    while True:\n        pass",
    exits: "import sys\ndef exits():\n    sys.exit(3)",
    prints: "def prints(n):\n    print('x' * n)\n    return 'done'",
    recurses: "def recurses():\n    return recurses()",
    works: "def works(x=10.0, *, y: 'int' = 1):\n    return (x, y)",
  };
  const run = pythonRunner(sources, { createSandbox: () => createSandbox({ sources, timeLimitMs: 1500 }) });
  try {
    const hangs = await run(call("hangs"));
    expect(hangs.error).toBe(true);
    expect(hangs.content).toMatch(/^an error occured when call hangs: .+/);
    expect(hangs.content).not.toContain("while True");
    expect((await run(call("exits"))).content).toBe("an error occured when call exits: 3");
    expect((await run(call("prints", { n: 100_000 }))).content).toBe("done");
    expect((await run(call("recurses"))).error).toBe(true);
    expect((await run(call("works", { x: 1 }, '{"x": 1.0}'))).content).toBe("(1.0, 1)");
  } finally {
    await run.close?.();
  }
}, 120_000);
