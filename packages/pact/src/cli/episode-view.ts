/** What `pact play` and `pact chat` show of an episode: messages, tools, the score. Untrusted text is made printable. */
import type { Environment, Message, ToolDefinition } from "@pact/tools-sim";
import { type Paint, printable } from "./terminal.ts";

/** Most characters of one message that are shown. */
const shownLength = 4000;

/** A message under its speaker, two columns in; long ones are cut. */
export function messageLines({ role, name, content }: Message, paint: Paint): string {
  const speaker = name === undefined || name === "" ? role : `${role} ${printable(name)}`;
  const text = content.length > shownLength ? `${content.slice(0, shownLength)}…` : content;
  // Line breaks stay; other control characters could move the cursor.
  const lines = text.split("\n").map(printable).join("\n  ");
  return `${paint(role === "tool" ? "accent" : "good", speaker)}\n  ${lines}`;
}

/** How many tools there are, and the signature of each. */
export function toolLines(tools: readonly ToolDefinition[], paint: Paint): string {
  const signatures = tools.map(({ function: tool }) => {
    const required = tool.parameters.required ?? [];
    const parameters = Object.entries(tool.parameters.properties ?? {}).map(
      ([name, schema]) => `${name}${required.includes(name) ? "" : "?"}: ${schema.type ?? "any"}`,
    );
    return `  ${paint("bold", printable(tool.name))}(${printable(parameters.join(", "))})`;
  });
  return [paint("dim", `${tools.length} tool${tools.length === 1 ? "" : "s"}`), ...signatures].join("\n");
}

/** The verdict on an episode, and the family's score. */
export function endingLines(
  environment: Environment<unknown, string>,
  stopReason: string,
  paint: Paint,
): string {
  const { success, value } = environment.outcome();
  const verdict = success ? paint("good", "solved") : paint("bad", "not solved");
  return `${verdict}, value ${value.toFixed(3)}, stop reason ${stopReason}\n${JSON.stringify(environment.score())}`;
}
