/**
 * Roles of the tokens of a sampled assistant turn, by the tags in its text. Tags need not be single tokens, and a template
 * may have opened the reasoning already.
 */
import type { TokenizerLike } from "@pact/nn";
import { roleCode } from "../roles.ts";

/** Tags that separate the parts of an assistant turn. */
export interface TurnTags {
  readonly reasoningStart: string;
  readonly reasoningEnd: string;
  readonly callStart: string;
}

/**
 * The tags of Qwen and of the Hermes format.
 *
 * @example
 * ```ts
 * hermesTags.callStart; // → "<tool_call>"
 * ```
 */
export const hermesTags: TurnTags = {
  reasoningStart: "<think>",
  reasoningEnd: "</think>",
  callStart: "<tool_call>",
};

/**
 * Role codes of sampled ids, tags and stop token included. Up to the end of the reasoning: reasoning. After it, in a turn
 * that calls tools: reasoning up to the first call, or call from there where calls have no tags; in another turn: answer.
 *
 * @param ids the sampled ids of one turn
 * @param calls whether the turn calls tools
 * @param tags default {@link hermesTags}
 * @param reasoned bytes at the start that are known to be reasoning, whatever tags they spell; default 0
 *
 * @example
 * ```ts
 * const tokenizer = new Tokenizer({ merges: [], controlTokens: ["</think>", "<|end|>"] });
 * const ids = [104, 105, 256, 111, 107, 257]; // hi</think>ok<|end|>
 * turnRoles(tokenizer, ids, { calls: false }).map((code) => roles[code]).join(" "); // → "reasoning reasoning reasoning answer answer answer"
 * ```
 */
export function turnRoles(
  tokenizer: TokenizerLike,
  ids: readonly number[],
  { calls, tags = hermesTags, reasoned: known = 0 }: { calls: boolean; tags?: TurnTags; reasoned?: number },
): number[] {
  // Bytes as characters: offsets are those of the tokens' bytes, also where they are not UTF-8.
  const pieces = ids.map((id) => String.fromCharCode(...tokenizer.tokenBytes(id)));
  const text = pieces.join("");
  const closed = text.indexOf(tags.reasoningEnd, known);
  const opened = text.indexOf(tags.reasoningStart);
  const unfinished = closed < 0 && opened >= 0;
  const reasoned = unfinished ? text.length : closed < 0 ? known : closed + tags.reasoningEnd.length;
  const tag = text.indexOf(tags.callStart, reasoned);
  const called = calls ? (tag < 0 ? reasoned : tag) : text.length;
  let at = 0;
  return pieces.map((piece) => {
    const inReasoning = at < reasoned || (calls && at < called);
    const code = inReasoning ? roleCode.reasoning : calls ? roleCode.call : roleCode.answer;
    at += piece.length;
    return code;
  });
}
