/** The chat template of the shipped base writes what render.ts writes, so that one road serves every model folder. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTokenizer, type PretrainedTokenizer, renderChat } from "@pact/nn";
import { type ExpertTrace, type Message, openSuite, type SuiteId, type Task } from "@pact/tools-sim";
import { beforeAll, describe, expect, it } from "vitest";
import { renderConversation } from "../../packages/pact/src/chat/conversation.ts";
import { readModelFolder } from "../../packages/pact/src/cli/base-policy.ts";
import { renderDocument, renderPrompt, toolList } from "../../packages/pact/src/render.ts";

const folder = fileURLToPath(new URL("../../packages/pact/base", import.meta.url));
let tokenizer: PretrainedTokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
});

it("goes into the checkpoints of runs that start from the base", async () => {
  const { companions } = (await readModelFolder()).files;
  expect(companions).toEqual({
    "tokenizer_config.json": readFileSync(join(folder, "tokenizer_config.json"), "utf8"),
  });
  expect(companions?.["tokenizer_config.json"]).toContain("chat_template");
});

/** Ids by the template; with what opens a turn unless an expert's turns follow. */
function byTemplate(task: Pick<Task, "tools" | "question">, turns?: readonly Message[]): readonly number[] {
  const { samples } = renderConversation(
    tokenizer,
    tokenizer.chatTemplate(),
    { messages: [{ role: "user", content: task.question }, ...(turns ?? [])], tools: task.tools },
    { addGenerationPrompt: turns === undefined },
  );
  expect(samples.length).toBe(1);
  return samples[0].ids;
}

function messagesOf(trace: ExpertTrace): Message[] {
  const reasoning = (chunks: readonly { text: string }[]) => chunks.map(({ text }) => text).join("");
  return [
    ...trace.turns.flatMap(({ chunks, calls, observations }): Message[] => [
      { role: "assistant", content: "", reasoning_content: reasoning(chunks), tool_calls: calls },
      ...observations.map((content): Message => ({ role: "tool", content })),
    ]),
    {
      role: "assistant",
      content: trace.final.answer,
      ...(trace.final.chunks.length > 0 && { reasoning_content: reasoning(trace.final.chunks) }),
    },
  ];
}

/** render.ts encodes reasoning chunk by chunk, so that a chunk's end is a token's end; a template knows no chunks. */
function inOneChunk({ turns, final }: ExpertTrace): ExpertTrace {
  const join = <T extends { chunks: ExpertTrace["final"]["chunks"] }>(turn: T): T => ({
    ...turn,
    chunks:
      turn.chunks.length === 0
        ? []
        : [{ type: "other" as const, text: turn.chunks.map(({ text }) => text).join("") }],
  });
  return { turns: turns.map(join), final: join(final) };
}

describe("the base's chat template", () => {
  it.each(["ftrl-like", "toolhop-like", "bfcl-like"] satisfies SuiteId[])("equals render.ts on %s", (id) => {
    const tasks = openSuite(id, { count: 40, split: "train" }).tasks.flatMap(({ task }) => task ?? []);
    expect(tasks.length).toBe(40);
    for (const task of tasks) {
      expect(byTemplate(task)).toEqual(renderPrompt(tokenizer, task).ids);
      const trace = task.trace!;
      const { ids } = renderDocument(tokenizer, { task, episode: inOneChunk(trace) });
      expect(byTemplate(task, messagesOf(trace))).toEqual(ids);
    }
  });

  it("writes signatures as toolList does, whatever a schema leaves out", () => {
    const schemas = [
      {},
      { properties: {} },
      { properties: { items: { type: "string" }, keys: {}, list: { type: ["string", "null"] } } },
      { properties: { a: { type: "integer" }, b: { type: "<|end|>" } }, required: ["b"] },
      { properties: { any: true, none: null }, required: [] },
    ];
    const tools = schemas.map((parameters, index) => ({
      type: "function",
      function: { name: `tool${index}`, description: "", parameters },
    })) as Task["tools"];
    const question = "<|end|>?";
    expect(byTemplate({ tools, question })).toEqual(renderPrompt(tokenizer, { tools, question }).ids);
    expect(renderChat(tokenizer.chatTemplate(), [{ role: "user", content: question }], tools)).toBe(
      `<|system|>${toolList(tools)}<|end|><|user|><|end|>?<|end|>`,
    );
  });

  it("takes a system message, and arguments as the text that servers send", () => {
    const call = { type: "function", function: { name: "f", arguments: '{"a": 1}' } };
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Who?" },
      { role: "assistant", content: null, tool_calls: [call] },
    ];
    const tools = [{ type: "function", function: { name: "f" } }];
    expect(renderChat(tokenizer.chatTemplate(), messages, tools)).toBe(
      '<|system|>Be brief.\nf()<|end|><|user|>Who?<|end|><|assistant|><tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call><|end|>',
    );
    expect(() => renderChat(tokenizer.chatTemplate(), [{ role: "developer", content: "" }])).toThrow(
      "role developer",
    );
  });
});
