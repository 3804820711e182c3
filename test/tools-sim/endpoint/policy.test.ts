/** A served model plays whole episodes over HTTP. */
import {
  chatPolicy,
  createChatClient,
  loadBfcl,
  type Message,
  openSuite,
  parsePythonCalls,
  runEpisode,
  runEpisodes,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../../packages/tools-sim/src/python/expression.ts";
import { dumps } from "../../../packages/tools-sim/src/python/json.ts";
import { completion, type Handler, json, startServer } from "../../helpers/chat-server.ts";
import { requireData } from "../../helpers/require.ts";

const [source] = openSuite("ftrl-like", { count: 1, seed: 9 }).tasks;

/** Every tool message answers a call of the assistant message before it, each call once. */
function checkPairs(messages: readonly Record<string, unknown>[]): number {
  let pairs = 0;
  let open: string[] = [];
  for (const { role, tool_calls: calls, tool_call_id: id } of messages) {
    if (role === "tool") {
      expect(open).toContain(id);
      open = open.filter((other) => other !== id);
      pairs++;
    } else {
      expect(open).toEqual([]);
      open = ((calls ?? []) as { id: string }[]).map((call) => call.id);
    }
  }
  return pairs;
}

describe("chatPolicy", () => {
  it("answers every call, broken ones beside valid ones too, in the conversation that the server gets back", async () => {
    const { name } = source.task!.tools[0].function;
    const call = (id: string | undefined, args: string) => ({
      id,
      type: "function",
      function: { name, arguments: args },
    });
    const replies: object[] = [
      { content: null, tool_calls: [call("a", '{"x": 1}'), call("b", '{"x": ')] },
      { content: null, tool_calls: [call(undefined, "{}"), call(undefined, "{}")] },
      { content: `<tool_call>{"name": "${name}", "arguments": {}}</tool_call>` },
      { content: "<answer>7</answer>" },
    ];
    await using server = await startServer((response, _, count) =>
      json(response, completion(replies[count])),
    );
    const client = createChatClient({ baseUrl: server.url, model: "m" });
    const result = await runEpisode(source, chatPolicy(client));
    expect(result).toMatchObject({ turns: 4, stopReason: "answer" });
    expect(result.messages.filter(({ role }) => role === "tool")).toHaveLength(5);
    expect(server.requests.map(({ body }) => checkPairs(body.messages))).toEqual([0, 2, 4, 5]);
    // The broken call's text is not lost, and its answer says what was wrong.
    const second = server.requests[1].body.messages;
    expect(JSON.stringify(second)).toContain('\\"arguments\\": {\\"x\\": }');
    expect(second.at(-1)?.content).toMatch(/error/);
  });

  it("asks each attempt with a seed of its own, the same in every run, and counts answers", async () => {
    const answer: Handler = (response) => json(response, completion({ content: "<answer>7</answer>" }));
    const seeds: unknown[][] = [];
    for (let run = 0; run < 2; run++) {
      await using server = await startServer(answer);
      let tokens = 0;
      const policy = chatPolicy(createChatClient({ baseUrl: server.url, model: "m" }), {
        seed: 5,
        temperature: 0.25,
        maxTokens: 64,
        onCompletion: (_, { usage }) => {
          tokens += usage?.completionTokens ?? 0;
        },
      });
      for await (const _ of runEpisodes([source], policy, { attempts: 3, concurrency: 1 }));
      expect(tokens).toBe(3 * 7);
      expect(server.requests[0].body).toMatchObject({ temperature: 0.25, max_tokens: 64 });
      seeds.push(server.requests.map(({ body }) => body.seed));
    }
    expect(seeds[0]).toEqual(seeds[1]);
    expect(new Set(seeds[0]).size).toBe(3);
    for (const seed of seeds[0]) expect(seed).toBeLessThan(2 ** 31);
  });
});

const folder = requireData("benchmarks/bfcl");
describe.skipIf(folder === undefined)("BFCL over HTTP", () => {
  it("a server that gives the ground truth is right on tasks of every category", async () => {
    const { tasks } = loadBfcl(folder ?? "");
    const suite = openSuite("bfcl", { data: folder });
    /** The truth's calls of each turn in OpenAI's format; undefined where arguments have no names. */
    const wireTurns = (truth: readonly (readonly string[])[]) => {
      let isNamed = true;
      const turns = truth.map((calls) =>
        calls.flatMap((text) =>
          parsePythonCalls(`[${text}]`).calls.map(({ name, positional, named }) => {
            isNamed &&= positional.length === 0;
            const values = named.map(({ name: key, value }) => [key, evaluate(value, () => null)] as const);
            return { type: "function", function: { name, arguments: dumps(new Map(values)) } };
          }),
        ),
      );
      return isNamed ? turns : undefined;
    };
    const played: string[] = [];
    for (const category of ["base", "miss_func", "miss_param", "long_context"] as const) {
      const chosen = tasks.filter((task) => task.category === category && wireTurns(task.truth)).slice(0, 6);
      for (const task of chosen) {
        const turns = wireTurns(task.truth) ?? [];
        await using server = await startServer((response, { body }) => {
          const messages = body.messages as unknown as Message[];
          const turn = messages.filter(({ role }) => role === "user").length - 1;
          const isFirstStep = messages.at(-1)?.role === "user";
          const calls = isFirstStep ? turns[turn] : [];
          json(
            response,
            completion(calls.length > 0 ? { content: null, tool_calls: calls } : { content: "Done." }),
          );
        });
        const found = suite.tasks.find(({ taskId }) => taskId === task.id);
        const result = await runEpisode(
          found!,
          chatPolicy(createChatClient({ baseUrl: server.url, model: "m" })),
        );
        expect(result).toMatchObject({ taskId: task.id, stopReason: "completed", score: { correct: true } });
        for (const { body } of server.requests) checkPairs(body.messages);
        played.push(category);
      }
    }
    expect(new Set(played).size).toBe(4);
  });
});
