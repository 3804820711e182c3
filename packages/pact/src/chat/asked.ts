/** A further question behind turns that stay as they were written. */
import { RenderError } from "../errors.ts";
import type { RenderedPart } from "./marks.ts";
import type { ConversationRenderer } from "./renderer.ts";

/**
 * What a template writes behind the messages before `count` once a user's message follows them: the message with its
 * frame, and what opens a turn. The messages before it may be written anew; what ends the last of them may not.
 *
 * @throws RenderError if it is
 */
export function askedBehind(renderer: ConversationRenderer, count: number): readonly RenderedPart[] {
  const { marks, marked } = renderer;
  const isBefore = ({ field }: RenderedPart): boolean => {
    const message = field === undefined ? undefined : marked.fields[field].message;
    return message !== undefined && message < count;
  };
  const tail = (text: string): { last: number | undefined; parts: RenderedPart[] } => {
    const parts = marks.parts(text);
    const at = parts.findLastIndex(isBefore);
    return { last: parts[at]?.field, parts: parts.slice(at + 1) };
  };
  const alone = tail(renderer.render(count, false));
  const asked = tail(renderer.prompt(count + 1));
  const end = alone.parts.map(({ text }) => text).join("");
  const [first] = asked.parts;
  if (alone.last !== asked.last || first?.field !== undefined || !first?.text.startsWith(end))
    throw new RenderError(
      "the chat template does not write a further question behind the expert's turns, so rollouts have no place behind " +
        'them. Show the trace inside the question instead: traceRendering "reference".',
    );
  const rest = first.text.slice(end.length);
  return [...(rest === "" ? [] : [{ text: rest }]), ...asked.parts.slice(1)];
}
