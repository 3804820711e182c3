/** Small hand-written tasks and traces for tests. */
import type { ExpertTrace, Task, ToolCall } from "@pact/tools-sim";

/** A call with an optional single text argument. */
export function toolCall(name: string, argument?: string): ToolCall {
  return {
    type: "function",
    function: { name, arguments: argument === undefined ? {} : { town: argument } },
  };
}

/** Two turns, the second after a failed first, with a preview chunk that no level may train. */
export const trace: ExpertTrace = {
  turns: [
    {
      chunks: [
        { type: "task_restate", text: "Who is the mayor?" },
        { type: "tool_selection", text: " find_mayor fits." },
        { type: "decision_summary", text: " I call it." },
        { type: "explicit_call_preview", text: ' find_mayor(town="Bavo")' },
        { type: "other", text: " Done." },
      ],
      calls: [toolCall("find_mayor", "Bavo"), toolCall("find_mayor", "Kelm")],
      observations: ["timeout", '{"mayor": "Mira"}'],
    },
    {
      chunks: [{ type: "failure_reflection", text: "Again." }],
      calls: [toolCall("find_mayor", "Bavo")],
      observations: ["Mira"],
    },
  ],
  final: { chunks: [{ type: "final_answer_grounding", text: "The tool says Mira." }], answer: "Mira" },
};

/** A single-hop task with that trace. */
export const task: Task = {
  id: "t1",
  category: "single_hop",
  question: 'Who is the mayor of "Bavo"?',
  messages: [{ role: "user", content: 'Who is the mayor of "Bavo"?' }],
  tools: [
    {
      type: "function",
      function: {
        name: "find_mayor",
        description: "The mayor of a town.",
        parameters: {
          type: "object",
          properties: { town: { type: "string" }, year: { type: "number" } },
          required: ["town"],
        },
      },
    },
  ],
  unsolved: { find_mayor: ["Mira"] },
  answer: "Mira",
  setup: {
    kind: "ftrl",
    calls: [{ name: "find_mayor", arguments: { town: "Bavo" }, output: "Mira" }],
  },
  trace,
};
