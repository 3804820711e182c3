/**
 * Python tools of task files, run where they can do no harm: Pyodide in a locked-down process that is killed when it hangs.
 *
 * What a call shows follows FTRL's evaluation (github.com/bytedance/FTRL, `Code/utils/utils.py`, Apache-2.0); harness.py
 * has the rules. Each sandbox has an interpreter of its own; each call executes its tool's source in an empty namespace, as
 * the evaluation does, so a tool keeps nothing between calls except by changing modules. docs/sandbox.md says what holds
 * an attacker. Left out: packages beyond Python's standard library.
 */
import { OptionError } from "../errors.ts";
import { repr } from "../python/values.ts";
import type { JsonObject } from "../types.ts";
import { type Lease, type ProcessPool, sharedPool } from "./pool.ts";
import { type Failure, type ProcessLimits, pyodideFolder } from "./process.ts";

/** Why a call has no result. */
export type SandboxFailure =
  | "exception"
  | "unknown_tool"
  | "timeout"
  | "memory"
  | "crash"
  | "output"
  | "cancelled";

/** What one call gave. */
export type SandboxResult =
  | {
      ok: true;
      /** What the evaluation shows: a string as it is, a dict or list as JSON, anything else by `str`. */
      value: string;
      /** `string`: exactly a Python `str`; `json`: exactly a dict or list; `other`: the rest. */
      kind: "string" | "json" | "other";
      /** The result through `json.dumps(…, ensure_ascii=False)`, as ToolHop shows it; null where that raises. */
      json: string | null;
    }
  | {
      ok: false;
      /** What `str(exception)` gives, or a sentence on what stopped the call. */
      error: string;
      reason: SandboxFailure;
      /** Class of the Python exception, for `reason` "exception". */
      exception?: string;
    };

/** Options of `createSandbox`. */
export interface SandboxOptions {
  /** Python sources: by tool name (FTRL's `codes`), or a list (ToolHop's `functions`) whose top-level functions are the tools. */
  sources: Readonly<Record<string, string>> | readonly string[];
  /** Longest run of one call, in milliseconds. Default 10000. */
  timeLimitMs?: number;
  /** Memory of Python, and as much again for files it writes, in bytes. Default 256 MiB, at least 64 MiB. */
  memoryLimitBytes?: number;
  /** Longest result, in bytes of UTF-8. Default 1 MiB. */
  maxOutputBytes?: number;
  /** The processes to draw from. Default: those all sandboxes share. */
  pool?: ProcessPool;
}

/** Python tools of one task. */
export interface Sandbox {
  /**
   * Calls a tool. Calls of one sandbox run one after the other. Never rejects for what a tool does.
   *
   * @param args - the arguments, or their JSON text, which tells 10 from 10.0
   */
  call(name: string, args: JsonObject | string, options?: { signal?: AbortSignal }): Promise<SandboxResult>;
  /** Ends the interpreter; calls that still wait end as cancelled. */
  close(): Promise<void>;
}

const mebibyte = 2 ** 20;

/**
 * A sandbox for the Python tools of one task. Its interpreter is started in the background, serves nobody else, and is
 * replaced when a call hangs, dies or runs out of memory.
 *
 * @throws SandboxError when Pyodide is not installed
 * @throws OptionError for a limit out of range
 * @example
 * ```ts
 * const sandbox = createSandbox({ sources: { add: "def add(a, b):\n    return a + b" } });
 * await sandbox.call("add", { a: 1, b: 2 }); // → { ok: true, value: "3", kind: "other", json: "3" }
 * await sandbox.close();
 * ```
 */
export function createSandbox(options: SandboxOptions): Sandbox {
  const timeLimitMs = limit("timeLimitMs", options.timeLimitMs ?? 10_000, 1, 2 ** 31 - 1);
  const limits: ProcessLimits = {
    memoryLimitBytes: limit(
      "memoryLimitBytes",
      options.memoryLimitBytes ?? 256 * mebibyte,
      64 * mebibyte,
      2 ** 32,
    ),
    maxOutputBytes: limit("maxOutputBytes", options.maxOutputBytes ?? mebibyte, 1, 64 * mebibyte),
  };
  const sources = sourceByName(options.sources);
  const pool = options.pool ?? sharedPool;
  pyodideFolder();
  pool.enter(limits);

  const closing = new AbortController();
  let lease: Lease | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const run = async (
    name: string,
    args: JsonObject | string,
    signal?: AbortSignal,
  ): Promise<SandboxResult> => {
    const source = sources.get(name);
    // FTRL looks the source up in a dict, so that its message is the KeyError's: the quoted name.
    if (source === undefined) return { ok: false, error: repr(name), reason: "unknown_tool" };
    const stop = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
    if (stop.aborted) return stopped("cancelled", timeLimitMs);
    if (!lease || lease.evicted || !lease.process.alive) {
      if (lease) await pool.release(lease);
      lease = await pool.acquire(limits);
    }
    pool.use(lease, true);
    try {
      if (stop.aborted) return stopped("cancelled", timeLimitMs);
      const text = typeof args === "string" ? args : JSON.stringify(args);
      const answer = await lease.process.call(source, name, text, timeLimitMs, stop);
      const result =
        typeof answer === "string"
          ? stopped(answer, timeLimitMs)
          : resultOf(answer, limits.maxOutputBytes, timeLimitMs);
      // An interpreter that ran out of memory may be in any state.
      if (!result.ok && result.reason === "memory") await pool.release(lease);
      return result;
    } finally {
      pool.use(lease, false);
    }
  };

  return {
    call(name, args, { signal } = {}) {
      const result = last.then(() => run(name, args, signal));
      last = result.catch(() => {});
      return result;
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      await last;
      if (lease) await pool.release(lease);
      pool.leave();
    },
  };
}

function limit(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new OptionError(`${name} is ${value}; expected a whole number from ${least} to ${most}`);
  return value;
}

/** Which source defines a name. Of a list, the first source with such a function at its top level. */
function sourceByName(sources: SandboxOptions["sources"]): Map<string, string> {
  if (!Array.isArray(sources)) return new Map(Object.entries(sources as Readonly<Record<string, string>>));
  const found = new Map<string, string>();
  for (const source of sources as readonly string[])
    for (const [, name] of source.matchAll(/^(?:async[ \t]+)?def[ \t]+([\p{L}\p{N}_]+)/gmu))
      if (!found.has(name)) found.set(name, source);
  return found;
}

function stopped(reason: Failure | "memory", timeLimitMs: number): SandboxResult {
  const errors = {
    timeout: `the call took longer than ${timeLimitMs / 1000} s and was stopped`,
    crash: "the interpreter died",
    output: "the result is too long",
    memory: "out of memory",
    cancelled: "the call was cancelled",
  };
  return { ok: false, error: errors[reason], reason };
}

/** Reads the harness's answer, which a tool may have forged: shapes are checked, and nothing else of it is used. */
function resultOf(answer: JsonObject, maxOutputBytes: number, timeLimitMs: number): SandboxResult {
  const { ok, value, kind, json, reason, error, exception } = answer;
  const fits = (text: unknown): text is string =>
    typeof text === "string" && Buffer.byteLength(text) <= maxOutputBytes;
  if (ok === true && typeof value === "string") {
    if (!fits(value)) return stopped("output", timeLimitMs);
    if (kind === "string" || kind === "json" || kind === "other")
      return { ok, value, kind, json: fits(json) ? json : null };
  }
  if (ok === false && (reason === "memory" || reason === "output")) return stopped(reason, timeLimitMs);
  if (ok === false && reason === "exception" && typeof error === "string") {
    if (!fits(error) || !fits(exception)) return stopped("output", timeLimitMs);
    return { ok, error, reason, exception };
  }
  return stopped("crash", timeLimitMs);
}
