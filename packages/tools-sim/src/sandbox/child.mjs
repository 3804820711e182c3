/**
 * The child process of the sandbox: loads Pyodide, then answers one call per line of its standard input. Plain
 * JavaScript, run as it is by a Node that may read this file's and Pyodide's folder and nothing else.
 *
 * Pyodide is made to believe that it runs in a bare JavaScript shell. Under Node it would hand Python the host: `js` the
 * process, `os.system` a shell, sockets the network. In a shell there is nothing to hand over, and this file leaves nothing:
 * no `process`, no `require`, no code from strings (a Node flag), no module of Node that still does anything.
 * docs/sandbox.md lists what each measure stops.
 */
import childProcess from "node:child_process";
import cluster from "node:cluster";
import { randomFillSync } from "node:crypto";
import dgram from "node:dgram";
import dns from "node:dns";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import inspector from "node:inspector";
import module from "node:module";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import vm from "node:vm";
import workerThreads from "node:worker_threads";

const pageBytes = 65_536;
const { Socket: netSocket, Server: netServer } = net;
const { Socket: udpSocket } = dgram;
const refuse = () => {
  throw new Error("refused");
};
const node = globalThis.process;
const { stdin } = node;
const exit = node.exit.bind(node);
const write = fs.writeSync.bind(fs);
const runScript = vm.runInThisContext;
const folder = node.argv[2];
const memoryLimit = Number(node.argv[3]);
const wasm = fs.readFileSync(join(folder, "pyodide.asm.wasm"));
const library = fs.readFileSync(join(folder, "python_stdlib.zip"));
const loader = fs.readFileSync(join(folder, "pyodide.js"), "utf8");
const interpreter = `"use strict";${fs
  .readFileSync(join(folder, "pyodide.asm.mjs"), "utf8")
  .replaceAll("import.meta.url", '""')
  .replace("export default _createPyodideModule;", "_createPyodideModule;")}`;
const { info } = JSON.parse(fs.readFileSync(join(folder, "pyodide-lock.json"), "utf8"));

let pending = "";
let nonce = "";
let maxAnswer = 0;
let answer;

stdin.setEncoding("utf8");
stdin.on("end", () => exit(0));
stdin.on("data", (text) => {
  pending += text;
  for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
    const line = pending.slice(0, end);
    pending = pending.slice(end + 1);
    // The first line brings what the frames of this process are marked with, before any Python of a task runs.
    if (nonce === "") void start(JSON.parse(line));
    else call(JSON.parse(line));
  }
});

async function start(first) {
  nonce = first.nonce;
  maxAnswer = first.maxAnswer;
  try {
    const python = await load();
    answer = python.runPython(first.harness);
    closeAfterLoading();
    send("ready");
  } catch (error) {
    send(`failed ${JSON.stringify(String(error?.stack ?? error).slice(0, 2000))}`);
    exit(1);
  }
}

/** One call. A broken interpreter (memory fault, exhausted stack, `os._exit`) ends the process: the parent starts a new one. */
function call({ id, source, name, args }) {
  let text;
  try {
    text = answer(source, name, args);
  } catch {
    exit(1);
  }
  if (typeof text !== "string") exit(1);
  send(`${id} ${text.length > maxAnswer ? '{"ok": false, "reason": "output"}' : text}`);
}

/** Python never sees this pipe: its own standard output goes nowhere. */
function send(text) {
  const bytes = new TextEncoder().encode(`${nonce} ${text}\n`);
  for (let at = 0; at < bytes.length; ) at += write(1, bytes, at);
}

async function load() {
  closeGlobals();
  limitMemory();
  // What Emscripten expects of a shell such as d8: files by name, and random bytes in base64 from a command.
  globalThis.read = refuse;
  globalThis.load = refuse;
  globalThis.readbuffer = (path) => {
    if (path.endsWith("/pyodide.asm.wasm")) return wasm;
    if (path.endsWith("/python_stdlib.zip")) return library;
    return refuse();
  };
  globalThis.os = {
    system: (_shell, [, command]) => {
      const length = Math.min(Number(/^head -c(\d+) /.exec(command)?.[1] ?? 0), pageBytes);
      const bytes = randomFillSync(new Uint8Array(length));
      return btoa(String.fromCharCode(...bytes));
    },
  };
  // Run as scripts, not imported as modules: import() inside them then fails for want of a loader.
  const createPyodideModule = runScript(interpreter, "pyodide.asm.js");
  runScript(loader, "pyodide.js");
  const { loadPyodide } = globalThis;
  globalThis.loadPyodide = undefined;
  closeModules();
  closeProcess();
  const python = await loadPyodide({
    indexURL: `${folder}/`,
    createPyodideModule,
    lockFileContents: { info, packages: {} },
    jsglobals: Object.create(null),
    stdin: () => null,
    stdout: () => {},
    stderr: () => {},
    // Sets and dicts of strings have the same order in every run.
    env: { PYTHONHASHSEED: "0" },
  });
  limitFiles(python.FS);
  return python;
}

/** Python's memory is one WebAssembly memory that grows by this function alone. */
function limitMemory() {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * pageBytes > memoryLimit) throw new RangeError("memory limit");
    return grow.call(this, pages);
  };
}

/** Files of the interpreter live outside that memory, so they are counted here; what is deleted stays counted. */
function limitFiles(files) {
  const { node: nodes, stream: streams } = files.filesystems.MEMFS.ops_table.file;
  const { setattr } = nodes;
  const { write } = streams;
  const noSpace = 51;
  let used = 0;
  const count = (bytes) => {
    used += Math.max(bytes, 0);
    if (used > memoryLimit) throw new files.ErrnoError(noSpace);
  };
  nodes.setattr = (file, change) => {
    if (change.size !== undefined) count(change.size - file.usedBytes);
    return setattr(file, change);
  };
  streams.write = (stream, buffer, offset, length, position, ...rest) => {
    count(position + length - stream.node.usedBytes);
    return write(stream, buffer, offset, length, position, ...rest);
  };
}

/** Without code from strings no caller is left that could import these; they are closed in case there is one. */
function closeModules() {
  const closed = [
    childProcess,
    cluster,
    dgram,
    dns,
    dns.promises,
    http,
    http2,
    https,
    inspector,
    net,
    tls,
    vm,
  ];
  for (const target of [...closed, workerThreads, fs.promises]) {
    for (const name of Object.keys(target)) {
      const property = Object.getOwnPropertyDescriptor(target, name);
      if (property.writable && typeof property.value === "function") target[name] = refuse;
    }
  }
  for (const prototype of [netSocket.prototype, netServer.prototype, udpSocket.prototype])
    for (const name of ["connect", "listen", "bind", "send"]) if (name in prototype) prototype[name] = refuse;
  for (const name of ["_load", "createRequire", "register", "runMain"]) module[name] = refuse;
  module.syncBuiltinESMExports();
}

function closeProcess() {
  const names = ["_linkedBinding", "dlopen", "kill", "_kill", "_debugProcess", "_debugEnd", "abort", "chdir"];
  for (const name of [...names, "getBuiltinModule", "openStdin", "setuid", "setgid", "execve", "loadEnvFile"])
    if (name in node) node[name] = refuse;
  node.binding = refuse;
  node.env = Object.create(null);
}

/** Deletes every global but the language itself and what Pyodide's scheduler uses. */
function closeGlobals() {
  const kept = new Set([
    ...["globalThis", "Infinity", "NaN", "undefined", "isFinite", "isNaN", "parseFloat", "parseInt"],
    ...["decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape"],
    ...["Object", "Function", "Array", "Number", "Boolean", "String", "Symbol", "BigInt", "Date", "Promise"],
    ...["RegExp", "Error", "AggregateError", "EvalError", "RangeError", "ReferenceError", "SyntaxError"],
    ...["TypeError", "URIError", "SuppressedError", "JSON", "Math", "Intl", "ArrayBuffer", "Atomics"],
    ...["SharedArrayBuffer", "DataView", "Map", "Set", "WeakMap", "WeakSet", "WeakRef", "Proxy", "Reflect"],
    ...["Uint8Array", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array", "Int32Array", "Float16Array"],
    ...["Float32Array", "Float64Array", "Uint8ClampedArray", "BigUint64Array", "BigInt64Array", "Iterator"],
    ...["FinalizationRegistry", "DisposableStack", "AsyncDisposableStack", "WebAssembly"],
    ...["setTimeout", "clearTimeout", "queueMicrotask", "TextDecoder", "TextEncoder", "URL", "btoa", "atob"],
    ...["AbortController", "AbortSignal", "DOMException", "performance"],
  ]);
  for (const name of Object.getOwnPropertyNames(globalThis)) if (!kept.has(name)) delete globalThis[name];
  const silent = () => {};
  globalThis.console = { log: silent, warn: silent, error: silent, info: silent, debug: silent };
}

/** From here on no WebAssembly is compiled: a library written by a tool is never loaded. */
function closeAfterLoading() {
  for (const name of ["compile", "compileStreaming", "instantiate", "instantiateStreaming", "Instance"])
    WebAssembly[name] = refuse;
  // Stays a class, because Emscripten asks whether a value is one.
  WebAssembly.Module = class Module {
    constructor() {
      refuse();
    }
  };
  for (const name of Object.keys(fs)) {
    const property = Object.getOwnPropertyDescriptor(fs, name);
    if (property.writable && typeof property.value === "function") fs[name] = refuse;
  }
  module.syncBuiltinESMExports();
  for (const name of ["read", "load", "readbuffer"]) delete globalThis[name];
}
