/** The client against a real HTTP server on this machine that behaves well, badly and maliciously. */
import { inspect } from "node:util";
import {
  type ChatClientOptions,
  createChatClient,
  EndpointError,
  type Message,
  OptionError,
  type ToolDefinition,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import {
  chunk,
  completion,
  type Handler,
  json,
  startServer,
  stream,
  wait,
} from "../../helpers/chat-server.ts";

const key = "sk-test-0123456789abcdef";
const messages: Message[] = [{ role: "user", content: "Who is the mayor of Bavo?" }];
const tools: ToolDefinition[] = [
  { type: "function", function: { name: "mayor", description: "Mayor.", parameters: { type: "object" } } },
];

/** A clock whose sleeps take no time and are written down. */
function quickClock() {
  const slept: number[] = [];
  const sleep = async (milliseconds: number) => void slept.push(milliseconds);
  return {
    slept,
    clock: { now: () => Date.parse("Wed, 21 Oct 2015 07:28:00 GMT"), random: () => 0.5, sleep },
  };
}

/** Asks a server once, with no real waiting between attempts. */
async function ask(handler: Handler, options: Partial<ChatClientOptions> = {}, signal?: AbortSignal) {
  await using server = await startServer(handler);
  const { slept, clock } = quickClock();
  const client = createChatClient({ baseUrl: server.url, model: "small", clock, ...options });
  const answer = await client.complete({ messages, tools, signal }).then(
    (value) => ({ value, error: undefined }),
    (error: unknown) => ({ value: undefined, error }),
  );
  return { ...answer, slept, requests: server.requests, url: server.url };
}

/** The same for requests that must fail for good. */
async function failure(handler: Handler, options: Partial<ChatClientOptions> = {}) {
  const { error, ...rest } = await ask(handler, { retries: 2, ...options });
  if (!(error instanceof EndpointError)) throw new Error(`expected an EndpointError, got ${inspect(error)}`);
  return { error, ...rest };
}

const fine: Handler = (response) => json(response, completion({ content: "Mira." }));

describe("a request", () => {
  it("has OpenAI's wire format", async () => {
    await using server = await startServer(fine);
    const client = createChatClient({
      baseUrl: `${server.url}/?v=2`,
      model: "small",
      apiKey: key,
      stream: false,
    });
    const conversation: Message[] = [
      ...messages,
      {
        role: "assistant",
        content: "",
        tool_calls: [
          {
            id: "c1",
            type: "function",
            function: { name: "mayor", arguments: { town: "Bavo" }, argumentsText: '{"town":"Bavo"}' },
          },
        ],
      },
      { role: "tool", name: "mayor", content: '{"mayor": "Mira"}', tool_call_id: "c1" },
    ];
    await client.complete({ messages: conversation, tools, temperature: 0.5, maxTokens: 99, seed: 7 });
    expect(server.requests).toHaveLength(1);
    const { path, headers, body } = server.requests[0];
    expect(path).toBe("/v1/chat/completions?v=2");
    expect(headers).toMatchObject({ "content-type": "application/json", authorization: `Bearer ${key}` });
    expect(body).toEqual({
      model: "small",
      temperature: 0.5,
      max_tokens: 99,
      seed: 7,
      stream: false,
      tools,
      messages: [
        { role: "user", content: "Who is the mayor of Bavo?" },
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "c1", type: "function", function: { name: "mayor", arguments: '{"town":"Bavo"}' } },
          ],
        },
        { role: "tool", name: "mayor", content: '{"mayor": "Mira"}', tool_call_id: "c1" },
      ],
    });
    expect(client.url).toBe(`${server.url}/chat/completions`);
  });
  it("without a key has no authorization", async () => {
    const { requests } = await ask(fine);
    expect(requests[0].headers.authorization).toBeUndefined();
    expect(requests[0].body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });
});

describe("an answer", () => {
  it("is read whole", async () => {
    const calls = [{ id: "x", type: "function", function: { name: "mayor", arguments: '{"town": "Bavo"}' } }];
    const { value } = await ask((response) =>
      json(
        response,
        completion({ content: null, reasoning_content: "A mayor.", tool_calls: calls }, "tool_calls"),
      ),
    );
    expect(value).toEqual({
      message: {
        role: "assistant",
        content: "",
        reasoning_content: "A mayor.",
        tool_calls: [
          {
            id: "x",
            type: "function",
            function: { name: "mayor", arguments: { town: "Bavo" }, argumentsText: '{"town": "Bavo"}' },
          },
        ],
      },
      usage: { promptTokens: 11, completionTokens: 7 },
      finishReason: "tool_calls",
    });
  });
  it("is read as a stream, slow and cut anywhere, characters included", async () => {
    const { value } = await ask(async (response) => {
      stream(response);
      const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } };
      const text = [
        ": ping\r\n\r\n",
        chunk({ role: "assistant", content: "" }),
        chunk({ content: "Größe 🦊 " }),
        chunk({ content: "日本" }).replaceAll("\n", "\r\n"),
        chunk({ tool_calls: [{ index: 0, id: "x", function: { name: "mayor", arguments: '{"town":' } }] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '"Bávo 🏰"}' } }] }),
        chunk({}, "tool_calls"),
        `data: ${JSON.stringify(usage)}\n\n`,
        "data: [DONE]\n\n",
      ].join("");
      const bytes = Buffer.from(text);
      for (let i = 0; i < bytes.length; i += 97) {
        response.write(bytes.subarray(i, i + 97));
        await wait(1);
      }
      response.end();
    });
    expect(value?.message.content).toBe("Größe 🦊 日本");
    expect(value?.message.tool_calls?.[0].function.arguments).toEqual({ town: "Bávo 🏰" });
    expect(value?.usage).toEqual({ promptTokens: 3, completionTokens: 4 });
    expect(value?.finishReason).toBe("tool_calls");
  });
  it("may end its stream without [DONE] once the model is finished, or go on after it", async () => {
    const short = await ask((response) => {
      stream(response);
      response.end(chunk({ content: "Mira." }) + chunk({}, "stop"));
    });
    expect(short.value?.message.content).toBe("Mira.");
    const open = await ask((response) => {
      stream(response);
      response.write(`${chunk({ content: "Mira." })}data: [DONE]\n\n${chunk({ content: "more" })}`);
      // The connection stays open: the end mark is the end.
    });
    expect(open.value?.message.content).toBe("Mira.");
  });
});

describe("failures that may pass", () => {
  it("are tried again with growing waits", async () => {
    const statuses = [500, 429, 503, 408];
    const { value, slept, requests } = await ask((response, received, count) =>
      count < statuses.length
        ? json(response, { error: { message: "busy" } }, statuses[count])
        : fine(response, received, count),
    );
    expect(value?.message.content).toBe("Mira.");
    expect(slept).toEqual([375, 750, 1500, 3000]);
    expect(requests).toHaveLength(5);
    expect(new Set(requests.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  });
  it("wait as long as Retry-After says, in seconds or until a date", async () => {
    const demands = ["7", "Wed, 21 Oct 2015 07:28:20 GMT", "soon"];
    const { value, slept } = await ask((response, received, count) =>
      count < demands.length
        ? json(response, {}, 429, { "retry-after": demands[count] })
        : fine(response, received, count),
    );
    expect(value?.message.content).toBe("Mira.");
    expect(slept).toEqual([7000, 20_000, 1500]);
  });
  it("end at once when the server demands more patience than there is", async () => {
    const { error, requests } = await failure((response) =>
      json(response, {}, 429, { "retry-after": "3600" }),
    );
    expect(error).toMatchObject({ kind: "status", status: 429, attempts: 1 });
    expect(error.message).toContain("it asks to wait 3600 s");
    expect(requests).toHaveLength(1);
  });
  const broken: Record<string, [kind: string, handler: Handler]> = {
    "JSON that is cut": ["malformed", (response) => json(response, '{"choices": [')],
    "JSON of another kind": ["malformed", (response) => json(response, { hello: "world" })],
    "an empty body": ["malformed", (response) => json(response, "")],
    "an error with status 200": [
      "server",
      (response) => json(response, { error: { message: "CUDA out of memory" } }),
    ],
    "bytes that are not UTF-8": [
      "malformed",
      (response) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(Buffer.from([0x7b, 0xff, 0x7d]));
      },
    ],
    "a malformed event": [
      "malformed",
      (response) => {
        stream(response);
        response.end(`${chunk({ content: "Mi" })}data: {"choices"\n\n`);
      },
    ],
    "an error in a stream": [
      "server",
      (response) => {
        stream(response);
        response.end(`${chunk({ content: "Mi" })}data: {"error": {"message": "engine died"}}\n\n`);
      },
    ],
    "a stream that ends early": [
      "network",
      (response) => {
        stream(response);
        response.end(chunk({ content: "Mi" }));
      },
    ],
    "a connection cut in the body": [
      "network",
      (response) => {
        stream(response);
        response.write(chunk({ content: "Mi" }), () => response.destroy());
      },
    ],
    "a connection cut before the headers": ["network", (response) => response.destroy()],
    "headers without end": [
      "network",
      (response) => {
        response.writeHead(200, { "content-type": "application/json", "x-long": "x".repeat(100_000) });
        response.end("{}");
      },
    ],
  };
  it.each(Object.entries(broken))("%s: is tried again, then a typed error", async (_, [kind, handler]) => {
    const { error, requests, url } = await failure(handler);
    expect(error).toMatchObject({ kind, attempts: 3 });
    expect(error.message.startsWith(`${url}/chat/completions: `)).toBe(true);
    expect(error.message).toContain("3 attempts");
    expect(requests).toHaveLength(3);
    const recovered = await ask((response, received, count) =>
      count === 0 ? handler(response, received, count) : fine(response, received, count),
    );
    expect(recovered.value?.message.content).toBe("Mira.");
  });
  it("a stall in the body and an answer that never comes are cut", async () => {
    const stalled = await failure(
      (response) => {
        stream(response);
        response.write(chunk({ content: "Mi" }));
      },
      { stallMs: 50 },
    );
    expect(stalled.error).toMatchObject({ kind: "stall", attempts: 3 });
    const silent = await failure(() => undefined, { timeoutMs: 60 });
    expect(silent.error).toMatchObject({ kind: "timeout", attempts: 3 });
    const endless = await failure(
      async (response) => {
        stream(response);
        while (!response.destroyed) {
          response.write(chunk({ content: "x" }));
          await wait(5);
        }
      },
      { timeoutMs: 500, stallMs: 450, retries: 0 },
    );
    expect(endless.error).toMatchObject({ kind: "timeout", attempts: 1 });
  });
  it("a server that is not there names what to do", async () => {
    const server = await startServer(fine);
    await server[Symbol.asyncDispose]();
    const { slept, clock } = quickClock();
    const client = createChatClient({ baseUrl: server.url, model: "small", clock, retries: 1 });
    await expect(client.complete({ messages })).rejects.toThrow(
      /ECONNREFUSED.*network, 2 attempts.*server is running/,
    );
    expect(slept).toHaveLength(1);
  });
});

describe("failures that last", () => {
  it.each([400, 401, 403, 404, 405, 413, 422])("status %d is not tried again", async (status) => {
    const { error, requests } = await failure((response) =>
      json(response, { error: { message: "No such model." } }, status),
    );
    expect(error).toMatchObject({ kind: "status", status, attempts: 1 });
    expect(error.message).toContain(`HTTP ${status}: No such model.`);
    expect(error.isLasting).toBe([401, 403, 404, 405].includes(status));
    expect(requests).toHaveLength(1);
  });
  it.each([301, 302, 303, 307, 308])("a redirect (%d) is named and not followed", async (status) => {
    await using other = await startServer(fine);
    const { error } = await failure(
      (response) => {
        response.writeHead(status, { location: `${other.url}/chat/completions?token=${key}` });
        response.end();
      },
      { apiKey: key },
    );
    expect(error).toMatchObject({ kind: "redirect", status, attempts: 1 });
    expect(error.message).toContain(`a redirect to ${other.url}/chat/completions, which is not followed`);
    expect(error.message).not.toContain(key);
    expect(other.requests).toHaveLength(0);
  });
  it("a wrong content type", async () => {
    const { error, requests } = await failure((response) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<html>Welcome</html>");
    });
    expect(error).toMatchObject({ kind: "content_type", attempts: 1 });
    expect(error.message).toContain("text/html");
    expect(requests).toHaveLength(1);
  });
  it("a body without end is cut, streamed or not, with success or without", async () => {
    const pour =
      (type: string, status: number, text: string): Handler =>
      async (response) => {
        response.writeHead(status, { "content-type": type });
        while (!response.destroyed) if (!response.write(text.repeat(200))) await wait(1);
      };
    const options = { maxBytes: 300_000, retries: 0 };
    for (const handler of [
      pour("application/json", 200, " "),
      pour("text/event-stream", 200, ": ping\n\n"),
      pour("text/event-stream", 200, "data: x"),
    ])
      expect((await failure(handler, options)).error).toMatchObject({ kind: "too_large" });
    const { error } = await failure(pour("text/plain", 400, `${" ".repeat(100)}${key}`), {
      ...options,
      apiKey: key,
    });
    expect(error.message).toContain("HTTP 400 (status)");
    expect(error.message).not.toContain("sk-");
  });
});

describe("a key", () => {
  it("reaches no error, however the server echoes it", async () => {
    const base64 = Buffer.from(`user:${key}`).toString("base64");
    for (const echo of [
      key,
      encodeURIComponent(key),
      base64,
      key.split("").join("\u0000"),
      JSON.stringify({ message: key }),
    ]) {
      const { error } = await failure(
        (response, received) =>
          json(response, { error: { message: `bad ${echo}`, got: received.headers.authorization } }, 401),
        { apiKey: key },
      );
      const shown = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error) + error.stack;
      for (const secret of [key, base64, Buffer.from(key).toString("base64").slice(0, 20)])
        expect(shown).not.toContain(secret);
    }
  });
  it("reaches no message, in pieces or whole", async () => {
    const { value } = await ask(
      (response) => {
        stream(response);
        for (const character of `Your key is ${key}.`) response.write(chunk({ content: character }));
        response.write(
          chunk({
            tool_calls: [{ index: 0, id: key, function: { name: key, arguments: `{"k": "${key}"}` } }],
          }),
        );
        response.end(chunk({ reasoning_content: key }, key));
      },
      { apiKey: key },
    );
    expect(value?.message.content).toBe("Your key is [redacted].");
    expect(JSON.stringify(value)).not.toContain(key);
  });
  it("does not cross a network unencrypted, nor hide in the URL", () => {
    const options = { baseUrl: "http://example.org/v1", model: "small", apiKey: key };
    expect(() => createChatClient(options)).toThrow(OptionError);
    expect(() => createChatClient({ ...options, insecure: true })).not.toThrow();
    expect(() => createChatClient({ ...options, baseUrl: `https://me:${key}@example.org` })).toThrow(
      /no credentials/,
    );
    expect(inspect(createChatClient({ ...options, insecure: true }), { depth: 9 })).not.toContain(key);
  });
});

describe("cancelling", () => {
  it("ends a request under way and a wait between attempts with the signal's reason", async () => {
    const reason = new Error("enough");
    const during = new AbortController();
    const first = await ask(() => during.abort(reason), {}, during.signal);
    expect(first.error).toBe(reason);
    const between = new AbortController();
    const second = await ask(
      (response) => json(response, {}, 503),
      {
        clock: {
          ...quickClock().clock,
          sleep: async (_, signal) => {
            between.abort(reason);
            signal?.throwIfAborted();
          },
        },
      },
      between.signal,
    );
    expect(second.error).toBe(reason);
    expect(second.requests).toHaveLength(1);
    const before = await ask(fine, {}, between.signal);
    expect(before.error).toBe(reason);
    expect(before.requests).toHaveLength(0);
  });
});

it("limits out of range are refused", () => {
  const options = { baseUrl: "http://127.0.0.1/v1", model: "small" };
  for (const bad of [
    { timeoutMs: 0 },
    { stallMs: 1.5 },
    { retries: -1 },
    { maxBytes: Number.NaN },
    { timeoutMs: 1e12 },
  ])
    expect(() => createChatClient({ ...options, ...bad })).toThrow(OptionError);
});
