/**
 * When to ask a server again: exponential back-off with jitter, and what its Retry-After header demands.
 * Sources: RFC 9110 §10.2.3 (Retry-After); "equal jitter" as in M. Brooker, "Exponential Backoff and Jitter" (AWS, 2015).
 */

/** Time and chance, to be replaced in tests. */
export interface RetryClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

const firstDelay = 500;
const longestDelay = 30_000;

/**
 * Milliseconds before the next request: half of `min(30 s, 0.5 s · 2^(failures − 1))`, plus a random share of the other half.
 *
 * @param failures - requests that have failed, from 1
 */
export function backoff(failures: number, random: number): number {
  const whole = Math.min(longestDelay, firstDelay * 2 ** Math.min(failures - 1, 20));
  return whole / 2 + (whole / 2) * random;
}

/**
 * Milliseconds that a Retry-After header asks to wait: a number of seconds or a date; undefined if it is neither.
 *
 * @param now - milliseconds since 1970
 */
export function retryAfter(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text)) return Number(text) * 1000;
  // Dates have a weekday or at least a month; Date.parse would take bare numbers too.
  if (!/[A-Za-z]{3}/.test(text) || text.length > 40) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** The real clock. */
export const realClock: RetryClock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, milliseconds);
      signal?.addEventListener("abort", stop, { once: true });
    }),
};
