/** What calls of Python tools show, and how calls and processes are kept apart. */
import { afterAll, describe, expect, it } from "vitest";
import { ProcessPool, processLimit } from "../../../packages/tools-sim/src/sandbox/pool.ts";
import { createSandbox } from "../../../packages/tools-sim/src/sandbox/sandbox.ts";
import { expectServes, sandboxOf, tool } from "./helpers.ts";

describe("results", () => {
  const sandbox = sandboxOf({
    text: "return 'Žižek said \"no\"\\n'",
    dict: "return {'é': [1, 2.0, None, True], 'quote': '\"'}",
    list: "return ['a', {'b': float('nan')}]",
    number: "return 2.50",
    nothing: "return None",
    tuple: "return (1, 'a')",
    subclass: "import collections\nreturn collections.OrderedDict(a=1)",
    set: "return {1}",
    unserialisable: "return {'a': {1}}",
    surrogate: "return '\\ud800x'",
    argument: "return [type(x).__name__, x]",
    raises: "raise ValueError('Invalid year: ' + x)",
    keyError: "return {}[x]",
    exits: "import sys\nsys.exit('bye')",
    printsFrames:
      "print('0 1 {\"ok\": true}'); print(x)\nimport sys\nsys.stderr.write('x' * 100000)\nreturn 'real'",
    remembers: "global n\nn = globals().get('n', 0) + 1\nreturn n",
    strings: "return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})",
  });
  afterAll(() => sandbox.close());

  it.each([
    ["text", 'Žižek said "no"\n', "string", '"Žižek said \\"no\\"\\n"'],
    ["dict", '{"é": [1, 2.0, null, true], "quote": "\\""}', "json", undefined],
    ["list", '["a", {"b": NaN}]', "json", undefined],
    ["number", "2.5", "other", "2.5"],
    ["nothing", "None", "other", "null"],
    ["tuple", "(1, 'a')", "other", '[1, "a"]'],
    ["subclass", "OrderedDict({'a': 1})", "other", '{"a": 1}'],
    ["set", "{1}", "other", null],
    ["surrogate", "\ud800x", "string", '"\ud800x"'],
  ])("%s is shown as FTRL's evaluation shows it", async (name, value, kind, json) => {
    expect(await sandbox.call(name, {})).toEqual({
      ok: true,
      value,
      kind,
      json: json === undefined ? value : json,
    });
  });

  it("arguments keep their types; 1 and 1.5 are int and float", async () => {
    for (const [x, type] of [
      [1, "int"],
      [1.5, "float"],
      ["é\ud800", "str"],
      [null, "NoneType"],
      [{ __proto__x: [true] }, "dict"],
    ] as const) {
      const result = await sandbox.call("argument", { x: x as never });
      expect(result.ok && JSON.parse(result.value)).toEqual([type, x]);
    }
  });

  it.each([
    ["raises", { x: "abc" }, "Invalid year: abc", "ValueError"],
    ["raises", { y: 1 }, "raises() got an unexpected keyword argument 'y'", "TypeError"],
    ["keyError", { x: "k" }, "'k'", "KeyError"],
    ["unserialisable", {}, "Object of type set is not JSON serializable", "TypeError"],
    ["exits", {}, "bye", "SystemExit"],
  ])("%s(%o) fails with Python's own message", async (name, args, error, exception) => {
    expect(await sandbox.call(name, args as never)).toMatchObject({
      ok: false,
      reason: "exception",
      error,
      exception,
    });
    await expectServes(sandbox);
  });

  it("an unknown tool has the message of FTRL's lookup", async () => {
    expect(await sandbox.call("it's", {})).toEqual({ ok: false, reason: "unknown_tool", error: '"it\'s"' });
    for (const name of ["__proto__", "constructor", "toString"])
      expect(await sandbox.call(name, {})).toMatchObject({ ok: false, reason: "unknown_tool" });
  });

  it("what a tool prints is no answer", async () => {
    expect(await sandbox.call("printsFrames", { x: "forged" })).toMatchObject({ ok: true, value: "real" });
    await expectServes(sandbox);
  });

  it("globals of a tool last one call, as in the evaluation; sets have one order", async () => {
    const results = [await sandbox.call("remembers", {}), await sandbox.call("remembers", {})];
    expect(results.map((result) => result.ok && result.value)).toEqual(["1", "1"]);
    const other = sandboxOf({ strings: "return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})" });
    expect(await other.call("strings", {})).toEqual(await sandbox.call("strings", {}));
    await other.close();
  });
});

describe("sources", () => {
  it("a list's top-level functions are tools; a broken source spoils only its own", async () => {
    const sandbox = createSandbox({
      sources: [
        "import math\ndef helper(a):\n    def inner(): return a\n    return math.sqrt(inner())\ndef root(a): return helper(a)",
        "def broken(:\n    pass",
        "def root(a): return 'second'\ndef naïve(): return 'ü'",
        "def gone(): pass\ndel gone",
      ],
    });
    expect(await sandbox.call("root", { a: 9 })).toMatchObject({ ok: true, value: "3.0" });
    expect(await sandbox.call("naïve", {})).toMatchObject({ ok: true, value: "ü" });
    expect(await sandbox.call("inner", {})).toMatchObject({ reason: "unknown_tool" });
    expect(await sandbox.call("broken", {})).toMatchObject({ reason: "exception", exception: "SyntaxError" });
    expect(await sandbox.call("root", { a: 4 })).toMatchObject({ ok: true, value: "2.0" });
    // As in the evaluation, where a source lacks the function it is listed under.
    expect(await sandbox.call("gone", {})).toMatchObject({
      error: "name gone is not defined",
      exception: "NameError",
    });
    await sandbox.close();
  });

  it.each([
    [{ timeLimitMs: 0 }, /timeLimitMs is 0/],
    [{ memoryLimitBytes: 1 }, /memoryLimitBytes is 1; expected a whole number from 67108864/],
    [{ maxOutputBytes: 0.5 }, /maxOutputBytes/],
  ])("refuses %o", (options, message) => {
    expect(() => createSandbox({ sources: {}, ...options })).toThrow(message);
  });
});

describe("processes", () => {
  it("more sandboxes than processes: idle ones give theirs up, and every call is served", async () => {
    const pool = new ProcessPool(1);
    const sandboxes = [1, 2].map((i) =>
      createSandbox({
        sources: {
          f: tool("f", `import sys\nsys.mine = getattr(sys, 'mine', 0) + 1\nreturn [${i}, sys.mine]`),
        },
        pool,
      }),
    );
    const first = await Promise.all(sandboxes.map((sandbox) => sandbox.call("f", {})));
    expect(first.map((result) => result.ok && result.value)).toEqual(["[1, 1]", "[2, 1]"]);
    const again = await sandboxes[0].call("f", {});
    expect(again).toMatchObject({ ok: true, value: "[1, 1]" });
    await Promise.all(sandboxes.map((sandbox) => sandbox.close()));
    await pool.drop();
  });

  it("starts one after the other where it must, and takes nobody's away while there is room", async () => {
    const pool = new ProcessPool(3, 1);
    const source = tool("f", "import sys\nsys.mine = getattr(sys, 'mine', 0) + 1\nreturn sys.mine");
    const sandboxes = [1, 2, 3].map(() => createSandbox({ sources: { f: source }, pool }));
    for (const value of ["1", "2"]) {
      const results = await Promise.all(sandboxes.map((sandbox) => sandbox.call("f", {})));
      expect(results).toMatchObject([{ value }, { value }, { value }]);
    }
    await Promise.all(sandboxes.map((sandbox) => sandbox.close()));
    await pool.drop();
  });

  it("are bounded by memory, but there are two and one for each processor", () => {
    const gibibyte = 2 ** 30;
    expect(processLimit(gibibyte / 2, 1)).toBe(2);
    expect(processLimit(2 * gibibyte, 8)).toBe(8);
    expect(processLimit(24 * gibibyte, 2)).toBe(32);
    expect(processLimit(1024 * gibibyte, 16)).toBe(64);
  });

  it("cancelled calls stop at once, and calls after close are cancelled", async () => {
    const sandbox = sandboxOf({ loop: "while True: pass" });
    await expectServes(sandbox);
    const controller = new AbortController();
    const running = sandbox.call("loop", {}, { signal: controller.signal });
    const started = performance.now();
    setTimeout(() => controller.abort(), 50);
    expect(await running).toMatchObject({ ok: false, reason: "cancelled" });
    expect(performance.now() - started).toBeLessThan(2000);
    expect(await sandbox.call("ok", {}, { signal: AbortSignal.abort() })).toMatchObject({
      reason: "cancelled",
    });
    await expectServes(sandbox);
    const last = sandbox.call("loop", {});
    await sandbox.close();
    expect(await last).toMatchObject({ reason: "cancelled" });
    expect(await sandbox.call("ok", {})).toMatchObject({ reason: "cancelled" });
  });
});
