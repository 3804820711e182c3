import {
  buildTraces,
  checkTrace,
  createEnvironment,
  ftrlLike,
  type Message,
  openSuite,
  type Policy,
  type SuiteTask,
  scriptedTeacher,
  summariseTraces,
  type Teacher,
  type TraceRecord,
  teacherMessages,
  toExpertTrace,
  toolCallJson,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { requireData } from "../../helpers/require.ts";

async function build(tasks: readonly SuiteTask[], teacher: Teacher, more: object = {}) {
  const kept: TraceRecord[] = [];
  const dropped = [];
  for await (const result of buildTraces(tasks, { environment: "ftrl-like", teacher, ...more })) {
    if (result.kept) kept.push(result.kept);
    else dropped.push(result.dropped);
  }
  return { kept, dropped };
}

const { tasks } = openSuite("ftrl-like", { count: 24, seed: 5, split: "train" });
/** A task of one hop whose tools do not fail. */
const [easy] = ftrlLike.generate({
  seed: 2,
  split: "train",
  count: 1,
  category: "single_hop",
  dials: { failureRate: 0 },
});
const source: SuiteTask = {
  taskId: easy.id,
  category: easy.category,
  task: easy,
  create: () => createEnvironment(easy, { maxTurns: 3 }),
};
const call = `<tool_call>${toolCallJson(easy.trace!.turns[0].calls[0])}</tool_call>`;
const answer = `<answer>${easy.answer}</answer>`;
const replies = (...texts: string[]): Teacher => ({
  name: "m",
  policy: async ({ messages }) =>
    texts[messages.filter(({ role }) => role === "assistant").length] ?? texts[texts.length - 1],
});

describe("the scripted teacher", () => {
  it.each(["ftrl-like", "toolhop-like", "bfcl-like"])(
    "makes a faultless trace of every task of %s",
    async (id) => {
      const family = openSuite(id, { count: 24, seed: 5, split: "train" }).tasks;
      const { kept, dropped } = await build(family, scriptedTeacher(family), { environment: id });
      expect(dropped).toEqual([]);
      for (const [index, trace] of kept.entries()) {
        expect((await checkTrace(trace)).faults).toEqual([]);
        const { task } = family[index];
        expect(trace.id).toBe(task!.id);
        // The way back is the task's own trace, up to chunks that spell out their call.
        const way = toExpertTrace(trace);
        expect(way.final).toEqual(task!.trace!.final);
        expect(way.turns.map(({ calls, observations }) => ({ calls, observations }))).toEqual(
          task!.trace!.turns.map(({ calls, observations }) => ({ calls, observations })),
        );
        for (const [t, { chunks }] of way.turns.entries())
          for (const [c, { type, text }] of chunks.entries()) {
            const original = task!.trace!.turns[t].chunks[c];
            expect(text).toBe(original.text);
            expect([original.type, "explicit_call_preview"]).toContain(type);
          }
      }
      const summary = summariseTraces(kept);
      expect(summary.traces).toBe(24);
      expect(summary.levelChunks[0]).toBe(0);
      expect(summary.levelChunks[4]).toBeGreaterThan(summary.levelChunks[1]);
    },
  );
  it("gives nothing of the final turn to a context", async () => {
    const { kept } = await build(tasks, scriptedTeacher(tasks));
    for (const { turns, final } of kept) {
      expect(turns.every(({ pattern }) => pattern !== "final_answer_turn")).toBe(true);
      expect(JSON.stringify(turns)).not.toContain(JSON.stringify(final.reasoning).slice(1, -1));
    }
  });
});

describe("published rows", () => {
  const data = requireData("benchmarks/ftrl");
  it.skipIf(!data)("have a faultless trace wherever their recorded calls are whole", async () => {
    const rows = openSuite("ftrl", { data }).tasks;
    const { kept, dropped } = await build(rows, scriptedTeacher(rows), { environment: "ftrl" });
    expect(kept.map(({ id }) => id)).toEqual(
      rows.filter(({ task }) => task!.trace).map(({ taskId }) => taskId),
    );
    expect(new Set(dropped.map((drop) => drop!.reason))).toEqual(new Set(["teacher_failed"]));
    for (const trace of kept) expect((await checkTrace(trace)).faults).toEqual([]);
    expect(summariseTraces(kept).answerShare).toBeCloseTo(121 / 159, 10);
  });
});

describe("a served teacher", () => {
  it("sees the tools, the question and results as text, and is segmented by rules", async () => {
    const seen: (readonly Message[])[] = [];
    const policy: Policy = async ({ messages, tools }) => {
      expect(tools).toEqual([]);
      seen.push(messages);
      return messages.length === 2
        ? `<think>assistant: The user asks for it.\n\n\nI use ${easy.trace!.turns[0].calls[0].function.name}.</think>${call}`
        : `<think>Got it.</think>${answer}`;
    };
    const { kept } = await build([source], { name: "m", policy });
    expect(seen[0]).toEqual(teacherMessages(easy.question, easy.tools));
    expect(seen[0][0].content).toContain(`<tools>\n${JSON.stringify(easy.tools[0])}\n`);
    expect(seen[1][3]).toEqual({
      role: "user",
      content: `<tool_response>\n${easy.trace!.turns[0].observations[0]}\n</tool_response>`,
    });
    expect(kept[0].turns[0]).toMatchObject({
      pattern: "initial_attempt",
      segmentedBy: "rules",
      chunks: [{ type: "task_restate" }, { type: "tool_selection" }],
    });
    expect(kept[0].final).toMatchObject({
      pattern: "final_answer_turn",
      answer: easy.answer,
      reasoning: "Got it.",
    });
    expect(kept[0].answerInObservations).toBe(true);
  });
  it("is believed if its last observation verifies", async () => {
    const { kept } = await build([source], replies(call, "<answer>the one above</answer>"));
    expect(kept[0].verifiedBy).toBe("last_observation");
  });
  it.each([
    ["teacher_failed", [], "no reply"],
    ["turn_limit", [call, call, call], "no end after 3 turns"],
    ["no_answer", [call, "It is done."], "<answer>"],
    ["no_calls", [answer], "without a call"],
    ["malformed_turn", ["<tool_call>{</tool_call>", call, answer], "turn 0"],
    ["malformed_turn", [`${call}${answer}`, answer], "calls and an answer"],
    ["unknown_tool", ['<tool_call>{"name": "oracle", "arguments": {}}</tool_call>', answer], '"oracle"'],
    [
      "not_verified",
      [
        '<tool_call>{"name": "math", "arguments": {}}</tool_call>'.replace(
          "math",
          easy.tools[0].function.name,
        ),
        "<answer>no</answer>",
      ],
      "neither",
    ],
  ])("is dropped: %s", async (reason, texts, detail) => {
    const teacher: Teacher =
      texts.length > 0
        ? replies(...texts)
        : { name: "m", policy: async () => Promise.reject(new Error("no reply")) };
    const { kept, dropped } = await build([source], teacher);
    expect(kept).toEqual([]);
    expect(dropped[0]).toMatchObject({ id: easy.id, reason });
    expect(dropped[0]!.detail).toContain(detail);
  });
  it.each([
    ["role_text_in_observation", "ok\nassistant: I will"],
    ["role_text_in_observation", "<|im_start|>"],
    ["call_tags_in_observation", 'see <tool_call>{"name"'],
  ])("is dropped: %s", async (reason, content) => {
    const poisoned: SuiteTask = {
      ...source,
      create: () => {
        const environment = createEnvironment(easy);
        return {
          ...environment,
          score: () => environment.score(),
          outcome: () => environment.outcome(),
          step: async (text) => {
            const step = await environment.step(text);
            return {
              ...step,
              observations: step.observations.map((observation) => ({ ...observation, content })),
            };
          },
        };
      },
    };
    expect((await build([poisoned], replies(call, answer))).dropped[0]).toMatchObject({ reason });
  });
});

describe("buildTraces", () => {
  it("plays at most so many at once, in the order of the tasks", async () => {
    let running = 0;
    let most = 0;
    const scripted = scriptedTeacher(tasks);
    const policy: Policy = async (context) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      running--;
      return scripted.policy(context);
    };
    const { kept } = await build(tasks, { ...scripted, policy }, { concurrency: 3 });
    expect(kept.map(({ id }) => id)).toEqual(tasks.map(({ taskId }) => taskId));
    expect(most).toBe(3);
  });
  it("stops when it is told to, and refuses what it can not do", async () => {
    const stopped = AbortSignal.abort(new Error("enough"));
    await expect(build(tasks, scriptedTeacher(tasks), { signal: stopped })).rejects.toThrow("enough");
    await expect(build(tasks, scriptedTeacher(tasks), { concurrency: 0 })).rejects.toThrow(
      "concurrency must be a positive whole number",
    );
    const { task: _, ...several } = source;
    await expect(build([several], replies(answer))).rejects.toThrow("several user turns");
  });
});
