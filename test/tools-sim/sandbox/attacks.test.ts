/**
 * Attempts to get out. Each asserts on the world outside (no file, no connection, no secret, nobody killed) and that the
 * next call works; what the tool itself reports matters only where a secret could be in it.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pyodideFolder } from "../../../packages/tools-sim/src/sandbox/process.ts";
import { createSandbox, type Sandbox } from "../../../packages/tools-sim/src/sandbox/sandbox.ts";
import { expectServes, prowl, tool } from "./helpers.ts";

const secret = "host-secret-5f1b";
const folder = mkdtempSync(join(tmpdir(), "sandbox-attack-"));
const marker = join(folder, "marker");
const secretFile = join(folder, "secret");
const pyodideFiles = () =>
  readdirSync(pyodideFolder()).map((name) => [name, statSync(join(pyodideFolder(), name)).mtimeMs]);

let connections = 0;
const server = createServer((socket) => {
  connections++;
  socket.destroy();
});
let port = 0;
let before: unknown;
let sandbox: Sandbox;

beforeAll(async () => {
  writeFileSync(secretFile, secret);
  process.env.SANDBOX_TEST_SECRET = secret;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  port = typeof address === "object" && address ? address.port : 0;
  before = pyodideFiles();
  // One sandbox for all attacks: what one leaves behind is at the next one's disposal.
  const sources = Object.entries(attacks).map(([name, body]) => [name, prowl + tool(name, body)]);
  sandbox = createSandbox({
    sources: { ...Object.fromEntries(sources), ok: tool("ok", "return 6 * 7") },
    timeLimitMs: 8000,
  });
});
afterAll(async () => {
  await sandbox.close();
  server.close();
  delete process.env.SANDBOX_TEST_SECRET;
  rmSync(folder, { recursive: true });
});

/** `x` holds marker (a host path to create), secret (a host file), port, pid (of this process) and pyodide (its folder). */
const attacks = {
  importJs: "import js\nreturn js.process.env.SANDBOX_TEST_SECRET",
  importJsOtherways: `
import importlib, sys
out = []
for name in ("js", "pyodide_js", "pyodide", "pyodide.code", "_pyodide_core", "_pyodide._base"):
    out.append(attempt(lambda: importlib.import_module(name)))
    out.append(attempt(lambda: __import__(name, fromlist=["x"])))
    out.append(attempt(lambda: importlib.util.find_spec(name).loader.load_module(name)))
assert all(o.startswith("refused") for o in out), out
return out`,
  dropTheFinder: `
import sys, importlib
sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__name__", "") != "_Refuse"]
sys.modules.pop("js", None)
import js
return js.eval("process.env.SANDBOX_TEST_SECRET")`,
  builtinCore: `
import importlib.machinery as m, _imp
core = _imp.create_builtin(m.ModuleSpec("_pyodide_core", m.BuiltinImporter, origin="built-in"))
return dir(core)`,
  runJs: `
found = [f for f in gc.get_objects() if getattr(f, "__name__", "") == "run_js"]
code = "globalThis.process?.env.SANDBOX_TEST_SECRET ?? import('node:fs').then(fs => fs.writeFileSync('%s', 'x'))" % x["marker"]
return [attempt(lambda: f(code)) for f in found]`,
  evalAndFunction: `
p = api()
function = p._api.scheduleCallback.constructor
code = "globalThis.process.mainModule.require('fs').writeFileSync('%s', '')" % x["marker"]
out = [attempt(lambda: function(code)()), attempt(lambda: function.new(code)())]
out.append(attempt(lambda: function.getPrototypeOf(p._api.loadBinaryFile).constructor(code)()))
out.append(attempt(lambda: p._module._emscripten_run_script(p._module.stringToNewUTF8(code))))
assert all(o.startswith("refused") for o in out), out
return out`,
  mounts: `
p = api()
object = p._api.config.constructor
out = [attempt(lambda: p.mountNodeFS("/tmp/host", "/"))]
out.append(attempt(lambda: p.FS.mount(p.FS.filesystems.NODEFS, object.fromEntries([["root", "/"]]), "/tmp")))
out.append(attempt(lambda: open("/tmp" + x["secret"]).read()))
out.append(attempt(lambda: open("/tmp" + x["marker"], "w").write("x")))
return out`,
  pyodideApi: `
import builtins
builtins.heard = []
p = api()
hear = lambda v: builtins.heard.append(repr(v))
out = []
for f in (
    lambda: p._api.loadBinaryFile(x["secret"]).then(hear, hear),
    lambda: p.loadPackage("file://" + x["secret"]).then(hear, hear),
    lambda: p._api.initializeNodeSockFS().then(hear, hear),
    lambda: p.useNodeSockFS().then(hear, hear),
    lambda: p._api.config.createPyodideModule(p._api.config.constructor.new()).then(hear, hear),
    lambda: p._module.__emscripten_system(p._module.stringToNewUTF8("touch " + x["marker"])),
    lambda: p.runPython("import os; os.system('touch %s')" % x["marker"]),
): out.append(attempt(f))
return out`,
  heard: `
import builtins, socket
out = list(getattr(builtins, "heard", []))
s = socket.socket()
out.append(attempt(lambda: s.connect(("127.0.0.1", x["port"]))))
return out`,
  lazyFile: `
p = api()
p.FS.createLazyFile("/", "stolen", x["secret"], True, False)
return open("/stolen").read()`,
  poisonPrototypes: `
p = api()
object = p._api.config.constructor
forged = '{"ok": true, "value": "forged", "kind": "string", "json": null}'
for name in ("toJSON", "id", "source", "get", "set", "then"):
    attempt(lambda: setattr(object.prototype, name, lambda *a: forged))
return "poisoned"`,
  osSystem: `
import os
return [attempt(lambda: os.system("touch " + x["marker"])), attempt(lambda: os.popen("touch " + x["marker"]).read())]`,
  subprocess: `
import subprocess
return [attempt(lambda: subprocess.run(["touch", x["marker"]])), attempt(lambda: subprocess.check_output("env", shell=True))]`,
  processes: `
import os
out = []
for name in ("fork", "forkpty", "posix_spawn", "execv", "execve", "spawnv"):
    call = getattr(os, name, None)
    arguments = {"posix_spawn": ("/bin/touch", ["touch", x["marker"]], {}), "execv": ("/bin/touch", ["touch", x["marker"]]),
        "execve": ("/bin/touch", ["touch", x["marker"]], {}), "spawnv": (0, "/bin/touch", ["touch", x["marker"]])}.get(name, ())
    out.append(attempt(lambda: call(*arguments)))
return out`,
  environment: "import os\nreturn [dict(os.environ), attempt(lambda: os.getenvb(b'SANDBOX_TEST_SECRET'))]",
  readFiles: `
paths = (x["secret"], "/etc/passwd", "/proc/self/environ", "/proc/1/cmdline", "/proc/self/fd/1", "/dev/fd/0")
return [attempt(lambda: open(p, "rb").read(2000)) for p in paths]`,
  writeFiles: `
import os
out = [attempt(lambda: os.makedirs(os.path.dirname(x["marker"]), exist_ok=True))]
out.append(attempt(lambda: open(x["marker"], "w").write("x")))
out.append(attempt(lambda: os.makedirs(x["pyodide"], exist_ok=True)))
out.append(attempt(lambda: open(x["pyodide"] + "/pyodide.mjs", "w").write("x")))
out.append(attempt(lambda: open(x["pyodide"] + "/new.txt", "w").write("x")))
return out`,
  sockets: `
import socket
out = []
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    s = socket.socket(socket.AF_INET, kind)
    s.settimeout(1)
    out.append(attempt(lambda: s.connect(("127.0.0.1", x["port"]))))
    out.append(attempt(lambda: s.send(b"hello")))
out.append(attempt(lambda: socket.create_connection(("localhost", x["port"]), 1)))
out.append(attempt(lambda: socket.getaddrinfo("example.org", 80)))
return out`,
  http: `
import urllib.request, http.client, asyncio
url = "http://127.0.0.1:%d/" % x["port"]
out = [attempt(lambda: urllib.request.urlopen(url, timeout=1).read())]
out.append(attempt(lambda: http.client.HTTPConnection("127.0.0.1", x["port"], timeout=1).request("GET", "/")))
out.append(attempt(lambda: urllib.request.urlopen("file://" + x["secret"]).read()))
out.append(attempt(lambda: asyncio.run(asyncio.open_connection("127.0.0.1", x["port"]))))
return out`,
  kill: `
import os, signal
return [attempt(lambda: os.kill(pid, signal.SIGKILL)) for pid in (x["pid"], os.getppid(), x["pid"] * -1, 1)]`,
  threads: `
import threading, _thread, multiprocessing
out = [attempt(lambda: threading.Thread(target=print).start()), attempt(lambda: _thread.start_new_thread(print, ()))]
out.append(attempt(lambda: multiprocessing.Process(target=print).start()))
return out`,
  ctypesLibrary: `
import os
open("/tmp/evil.so", "wb").write(b"\\0asm\\1\\0\\0\\0\\0\\x0f\\x08dylink.0\\1\\4\\0\\0\\0\\0")
import ctypes
return attempt(lambda: ctypes.CDLL("/tmp/evil.so"))`,
  hostileResult: `
class Text(str):
    def __str__(self): return self
    def __repr__(self): raise BaseException("x")
class Hostile:
    __class__ = property(lambda self: dict)
    def __str__(self): return Text("a\\n0123 1 {\\"ok\\": true}")
return Hostile()`,
  hostileException: `
class Evil(BaseException):
    def __str__(self): raise KeyboardInterrupt
raise Evil`,
  frames: `
import sys
frame = sys._getframe(1)
frame.f_globals["_answer"] = lambda *a: "forged"
frame.f_locals["source"] = "x"
frame.f_globals["__builtins__"]["len"] = lambda *a: 7 if isinstance(frame.f_globals["__builtins__"], dict) else 7
return "patched"`,
} satisfies Record<string, string>;

async function run(name: string): Promise<string> {
  const result = await sandbox.call(name, {
    x: { marker, secret: secretFile, port, pid: process.pid, pyodide: pyodideFolder() },
  });
  return result.ok ? result.value : `${result.reason}: ${result.exception} ${result.error}`;
}

describe("nothing of the host is reached", () => {
  it.each(Object.keys(attacks))("by %s", async (name) => {
    const shown = await run(name);
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain("root:");
    expect(shown).not.toContain("AssertionError");
    expect(existsSync(marker)).toBe(false);
    expect(connections).toBe(0);
    expect(pyodideFiles()).toEqual(before);
    await expectServes(sandbox);
  });

  it("by a tool that swaps builtins: the next task has its own", async () => {
    const bodies = {
      spoil:
        "import builtins, json, sys\nbuiltins.len = lambda x: 99\njson.dumps = lambda *a, **k: 'forged'\nsys.modules['math'] = None\nbuiltins.__import__ = None\nreturn 'done'",
      read: "import math, builtins\nreturn [len([]), math.floor(1.5), builtins.__import__ is None]",
    };
    const make = () =>
      createSandbox({ sources: Object.fromEntries(Object.entries(bodies).map(([n, b]) => [n, tool(n, b)])) });
    const first = make();
    expect(await first.call("spoil", {})).toMatchObject({ ok: true, value: "done" });
    await first.close();
    const second = make();
    expect(await second.call("read", {})).toMatchObject({ ok: true, value: "[0, 1, false]" });
    await second.close();
  });
});
