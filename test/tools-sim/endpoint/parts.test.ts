/** The parts of the client that need no server: events, waiting, keys in texts, deltas. */
import { OptionError, redactor } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPassing } from "../../../packages/tools-sim/src/endpoint/error.ts";
import { AnswerError, ReplyBuilder } from "../../../packages/tools-sim/src/endpoint/reply.ts";
import { backoff, realClock, retryAfter } from "../../../packages/tools-sim/src/endpoint/retry.ts";
import { SseReader } from "../../../packages/tools-sim/src/endpoint/sse.ts";
import { checkKey, endpointUrl } from "../../../packages/tools-sim/src/endpoint/target.ts";

/** The events of a text that comes in the given pieces. */
function events(bytes: Uint8Array, cuts: readonly number[]): string[] {
  const reader = new SseReader();
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  const found = places.slice(1).flatMap((end, i) => reader.push(bytes.subarray(places[i], end)));
  return [...found, ...reader.end()];
}

describe("server-sent events", () => {
  const text =
    ": hello\ndata: one\r\n\r\ndata:two\r\ndata:  three\n\nevent: x\nid: 3\ndata: größe 🦊\r\rdata\n\n:\n\ndata: last";
  const bytes = new TextEncoder().encode(text);
  const expected = ["one", "two\n three", "größe 🦊", "last"];
  it("are found whatever the pieces", () => {
    expect(events(bytes, [])).toEqual(expected);
    expect(events(bytes, [...bytes.keys()])).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        expect(events(bytes, cuts)).toEqual(expected);
      }),
    );
  });
  it("refuse bytes that are not UTF-8", () => {
    expect(() => new SseReader().push(new Uint8Array([0x64, 0xff, 0x0a]))).toThrow(TypeError);
    const reader = new SseReader();
    reader.push(new Uint8Array([0xf0, 0x9f]));
    expect(() => reader.end()).toThrow(TypeError);
  });
  it("take linear time for one line in very many pieces", () => {
    const reader = new SseReader();
    const piece = new Uint8Array(4).fill(97);
    const began = performance.now();
    for (let i = 0; i < 500_000; i++) reader.push(piece);
    expect(reader.push(new TextEncoder().encode("\n\n"))).toEqual([]);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe("waiting", () => {
  it("doubles up to 30 s, with jitter in its upper half", () => {
    expect([1, 2, 3, 7, 8, 1000].map((n) => backoff(n, 0))).toEqual([250, 500, 1000, 15_000, 15_000, 15_000]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, random) => {
          const whole = Math.min(30_000, 500 * 2 ** (n - 1));
          expect(backoff(n, random)).toBeGreaterThanOrEqual(whole / 2);
          expect(backoff(n, random)).toBeLessThan(whole);
        },
      ),
    );
  });
  it("reads Retry-After as seconds or date", () => {
    const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");
    expect(retryAfter("3", now)).toBe(3000);
    expect(retryAfter(" 0.5 ", now)).toBe(500);
    expect(retryAfter("Wed, 21 Oct 2015 07:28:09 GMT", now)).toBe(9000);
    expect(retryAfter("Wed, 21 Oct 2015 07:00:00 GMT", now)).toBe(0);
    for (const bad of [null, "", "soon", "-1", "1e9", "12345678901", `Wed${" ".repeat(99)}`])
      expect(retryAfter(bad, now)).toBeUndefined();
  });
  it("ends when it is aborted", async () => {
    const controller = new AbortController();
    const sleeping = realClock.sleep(60_000, controller.signal);
    const reason = new Error("stop");
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(realClock.sleep(1, controller.signal)).rejects.toBe(reason);
  });
  it("is for failures that may pass", () => {
    for (const status of [408, 409, 425, 429, 500, 502, 503, 504, 529])
      expect(isPassing("status", status)).toBe(true);
    for (const status of [400, 401, 403, 404, 405, 413, 422, 301])
      expect(isPassing("status", status)).toBe(false);
    for (const kind of ["network", "stall", "timeout", "malformed", "server"] as const)
      expect(isPassing(kind, undefined)).toBe(true);
    for (const kind of ["redirect", "too_large", "content_type"] as const)
      expect(isPassing(kind, undefined)).toBe(false);
  });
});

describe("a key in a text", () => {
  const key = "sk-Az09+/=_.$~secret";
  const hide = redactor(key);
  it("is replaced in every encoding that servers echo", () => {
    const bytes = Buffer.from(key);
    const encodings = [
      key,
      encodeURIComponent(key),
      encodeURIComponent(key).toLowerCase().replaceAll("az09", "Az09"),
      [...bytes].map((byte) => `%${byte.toString(16)}`).join(""),
      JSON.stringify(key).slice(1, -1).replaceAll("/", "\\/"),
      [...bytes].map((byte) => `\\u00${byte.toString(16)}`).join(""),
      [...bytes].map((byte) => `&#${byte};`).join(""),
      [...bytes].map((byte) => `&#x${byte.toString(16)};`).join(""),
      bytes.toString("hex"),
      bytes.toString("hex").toUpperCase(),
      bytes.toString("base64"),
      bytes.toString("base64url"),
    ];
    for (const encoded of encodings)
      expect(hide(`before ${encoded} after`)).toMatch(/^before \[redacted\].* after$/);
  });
  it("is replaced in Base64 at every alignment", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (before, after) => {
        const encoded = Buffer.from(`${before}${key}${after}`).toString("base64");
        expect(hide(encoded)).toContain("[redacted]");
        expect(Buffer.from(hide(encoded), "base64").toString()).not.toContain(key.slice(2, -2));
      }),
    );
  });
  it("of any kind leaves other texts alone and is gone afterwards", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."abXY01-_.$^[(\\/+*?"), minLength: 8, maxLength: 40 }),
        fc.string(),
        (secret, text) => {
          const clean = redactor(secret)(`${text}${secret}${text}`);
          expect(clean).not.toContain(secret);
          expect(clean).toContain("[redacted]");
        },
      ),
    );
    expect(hide("nothing to see, sk-Az09 alone is no key")).toBe("nothing to see, sk-Az09 alone is no key");
    expect(redactor(undefined)("text")).toBe("text");
    expect(redactor("")("text")).toBe("text");
  });
});

describe("where a key may go", () => {
  it.each([
    ["http://localhost:8000/v1", true],
    ["http://127.0.0.1/v1", true],
    ["http://[::1]:80/v1", true],
    ["https://example.org/v1", true],
    ["http://example.org/v1", false],
    ["http://127.0.0.1.example.org/v1", false],
    ["http://localhost.example.org/v1", false],
    ["http://10.0.0.1/v1", false],
  ])("%s: %s", (url, allowed) => {
    const check = () => checkKey("sk-12345678", endpointUrl(url), false);
    if (allowed) expect(check).not.toThrow();
    else expect(check).toThrow(/unencrypted/);
    expect(() => checkKey("sk-12345678", endpointUrl(url), true)).not.toThrow();
    expect(() => checkKey(undefined, endpointUrl(url), false)).not.toThrow();
  });
  it("refuses keys that a header can not hold, without repeating them", () => {
    for (const key of ["sk-1234\n5678", "sk 12345678", "schlüssel", "a".repeat(5000)]) {
      let message = "";
      try {
        checkKey(key, endpointUrl("https://example.org"), false);
      } catch (error) {
        message = error instanceof OptionError ? error.message : "";
      }
      expect(message).toContain("printable ASCII");
      expect(message).not.toContain(key);
    }
  });
  it("makes the URL of chat completions", () => {
    expect(endpointUrl("http://h/v1").href).toBe("http://h/v1/chat/completions");
    expect(endpointUrl("http://h/v1///").href).toBe("http://h/v1/chat/completions");
    expect(endpointUrl("http://h").href).toBe("http://h/chat/completions");
    expect(endpointUrl("http://h/v1/chat/completions?api-version=2#x").href).toBe(
      "http://h/v1/chat/completions?api-version=2",
    );
    for (const bad of [
      "",
      "localhost:8000",
      "ftp://h/v1",
      "file:///etc/passwd",
      "http://user:pw@h/v1",
      "not a url",
    ])
      expect(() => endpointUrl(bad)).toThrow(OptionError);
    expect(() => endpointUrl("http://user:hunter2@h/v1")).not.toThrow(/hunter2/);
  });
});

describe("deltas", () => {
  const same = (text: string) => text;
  /** The message of deltas. */
  function built(...deltas: object[]) {
    const builder = new ReplyBuilder();
    for (const delta of deltas) builder.add(JSON.stringify({ choices: [{ index: 0, delta }] }));
    return builder.build(same).message;
  }
  it("of several calls are put together by index", () => {
    const message = built(
      { role: "assistant", content: "Let me " },
      { content: "look." },
      { tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "f", arguments: "" } }] },
      { tool_calls: [{ index: 1, id: "b", function: { name: "g", arguments: '{"y"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"x": 1' } }] },
      {
        tool_calls: [
          { index: 1, function: { arguments: ": 2.0}" } },
          { index: 0, function: { arguments: "0}" } },
        ],
      },
    );
    expect(message).toEqual({
      role: "assistant",
      content: "Let me look.",
      tool_calls: [
        {
          id: "a",
          type: "function",
          function: { name: "f", arguments: { x: 10 }, argumentsText: '{"x": 10}' },
        },
        {
          id: "b",
          type: "function",
          function: { name: "g", arguments: { y: 2 }, argumentsText: '{"y": 2.0}' },
        },
      ],
    });
  });
  it("without index begin a new call with a new id or name", () => {
    const message = built(
      { tool_calls: [{ id: "a", function: { name: "f", arguments: "{}" } }] },
      { tool_calls: [{ id: "b", function: { name: "f", arguments: '{"x"' } }] },
      { tool_calls: [{ function: { arguments: ":1}" } }] },
      { tool_calls: [{ function: { name: "h", arguments: { z: 3 } } }] },
    );
    expect(message.tool_calls?.map((call) => [call.function.name, call.function.arguments])).toEqual([
      ["f", {}],
      ["f", { x: 1 }],
      ["h", { z: 3 }],
    ]);
  });
  it("keep reasoning under either name", () => {
    expect(built({ reasoning_content: "Hm" }, { reasoning_content: "m." }).reasoning_content).toBe("Hmm.");
    expect(built({ reasoning: "So." }).reasoning_content).toBe("So.");
  });
  it("with a broken call keep every call, as text that is parsed and answered", () => {
    const message = built({
      content: "Both.",
      tool_calls: [
        { index: 0, id: "a", function: { name: "f", arguments: '{"x": 1}' } },
        { index: 1, id: "b", function: { name: "g", arguments: '{"x": ' } },
      ],
    });
    expect(message.tool_calls).toBeUndefined();
    expect(message.content).toBe(
      'Both.\n<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>\n<tool_call>{"name": "g", "arguments": {"x": }</tool_call>',
    );
  });
  it("never throw for what a model wrote, and bound its calls", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 4 }), fc.jsonValue(), (calls, content) => {
        expect(typeof built({ content, tool_calls: calls }).content).toBe("string");
      }),
    );
    const many = Array.from({ length: 5000 }, (_, index) => ({
      index,
      function: { name: "f", arguments: "{}" },
    }));
    expect(built({ tool_calls: many }).content.length).toBeLessThan(20_000);
  });
  it("that are no chunks are errors", () => {
    const add = (text: string) => () => new ReplyBuilder().add(text);
    for (const text of ["", "{", "[]", "null", "7", "{}", '{"choices": 3}'])
      expect(add(text)).toThrow(AnswerError);
    expect(add('{"error": {"message": "out of memory"}}')).toThrow("out of memory");
    expect(add('{"object": "error", "message": "no model"}')).toThrow("no model");
    expect(() => new ReplyBuilder().build(same)).toThrow("no message");
    const builder = new ReplyBuilder();
    builder.add('{"choices": []}');
    expect(() => builder.build(same)).toThrow(AnswerError);
  });
});
