/** A real HTTP server on this machine that plays an OpenAI-compatible one, well or badly. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the server got it. */
export interface Received {
  path: string;
  headers: IncomingMessage["headers"];

  /** The parsed body. */
  body: { [field: string]: unknown; messages: Record<string, unknown>[] };
}

/** Answers the request number `count`, from 0. */
export type Handler = (response: ServerResponse, received: Received, count: number) => unknown;

/** A running server; `url` is its base URL. */
export interface ChatServer extends AsyncDisposable {
  url: string;
  port: number;
  requests: Received[];
}

/** Starts a server on a free port of this machine. */
export async function startServer(handler: Handler): Promise<ChatServer> {
  const requests: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const received = { path: request.url ?? "", headers: request.headers, body: text && JSON.parse(text) };
      requests.push(received);
      handler(response, received, requests.length - 1);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Answers with JSON. */
export function json(response: ServerResponse, value: unknown, status = 200, headers = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof value === "string" ? value : JSON.stringify(value));
}

/** A whole chat completion. */
export function completion(message: object, finishReason = "stop") {
  return {
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finishReason }],
    usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
  };
}

/** One streamed chunk as an event. */
export function chunk(delta: object, finishReason: string | null = null): string {
  const value = {
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  };
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** The headers of a stream. */
export function stream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
}

/** Resolves after so many milliseconds. */
export function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
