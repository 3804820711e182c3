/** Turns of an episode as the messages that chat templates read: an expert's, and those of a policy that was acted upon. */
import type { Message, ToolCall } from "@pact/tools-sim";
import type { PastTurn } from "../dialect.ts";
import type { ShownTurns } from "../render-context.ts";
import type { ChatMessage } from "./renderer.ts";

/** A turn as an assistant's message and those of its tools; parts of it may be missing. */
export function expertMessages({ chunks, calls, observations }: ShownTurns[number]): Message[] {
  const reasoning = chunks.map(({ text }) => text).join("");
  return [
    {
      role: "assistant",
      content: "",
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls.map(plainCall) }),
    },
    ...observations.map((content, index): Message => {
      const name = calls[index]?.function.name;
      return { role: "tool", content, ...(name !== undefined && { name }) };
    }),
  ];
}

/** Name and arguments only: a template may write whatever else it is given. */
function plainCall({ function: { name, arguments: args } }: ToolCall): ToolCall {
  return { type: "function", function: { name, arguments: args } };
}

/**
 * A sampled turn and what its tools said. Calls that could not be parsed are in its ids alone.
 *
 * @param mostCalls calls that the template may see
 */
export function pastMessages({ ids, parsed, observations }: PastTurn, mostCalls: number): ChatMessage[] {
  const answer = parsed.answer === undefined ? [] : [`<answer>${parsed.answer}</answer>`];
  const content = [...(parsed.text === "" ? [] : [parsed.text]), ...answer].join("\n");
  const calls = parsed.calls.slice(0, mostCalls).map(plainCall);
  return [
    {
      role: "assistant",
      content,
      ids,
      ...(parsed.reasoning !== undefined && { reasoning_content: parsed.reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    ...observations.map(
      (observation): ChatMessage => ({
        role: "tool",
        content: observation.content,
        ...(observation.name !== "" && { name: observation.name }),
      }),
    ),
  ];
}

/** A turn as turns with one call each, the reasoning in the first. */
export function singleCalls<Turn extends ShownTurns[number]>(turn: Turn): Turn[] {
  if (turn.calls.length < 2) return [turn];
  return turn.calls.map((call, index) => ({
    ...turn,
    chunks: index === 0 ? turn.chunks : [],
    calls: [call],
    observations: turn.observations.slice(index, index + 1),
  }));
}
