/** Which control tokens end a turn: those that a folder's files name, and what its chat template writes. */
import { type ChatTemplate, type PretrainedTokenizer, renderChat, splitControls } from "@pact/nn";

/** Control tokens that `eos_token_id` of a configuration names; other values are not looked at. */
export function namedEnds(
  tokenizer: PretrainedTokenizer,
  json: Readonly<Record<string, unknown>> | undefined,
): string[] {
  return [json?.eos_token_id].flat().flatMap((id) => {
    return typeof id === "number" && tokenizer.isControl(id) ? [tokenizer.decode([id])] : [];
  });
}

const probe = "probe-of-a-turn";

/**
 * The named tokens and, where the template ends an assistant's turn with none of them (some folders name only the end of a
 * document), the first control token that it writes behind one.
 */
export function turnEnds(
  tokenizer: PretrainedTokenizer,
  template: ChatTemplate,
  named: readonly string[],
): string[] {
  const known = [...new Set(named)];
  const messages = [
    { role: "user", content: "?" },
    { role: "assistant", content: probe },
  ];
  let text: string;
  try {
    text = renderChat(template, messages, [], { variables: Object.fromEntries(tokenizer.special) });
  } catch {
    // A template that refuses this conversation may take others.
    return known;
  }
  const behind = splitControls(tokenizer, text.slice(text.lastIndexOf(probe) + probe.length));
  const controls = behind.flatMap((piece) => (typeof piece === "number" ? [tokenizer.decode([piece])] : []));
  const isNamed = controls.some((name) => known.includes(name));
  return isNamed ? known : [...known, ...controls.slice(0, 1)];
}
