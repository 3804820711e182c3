/** Why a served model could not be asked. */
import { ToolsSimError } from "../errors.ts";

/**
 * What went wrong: `status`, an HTTP status that is no success; `server`, an error reported inside an answer that began
 * well; `redirect`; `network`, no connection or one that broke; `timeout`, the whole answer took too long; `stall`, it
 * stopped half-way; `content_type`; `malformed`, neither JSON nor server-sent events of chat completions; `too_large`.
 */
export type EndpointErrorKind =
  | "status"
  | "server"
  | "redirect"
  | "network"
  | "timeout"
  | "stall"
  | "content_type"
  | "malformed"
  | "too_large";

/** HTTP statuses after which the same request may succeed; the others mean that the request itself is refused. */
const passingStatuses: readonly number[] = [408, 409, 425, 429];

/**
 * A request to an endpoint that failed for good. The message names the URL without credentials and query, and what helps;
 * it never holds the key.
 */
export class EndpointError extends ToolsSimError {
  readonly kind: EndpointErrorKind;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** How often the request was sent. */
  readonly attempts: number;

  constructor(message: string, details: { kind: EndpointErrorKind; status?: number; attempts?: number }) {
    super("endpoint", message);
    this.kind = details.kind;
    this.status = details.status;
    this.attempts = details.attempts ?? 1;
  }

  /** True if every further request would fail alike: a refused key, an unknown model or path, no such endpoint. */
  get isLasting(): boolean {
    if (this.kind === "status") return [401, 403, 404, 405].includes(this.status ?? 0);
    return this.kind === "redirect" || this.kind === "content_type";
  }
}

/** True if the same request may succeed when it is sent again. */
export function isPassing(kind: EndpointErrorKind, status: number | undefined): boolean {
  if (kind === "status") return status !== undefined && (passingStatuses.includes(status) || status >= 500);
  return (["server", "network", "timeout", "stall", "malformed"] as readonly string[]).includes(kind);
}

/** One request that failed; internal, since its text may still hold the key. */
export class Failure extends Error {
  readonly kind: EndpointErrorKind;
  readonly status: number | undefined;
  readonly waitMs: number | undefined;
  constructor(kind: EndpointErrorKind, message: string, details: { status?: number; waitMs?: number } = {}) {
    super(message);
    this.kind = kind;
    this.status = details.status;
    this.waitMs = details.waitMs;
  }
}
