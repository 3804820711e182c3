/** The course of a conversation, with replies that are written here instead of sampled. */
import { ChatTemplateError } from "@pact/nn";
import { openSuite, parseReply } from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { runCommand } from "../../packages/pact/src/cli/chat-commands.ts";
import { ContextFullError, type Reply } from "../../packages/pact/src/cli/chat-conversation.ts";
import { ChatSession, type ChatTask, type Talk } from "../../packages/pact/src/cli/chat-session.ts";
import { ChatView } from "../../packages/pact/src/cli/chat-view.ts";
import { eventsOf, testConsole } from "./chat-console.ts";

type Said = string | Error | Pick<Reply, "text" | "finish">;

const { signal } = new AbortController();
const suiteTask = openSuite("ftrl-like", { seed: 1, count: 1 }).tasks[0];
const task: ChatTask = { title: "a task", create: () => suiteTask.create() };
const trace = suiteTask.task!.trace!;
const callText = ({ name, arguments: args }: { name: string; arguments: object }) =>
  `<tool_call>${JSON.stringify({ name, arguments: args })}</tool_call>`;
const expertTurns = trace.turns.map((turn) => turn.calls.map((call) => callText(call.function)).join(""));
const answer = `<answer>${trace.final.answer}</answer>`;
const aCall = callText(trace.turns[0].calls[0].function);

/** A session whose model says these replies, one after the other. */
function scripted(replies: readonly Said[], parts: { task?: ChatTask; system?: string } = {}, json = true) {
  const queue = [...replies];
  const prompts: string[][] = [];
  const talk: Talk = {
    messages: [],
    tools: [],
    setSystem(content) {
      const has = talk.messages[0]?.role === "system";
      const message = { role: "system" as const, content };
      talk.messages.splice(0, has ? 1 : 0, ...(content === "" ? [] : [message]));
    },
    async reply(onText) {
      prompts.push(talk.messages.map(({ role, content }) => `${role}: ${content}`));
      const said = queue.shift();
      if (said === undefined) throw new Error("the script has ended");
      if (said instanceof Error) throw said;
      const { text, finish } = typeof said === "string" ? { text: said, finish: "token" as const } : said;
      onText(text, false);
      const parsed = parseReply(text, { tools: talk.tools });
      const message = { role: "assistant" as const, content: parsed.text, tool_calls: parsed.calls };
      talk.messages.push(message);
      return { text, message, parsed, finish, promptTokens: 9, reusedTokens: 0, tokens: 3, seconds: 1 };
    },
  };
  const console = testConsole();
  const view = new ChatView(console, json);
  const session = new ChatSession({ conversation: talk, view, ...parts });
  const command = (line: string) => runCommand(line, { session, view, model: "m", signal });
  return { session, talk, prompts, console, command, events: () => eventsOf(console.shown()) };
}

describe("a conversation", () => {
  it("is what was said, in order, under the system message", async () => {
    const { session, prompts } = scripted(["Hello.", "Well."], { system: "Be kind." });
    await session.begin(signal);
    await session.say("Hi", signal);
    await session.say("How?", signal);
    expect(prompts[1]).toEqual(["system: Be kind.", "user: Hi", "assistant: Hello.", "user: How?"]);
    expect(session.failed).toBe(false);
  });

  it("takes back a message that got no reply, says why, and goes on", async () => {
    const failures = [
      new ContextFullError("it is full"),
      new ChatTemplateError("raised", "roles must alternate."),
    ];
    const { session, talk, events } = scripted([...failures, "Fine."]);
    for (const text of ["one", "two", "three"]) await session.say(text, signal);
    expect(talk.messages.map(({ content }) => content)).toEqual(["three", "Fine."]);
    expect(session.failed).toBe(true);
    expect(events().map(({ type, message }) => message ?? type)).toEqual([
      "it is full. /reset begins anew; a shorter message may still fit.",
      "renderChat: roles must alternate.",
      "turn",
    ]);
  });

  it("does not hide errors that have nothing to do with it", async () => {
    await expect(scripted([new TypeError("oops")]).session.say("Hi", signal)).rejects.toThrow(TypeError);
  });

  it("asks again for the last reply", async () => {
    const { session, command, prompts, console } = scripted(["a", "b", "c"]);
    await command("/retry");
    expect(console.told()).toContain("there is no message yet");
    await session.say("Hi", signal);
    await command("/retry");
    expect(prompts[1]).toEqual(["user: Hi"]);
  });

  it("begins anew with the system message that was set last", async () => {
    const { session, command, talk } = scripted(["a"], { system: "old" });
    await session.begin(signal);
    await command("/system new\nlines");
    await session.say("Hi", signal);
    await command("/reset");
    expect(talk.messages).toEqual([{ role: "system", content: "new\nlines" }]);
    await command("/system");
    expect(talk.messages).toEqual([]);
  });
});

describe("a task", () => {
  it("is played with its tools to its score", async () => {
    const { session, events, prompts } = scripted([...expertTurns, answer], { task });
    await session.begin(signal);
    const lines = events();
    expect(lines[0]).toMatchObject({ type: "task", title: "a task" });
    const turns = lines.filter(({ type }) => type === "turn");
    const given = trace.turns.map(({ observations }) => observations);
    const observed = turns.slice(0, -1).map(({ observations }) => observations as { content: string }[]);
    expect(observed.map((list) => list.map(({ content }) => content))).toEqual(given);
    expect(prompts.at(-1)?.at(-1)).toBe(`tool: ${given.at(-1)?.at(-1)}`);
    expect(lines.at(-1)).toMatchObject({ type: "score", success: true, stopReason: "answer" });
  });

  it("shows calls that fail as observations, and goes on", async () => {
    const broken = ["<tool_call>{no json</tool_call>", callText({ name: "nope", arguments: {} })];
    const { session, events } = scripted([...broken, answer], { task });
    await session.begin(signal);
    const turns = events().filter(({ type }) => type === "turn");
    expect(turns.map(({ observations }) => JSON.stringify(observations))).toEqual([
      expect.stringContaining("error"),
      expect.stringContaining("unknown tool"),
      "[]",
    ]);
    expect(session.failed).toBe(false);
  });

  it("does not act upon a reply that is cut; the next one counts", async () => {
    const cut = { text: aCall, finish: "length" as const };
    const { session, command, events, talk } = scripted([cut, answer], { task });
    await session.begin(signal);
    expect(talk.messages.some(({ role }) => role === "tool")).toBe(false);
    await command("/retry");
    expect(events().map(({ type }) => type)).toEqual(["task", "turn", "turn", "score"]);
  });

  it("waits where Ctrl-C stopped a reply, and takes a message", async () => {
    const stopped = { text: "Hm", finish: "stopped" as const };
    const { session, prompts, events } = scripted([stopped, aCall, answer], { task });
    await session.begin(signal);
    await session.say("Look it up.", signal);
    expect(prompts[1].at(-1)).toBe("user: Look it up.");
    expect(events().at(-1)).toMatchObject({ type: "score" });
  });

  it("leaves its tools to the conversation after it, with no second score", async () => {
    const { session, command, events } = scripted([answer, aCall, "So.", aCall, "Yes.", "Perhaps."], {
      task,
    });
    await session.begin(signal);
    await session.say("And then?", signal);
    await session.say("Again?", signal);
    const lines = events();
    expect(lines.map(({ type }) => type)).toEqual(["task", "turn", "score", "turn", "turn", "turn", "turn"]);
    for (const at of [3, 5]) expect(lines[at].observations).toHaveLength(1);
    await command("/retry"); // of the last message, not of the task
    expect(events().at(-1)).toMatchObject({ content: "Perhaps." });
  });

  it("takes no turn back once it has its score", async () => {
    const { session, command, events, console } = scripted([answer], { task });
    await session.begin(signal);
    await command("/retry");
    expect(console.told()).toContain("a task takes no turn back");
    expect(events().at(-1)).toMatchObject({ type: "score" });
  });

  it("ends when its environment fails, says so, and gives back what it held", async () => {
    let closed = 0;
    const failing: ChatTask = {
      title: "fails",
      create: () =>
        Object.assign(suiteTask.create(), {
          step: () => Promise.reject(new Error("no interpreter.\n")),
          close: async () => void closed++,
        }),
    };
    const { session, events } = scripted([aCall], { task: failing });
    await session.begin(signal);
    const [problem, score] = events().slice(-2);
    expect(problem).toEqual({ type: "problem", message: "no interpreter." });
    expect(score).toMatchObject({ type: "score", stopReason: "failed" });
    expect([closed, session.failed]).toEqual([1, true]);
  });
});
