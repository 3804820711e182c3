/** What the sandbox's tests share: tools written as function bodies, and a check that an interpreter still serves. */
import { expect } from "vitest";
import type { Sandbox } from "../../../packages/tools-sim/src/sandbox/sandbox.ts";
import { createSandbox, type SandboxOptions } from "../../../packages/tools-sim/src/sandbox/sandbox.ts";

/** A Python function of one parameter `x` with this body. */
export function tool(name: string, body: string): string {
  const lines = body.trim().split("\n");
  return `def ${name}(x=None):\n${lines.map((line) => `    ${line}`).join("\n")}\n`;
}

/** A sandbox whose tools are the given bodies, and `ok`, which gives 42. */
export function sandboxOf(bodies: Record<string, string>, options: Partial<SandboxOptions> = {}): Sandbox {
  const named = Object.entries({ ...bodies, ok: "return 6 * 7" });
  return createSandbox({
    sources: Object.fromEntries(named.map(([name, body]) => [name, tool(name, body)])),
    ...options,
  });
}

/** The next call works. */
export async function expectServes(sandbox: Sandbox): Promise<void> {
  expect(await sandbox.call("ok", {})).toMatchObject({ ok: true, value: "42" });
}

/**
 * Python that finds every JavaScript object within reach of the interpreter's memory: what an attacker starts from.
 * `proxies()` lists them, `api()` gives Pyodide's own interface, `attempt(f)` the text of a result or of an exception.
 */
export const prowl = `
import gc
def proxies():
    found, seen, stack = [], set(), list(gc.get_objects())
    while stack and len(seen) < 300000:
        item = stack.pop()
        if id(item) in seen: continue
        seen.add(id(item))
        try:
            if any(c.__name__ == "JsProxy" for c in type(item).__mro__) and not isinstance(item, type): found.append(item)
        except BaseException: pass
        try: stack.extend(gc.get_referents(item))
        except BaseException: pass
    return found
def api():
    return [p for p in proxies() if "mountNodeFS" in dir(p)][0]
def attempt(f):
    try: return repr(f())
    except BaseException as error: return "refused: " + repr(error)[:200]
`;
