/**
 * A client of any server that speaks OpenAI's chat completions (vLLM, Ollama, llama.cpp, …): streamed or whole answers,
 * retries, limits on everything the server sends, and a key that goes to the one server it is meant for and nowhere else.
 *
 * Redirects are refused: they would carry key and conversation to another place. Left out: proxies and certificates
 * (Node's own settings apply), other endpoints of the interface.
 */
import { OptionError } from "../errors.ts";
import { conversationToOpenAI } from "../messages.ts";
import type { Message, ToolDefinition } from "../types.ts";
import { readAnswer } from "./answer.ts";
import { Failure, isPassing } from "./error.ts";
import { lastError, networkMessage, refusal } from "./failure.ts";
import { AnswerError, type Completion } from "./reply.ts";
import { backoff, type RetryClock, realClock } from "./retry.ts";
import { leastSecretLength, redactor } from "./secret.ts";
import { checkKey, endpointUrl } from "./target.ts";

/** What a client is made of. */
export interface ChatClientOptions {
  /** URL below which `/chat/completions` lies, for most servers ending in `/v1`. A query is kept, and never shown. */
  baseUrl: string;
  /** The model's name, as the server knows it. */
  model: string;
  /** Sent as a bearer token. Read it from the environment, never from a file or the command line. */
  apiKey?: string;
  /** Send the key unencrypted to another machine; default false. */
  insecure?: boolean;
  /** Ask for server-sent events; default true. Either kind of answer is understood. */
  stream?: boolean;
  /** Milliseconds for one whole answer; default 600,000. */
  timeoutMs?: number;
  /** Milliseconds between two pieces of an answer that has begun; default 60,000. */
  stallMs?: number;
  /** Further requests after failures that may pass; default 5. */
  retries?: number;
  /** Longest wait that a server may ask for with Retry-After, in milliseconds; default 120,000. */
  maxWaitMs?: number;
  /** Bytes of an answer; default 16 MiB. Headers are bounded by Node (16 KiB). */
  maxBytes?: number;
  /** Replaces time and chance, for tests. */
  clock?: RetryClock;
}

/** One request. */
export interface CompletionRequest {
  messages: readonly Message[];
  tools?: readonly ToolDefinition[];
  /** Left to the server if absent, as are the next two. */
  temperature?: number;
  maxTokens?: number;
  seed?: number;
  signal?: AbortSignal;
}

/** A client of one model at one endpoint. */
export interface ChatClient {
  /** Where it asks: origin and path, without credentials and query. */
  readonly url: string;
  readonly model: string;
  /**
   * The next assistant turn.
   *
   * @throws EndpointError when the server can not be asked, after all retries
   * @throws the signal's reason if it is aborted
   */
  complete(request: CompletionRequest): Promise<Completion>;
}

/**
 * A client of one model at one endpoint.
 *
 * @throws OptionError for a URL that is not http(s) or holds credentials, an unusable key, limits out of range, or a key
 *   that would cross a network unencrypted
 * @example
 * ```ts
 * const client = createChatClient({ baseUrl: "http://127.0.0.1:8000/v1", model: "Qwen/Qwen3-4B" });
 * const { message, usage } = await client.complete({ messages, tools, temperature: 0 });
 * ```
 */
export function createChatClient(options: ChatClientOptions): ChatClient {
  const { model, apiKey, stream = true, retries = 5, clock = realClock } = options;
  const { timeoutMs = 600_000, stallMs = 60_000, maxWaitMs = 120_000, maxBytes = 16 * 2 ** 20 } = options;
  for (const [name, value] of Object.entries({ timeoutMs, stallMs, maxBytes, maxWaitMs, retries })) {
    const least = name === "retries" || name === "maxWaitMs" ? 0 : 1;
    // Timers of Node end at 2³¹ − 1 milliseconds.
    if (!Number.isInteger(value) || value < least || value > 2 ** 31 - 1)
      throw new OptionError(`createChatClient: ${name} must be a whole number from ${least}, got ${value}`);
  }
  const target = endpointUrl(options.baseUrl);
  checkKey(apiKey, target, options.insecure === true);
  const url = target.origin + target.pathname;
  const redact = redactor(apiKey);
  const redactReply = (apiKey?.length ?? 0) >= leastSecretLength ? redact : (text: string) => text;
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: stream ? "text/event-stream, application/json" : "application/json",
    ...(apiKey === undefined || apiKey === "" ? {} : { authorization: `Bearer ${apiKey}` }),
  };

  /** Sends the request once. */
  async function send(body: string, signal: AbortSignal | undefined): Promise<Completion> {
    const limit = new AbortController();
    const expire = (kind: "timeout" | "stall", milliseconds: number) => () =>
      limit.abort(
        new Failure(
          kind,
          `no ${kind === "stall" ? "further data" : "answer"} within ${milliseconds / 1000} s`,
        ),
      );
    const forward = () => limit.abort(signal?.reason);
    signal?.addEventListener("abort", forward, { once: true });
    const whole = setTimeout(expire("timeout", timeoutMs), timeoutMs);
    let stall: NodeJS.Timeout | undefined;
    const touch = () => {
      if (stall === undefined) stall = setTimeout(expire("stall", stallMs), stallMs);
      else stall.refresh();
    };
    try {
      const response = await fetch(target, {
        method: "POST",
        headers,
        body,
        redirect: "manual",
        signal: limit.signal,
      });
      if (!response.ok) throw await refusal(response, touch, clock.now());
      return await readAnswer(response, { touch, maxBytes, redact: redactReply });
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.signal.aborted) throw limit.signal.reason;
      if (error instanceof Failure) throw error;
      if (error instanceof AnswerError) throw new Failure(error.kind, error.message);
      throw new Failure("network", networkMessage(error));
    } finally {
      clearTimeout(whole);
      clearTimeout(stall);
      signal?.removeEventListener("abort", forward);
      // Gives the connection back if the answer was not read to its end.
      limit.abort();
    }
  }

  return {
    url,
    model,
    async complete({ messages, tools = [], temperature, maxTokens, seed, signal }) {
      const body = JSON.stringify({
        model,
        messages: conversationToOpenAI(messages),
        tools: tools.length === 0 ? undefined : tools,
        temperature,
        max_tokens: maxTokens,
        seed,
        stream,
        stream_options: stream ? { include_usage: true } : undefined,
      });
      for (let attempts = 1; ; attempts++) {
        signal?.throwIfAborted();
        try {
          return await send(body, signal);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          const { kind, status, waitMs = 0 } = error;
          if (!isPassing(kind, status) || attempts > retries || waitMs > maxWaitMs)
            throw lastError(error, { url, model, attempts, redact });
          await clock.sleep(Math.max(waitMs, backoff(attempts, clock.random())), signal);
        }
      }
    },
  };
}
