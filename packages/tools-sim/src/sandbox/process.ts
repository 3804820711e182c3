/**
 * One child process with a Python interpreter: how it is started and locked down, and the lines it speaks.
 *
 * The channel is a pair of pipes that only JavaScript of the child holds. Each line of it starts with a random mark made
 * for this process; whatever does not fit (mark, call number, shape, length) ends the process. The parent never trusts an
 * answer further than its text.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { isObject } from "../json.ts";
import type { Json, JsonObject } from "../types.ts";
import { SandboxError } from "./errors.ts";

/** The version of Pyodide this was written for and attacked with. */
export const pyodideVersion = "314.0.7";

/** Longest answer text of one call, as a multiple of the output limit: JSON escapes, and the value in two forms. */
const answerFactor = 16;
const startLimitMs = 60_000;
/** Seconds of processor time after which the system ends a child whose parent died without ending it. */
const processorSeconds = 900;
/** Memory of Node, of the compiled interpreter and of its files, beside Python's own. */
const hostBytes = 768 * 2 ** 20;

// Read from src also when this runs from dist: these two are not compiled.
const childFile = realpathSync(new URL("../../src/sandbox/child.mjs", import.meta.url));
const harnessFile = new URL("../../src/sandbox/harness.py", import.meta.url);

/** Why a process gave no answer. */
export type Failure = "timeout" | "crash" | "output" | "cancelled";

/** Limits of a child process. */
export interface ProcessLimits {
  memoryLimitBytes: number;
  maxOutputBytes: number;
}

/**
 * The folder of the installed Pyodide.
 *
 * @throws SandboxError when it is not installed or has another version
 */
export function pyodideFolder(): string {
  const install = `npm install pyodide@${pyodideVersion}`;
  let file: string;
  try {
    file = createRequire(import.meta.url).resolve("pyodide/package.json");
  } catch {
    throw new SandboxError(`Python tools need the package pyodide, which is not installed: ${install}`);
  }
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  if (version !== pyodideVersion)
    throw new SandboxError(`the sandbox needs pyodide ${pyodideVersion}, found ${version}: ${install}`);
  return realpathSync(dirname(file));
}

/** A started interpreter. Calls are made one at a time; after any failure the process is gone. */
export class PythonProcess {
  readonly limits: ProcessLimits;
  /** Resolves when Python runs; rejects with a SandboxError when it can not be started. */
  readonly ready: Promise<void>;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly nonce = randomBytes(16).toString("hex");
  private readonly maxLine: number;
  private buffered: Buffer[] = [];
  private bufferedBytes = 0;
  private calls = 0;
  private waiting: { prefix: string; settle: (answer: string | Failure) => void } | undefined;
  private ended: Promise<void>;
  private dead = false;
  private startError = "";

  constructor(limits: ProcessLimits) {
    this.limits = limits;
    const maxAnswer = answerFactor * limits.maxOutputBytes + 4096;
    this.maxLine = maxAnswer + 4096;
    this.child = startChild(pyodideFolder(), limits.memoryLimitBytes);
    this.ended = new Promise((resolve) => {
      this.child.once("close", () => this.finish("crash", resolve));
      this.child.once("error", () => this.finish("crash", resolve));
    });
    // A child that died does not read: the failed write is reported by its end.
    this.child.stdin.on("error", () => {});
    this.child.stdout.on("data", (bytes: Buffer) => this.read(bytes));
    this.child.stderr.resume();
    this.ready = this.exchange("ready", startLimitMs, {
      nonce: this.nonce,
      harness: readFileSync(harnessFile, "utf8"),
      maxAnswer,
    }).then((answer) => {
      if (answer !== "")
        throw new SandboxError(`the Python process did not start: ${this.startError || answer}`);
    });
    // Whoever takes the process awaits it; until then a failed start is nobody's error.
    this.ready.catch(() => {});
    this.unref();
  }

  /** True until it failed or was ended. */
  get alive(): boolean {
    return !this.dead;
  }

  /** One call: the harness's answer as a JSON object, or why there is none. */
  async call(
    source: string,
    name: string,
    args: string,
    timeLimitMs: number,
    signal?: AbortSignal,
  ): Promise<JsonObject | Failure> {
    const id = String(++this.calls);
    const cancel = () => this.finish("cancelled");
    signal?.addEventListener("abort", cancel);
    this.child.ref();
    try {
      const text = await this.exchange(id, timeLimitMs, { id, source, name, args });
      if (!text.startsWith("{")) return text as Failure;
      const answer: Json = JSON.parse(text);
      if (isObject(answer)) return answer;
    } catch {
      // Not JSON: the same as no answer.
    } finally {
      signal?.removeEventListener("abort", cancel);
      this.unref();
    }
    this.finish("crash");
    return "crash";
  }

  /** Ends the process; resolves when it is gone. */
  async end(): Promise<void> {
    this.finish("cancelled");
    this.child.ref();
    await this.ended;
    this.child.unref();
  }

  private exchange(prefix: string, limitMs: number, message: JsonObject): Promise<string> {
    return new Promise((resolve) => {
      if (this.dead) return resolve("crash");
      const timer = setTimeout(() => this.finish("timeout"), limitMs);
      const settle = (answer: string) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.waiting = { prefix: `${this.nonce} ${prefix}`, settle };
      this.child.stdin.write(`${JSON.stringify(message)}\n`);
    });
  }

  private read(bytes: Buffer): void {
    if (this.dead) return;
    this.buffered.push(bytes);
    this.bufferedBytes += bytes.length;
    if (this.bufferedBytes > this.maxLine) {
      this.finish("output");
      return;
    }
    if (bytes.at(-1) !== 10) return;
    const line = Buffer.concat(this.buffered).toString("utf8").slice(0, -1);
    this.buffered = [];
    this.bufferedBytes = 0;
    const { waiting } = this;
    const failed = `${this.nonce} failed `;
    if (line.startsWith(failed)) this.startError = line.slice(failed.length);
    const fits = waiting && (line === waiting.prefix || line.startsWith(`${waiting.prefix} `));
    if (!fits || line.includes("\n")) {
      this.finish("crash");
      return;
    }
    this.waiting = undefined;
    waiting.settle(line.slice(waiting.prefix.length + 1));
  }

  private finish(reason: Failure, closed?: () => void): void {
    const { waiting } = this;
    this.dead = true;
    this.waiting = undefined;
    this.child.kill("SIGKILL");
    waiting?.settle(reason);
    closed?.();
  }

  /** An idle interpreter does not keep this program running; the child ends when its standard input does. */
  private unref(): void {
    this.child.unref();
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr])
      (stream as typeof stream & { unref?: () => void }).unref?.();
  }
}

function startChild(folder: string, memoryLimitBytes: number): ChildProcessWithoutNullStreams {
  const permission = process.allowedNodeEnvironmentFlags.has("--permission")
    ? "--permission"
    : "--experimental-permission";
  const command = [
    process.execPath,
    permission,
    `--allow-fs-read=${childFile}`,
    `--allow-fs-read=${folder}/`,
    "--disallow-code-generation-from-strings",
    "--disable-proto=delete",
    "--no-addons",
    "--no-warnings",
    "--max-old-space-size=192",
    childFile,
    folder,
    String(memoryLimitBytes),
  ];
  // The shell only sets limits of the system, those that it may set, and is replaced by Node: no core dump, no file
  // written, no endless run, and (on Linux) no memory beside Python's that JavaScript could be made to take.
  const kibibytes = Math.ceil((memoryLimitBytes + hostBytes) / 1024);
  const limits = `"-c 0" "-f 0" "-t ${processorSeconds}" "-d ${kibibytes}"`;
  const script = `for l in ${limits}; do (ulimit $l) 2>/dev/null && ulimit $l; done; exec "$@"`;
  const [file, ...args] =
    process.platform === "win32" ? command : ["/bin/sh", "-c", script, "sandbox", ...command];
  return spawn(file, args, { stdio: "pipe", env: {}, cwd: folder });
}
