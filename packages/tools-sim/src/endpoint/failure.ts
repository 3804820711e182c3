/** One failed request: why it failed, and the error that it becomes when there are no further attempts. */

import { chunksOf } from "./answer.ts";
import { EndpointError, type EndpointErrorKind, Failure } from "./error.ts";
import { serverMessage } from "./reply.ts";
import { retryAfter } from "./retry.ts";

/** Bytes of an error's body that are looked at. */
const errorBytes = 64 * 2 ** 10;

/**
 * The error of a request that is given up.
 *
 * @param redact - keeps the key out of what the server said
 */
export function lastError(
  { kind, status, waitMs, message }: Failure,
  {
    url,
    model,
    attempts,
    redact,
  }: { url: string; model: string; attempts: number; redact(text: string): string },
): EndpointError {
  const said = shorten(redact(printable(message)));
  const tried = attempts === 1 ? "" : `, ${attempts} attempts`;
  const demand = waitMs === undefined ? "" : `; it asks to wait ${Math.ceil(waitMs / 1000)} s`;
  return new EndpointError(`${url}: ${said}${demand} (${kind}${tried}). ${remedy(kind, status, model)}`, {
    kind,
    status,
    attempts,
  });
}

/** The failure that an answer without success stands for. */
export async function refusal(response: Response, touch: () => void, now: number): Promise<Failure> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    let place = "";
    try {
      const to = new URL(response.headers.get("location") ?? "", response.url);
      place = ` to ${to.origin}${to.pathname}`;
    } catch {
      // Without a place that can be read there is none to name.
    }
    return new Failure("redirect", `HTTP ${status}, a redirect${place}, which is not followed`, { status });
  }
  let said = "";
  try {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunksOf(response, touch, errorBytes)) parts.push(chunk);
    const text = new TextDecoder().decode(Buffer.concat(parts));
    said = serverMessage(parsedOr(text));
  } catch {
    // A body that is cut, late or too large says nothing; the status does.
  }
  const waitMs = retryAfter(response.headers.get("retry-after"), now);
  return new Failure("status", `HTTP ${status}${said === "" ? "" : `: ${said}`}`, { status, waitMs });
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export function networkMessage(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : code;
  return `no answer from the server (${detail ?? (error instanceof Error ? error.message : String(error))})`;
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 297)}...` : text;
}

/** What helps. */
function remedy(kind: EndpointErrorKind, status: number | undefined, model: string): string {
  if (kind === "status") {
    if (status === 401 || status === 403)
      return "Check the key: PACT_API_KEY, or the variable that --api-key-env names.";
    if (status === 404 || status === 405)
      return `Check the base URL (it usually ends in /v1) and that the server has a model ${JSON.stringify(model)}.`;
    if (status === 429) return "Ask less at once (--concurrency), or later.";
    if (status !== undefined && status < 500)
      return "The server refuses this request; its log says more (often a prompt longer than its context).";
    return "The server failed; its log says more.";
  }
  if (kind === "redirect") return "Give the URL that the server redirects to, if it is the right one.";
  if (kind === "content_type" || kind === "malformed")
    return "Check that the base URL is that of an OpenAI-compatible server (it usually ends in /v1).";
  if (kind === "network") return "Check that the server is running and reachable.";
  if (kind === "timeout" || kind === "stall")
    return "Ask less at once (--concurrency), or allow more time (--timeout).";
  if (kind === "too_large") return "Bound the answer (--max-tokens).";
  return "The server failed; its log says more.";
}
