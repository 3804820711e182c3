/**
 * Runs one call of a tool that nobody can trust: whatever it does, throwing, never answering or answering nonsense, comes
 * back as an error observation in FTRL's wording (its spelling included).
 *
 * Left out: a tool that blocks this thread can not be interrupted from it; such tools run in a process of their own.
 */
import { SandboxError } from "./sandbox/errors.ts";
import type { Observation, ToolRunner } from "./tools.ts";
import type { ToolCall } from "./types.ts";

/** Bounds of a call. */
export const callLimits = {
  /** Milliseconds that any tool has, the wait for an interpreter included (120 000). */
  timeout: 120_000,
  /** Characters of a result (1 000 000); a longer one is an error. */
  contentLength: 1_000_000,
} as const;

/** Characters of an error's message that are shown. */
const maxMessageLength = 2000;

/** FTRL's wording of a failed call. */
export function callFailure(name: string, message: string): string {
  return `an error occured when call ${name}: ${message}`;
}

/**
 * The observation of a call, whatever the runner does.
 *
 * @param options.timeout - milliseconds until the call counts as failed
 * @throws the signal's reason if it is aborted
 * @throws SandboxError where Python tools can not be run at all: that is no fault of the call
 */
export async function observe(
  run: ToolRunner,
  call: ToolCall,
  options: { signal?: AbortSignal; timeout?: number } = {},
): Promise<Observation> {
  const { signal, timeout = callLimits.timeout } = options;
  signal?.throwIfAborted();
  const { name } = call.function;
  const own = new AbortController();
  try {
    const answer = run(call, { signal: signal ? AbortSignal.any([signal, own.signal]) : own.signal });
    return checked(name, await unless(answer, timeout, signal));
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof SandboxError) throw error;
    return failure(name, messageOf(error));
  } finally {
    own.abort();
  }
}

/** The answer, unless the time is over or the signal is aborted before. */
async function unless<T>(answer: T | Promise<T>, timeout: number, signal?: AbortSignal): Promise<T> {
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    const abort = () => reject(signal?.reason);
    const timer = setTimeout(() => reject(new Error(`timed out after ${timeout / 1000} seconds.`)), timeout);
    signal?.addEventListener("abort", abort);
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
  });
  try {
    return await Promise.race([answer, stopped]);
  } finally {
    stop();
  }
}

/** An observation with nothing in it that its reader does not expect; the name is that of the call, which is scored. */
function checked(name: string, result: Partial<Observation> | null | undefined): Observation {
  const content: unknown = result?.content;
  if (typeof content !== "string") return failure(name, `the result is no text but ${typeof content}`);
  if (content.length > callLimits.contentLength) {
    return failure(
      name,
      `the result has ${content.length} characters, at most ${callLimits.contentLength} are taken`,
    );
  }
  const source = result?.source === "recorded" || result?.source === "missing" ? result.source : "simulated";
  return { name, content, error: result?.error === true, source };
}

function failure(name: string, message: string): Observation {
  return {
    name,
    content: callFailure(name, message.slice(0, maxMessageLength)),
    error: true,
    source: "simulated",
  };
}

function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "the tool failed with an error that has no text";
  }
}
