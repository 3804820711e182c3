/** Tools that hang, die, or take too much: each ends as a typed failure, and the next call works. */
import { afterAll, expect, it } from "vitest";
import { createSandbox } from "../../../packages/tools-sim/src/sandbox/sandbox.ts";
import { expectServes, prowl, sandboxOf, tool } from "./helpers.ts";

const sources = {
  ok: tool("ok", "return 6 * 7"),
  loop: tool("loop", "while True: pass"),
  stubborn: tool(
    "stubborn",
    "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
  ),
  hangsOnLoad: "while True: pass\ndef hangsOnLoad(): return 1",
  allocate: tool(
    "allocate",
    "kept = []\nfor i in range(64): kept.append(bytearray(b'x') * (1 << 26))\nreturn len(kept)",
  ),
  allocateOnce: tool("allocateOnce", "return len(bytearray((1 << 32) - (1 << 20)))"),
  multiply: tool("multiply", "return 'x' * (1 << 31)"),
  outside: `${prowl}${tool("outside", "array = api()._module.HEAPU8.constructor\nreturn attempt(lambda: [array.new(1 << 29).fill(1).length for i in range(8)])")}`,
  files: tool(
    "files",
    "for i in range(400): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))\nreturn 'all written'",
  ),
  sparse: tool("sparse", "with open('/tmp/sparse', 'wb') as f: f.truncate(1 << 33)\nreturn 'grown'"),
  huge: tool("huge", "return 'x' * 2_000_000"),
  hugeError: tool("hugeError", "raise ValueError('x' * 2_000_000)"),
  flood: tool("flood", "for i in range(2000): print('x' * 1000)\nreturn 'printed'"),
  deep: tool("deep", "return deep()"),
  deeper: tool("deeper", "import sys\nsys.setrecursionlimit(10 ** 9)\nreturn deeper()"),
  nested: tool("nested", "a = []\nfor i in range(100000): a = [a]\nreturn a"),
  osExit: tool("osExit", "import os\nos._exit(0)"),
  fault: tool("fault", "import ctypes\nreturn ctypes.string_at(0xFFFFFF00, 4096)"),
};
const limited = (timeLimitMs: number) => createSandbox({ sources, timeLimitMs, maxOutputBytes: 1_000_000 });
/** For what never ends; whatever ends by itself has the time it needs on a busy machine. */
const hasty = limited(1000);
const sandbox = limited(30_000);
afterAll(() => Promise.all([hasty.close(), sandbox.close()]));

it.each([
  ["loop", "timeout"],
  ["stubborn", "timeout"],
  ["hangsOnLoad", "timeout"],
  ["allocate", "memory"],
  ["allocateOnce", "memory|exception"],
  ["multiply", "memory|exception"],
  ["huge", "output"],
  ["hugeError", "output"],
  ["files", "exception"],
  ["sparse", "exception"],
  ["deep", "exception"],
  ["deeper", "crash|exception|timeout"],
  ["nested", "exception|crash"],
  ["osExit", "crash"],
  ["fault", "crash|exception"],
])("%s ends with %s", async (name, reasons) => {
  const used = reasons.includes("timeout") ? hasty : sandbox;
  const result = await used.call(name, {});
  expect(result.ok ? result.value.slice(0, 100) : result.reason).toMatch(new RegExp(`^(${reasons})$`));
  await expectServes(used);
});

it("memory beside Python's is limited too", async ({ skip }) => {
  if (process.platform !== "linux")
    skip("only Linux counts it: elsewhere JavaScript's buffers are bounded by the time limit");
  const result = await sandbox.call("outside", {});
  expect(result.ok ? result.value : result.reason).toMatch(
    /refused: RangeError: Array buffer allocation failed|crash/,
  );
  await expectServes(sandbox);
});

it("what is printed goes nowhere, however much", async () => {
  expect(await sandbox.call("flood", {})).toMatchObject({ ok: true, value: "printed" });
});

it("a result of the longest length fits, one byte more does not", async () => {
  const small = sandboxOf({ text: "return 'é' * x" }, { maxOutputBytes: 100 });
  expect(await small.call("text", { x: 50 })).toMatchObject({ ok: true, value: "é".repeat(50) });
  expect(await small.call("text", { x: 51 })).toMatchObject({ ok: false, reason: "output" });
  await small.close();
});
