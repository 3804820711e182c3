/**
 * How the episodes of tasks become tokens for one model: prompts, what the environment inserts, expert traces. Two kinds:
 * `nativeDialect` (the control tokens of tokens.ts), and `chatDialect` for a checkpoint with a chat template (dialect-chat.ts).
 *
 *     x = prompt(task)                    what a rollout starts from
 *     x → turn → afterTurn → turn → …     a rollout; or a new segment, where the template rewrites the past
 *     x → h* = trace(task)                labelled for the SFT term
 *     x → h* → delimiter = context(task)  what stands before a traced rollout; it begins with x → h*
 *     document(task)                      x and a whole episode, for plain SFT
 *
 * Whatever sampled, ids are kept: nothing here encodes a policy's tokens again.
 */
import type { ExpertTrace, ParsedAssistant, Task } from "@pact/tools-sim";
import {
  type RenderedTrace,
  renderDelimiter,
  renderDocument,
  renderObservations,
  renderPrompt,
  renderTrace,
  type TraceOptions,
} from "./render.ts";
import { renderReference, renderShown, type ShownTurns } from "./render-context.ts";
import { sampledRoles, type TokenCodec, type TokenRun } from "./tokens.ts";

/** What a prompt shows of a task; never its trace. */
export type PromptTask = Pick<Task, "tools" | "question" | "messages">;

/** A turn that a policy sampled: the text that the environment gets, and the role of each token. */
export interface SampledTurn {
  readonly text: string;
  /** Codes of `roleCode`. */
  readonly roles: readonly number[];
}

/** A turn that was acted upon. */
export interface PastTurn {
  /** As sampled, with the stop token. */
  readonly ids: readonly number[];
  readonly parsed: ParsedAssistant;
  /** One per call, broken ones included, in order. */
  readonly observations: readonly { readonly name: string; readonly content: string }[];
}

/** Why a rollout could not go on behind its own tokens. */
export interface SplitReason {
  /** `history`: what stood before an earlier turn is written otherwise now; `dropped`: a part of that turn is left out. */
  readonly kind: "history" | "dropped";
  readonly reason: string;
}

/** What follows a turn: tokens behind it, or a whole new prompt where the template rewrites the past. */
export interface Continuation extends TokenRun {
  /** Given where `ids` are a new prompt. */
  readonly split?: SplitReason;
}

/** How one model reads and writes episodes. */
export interface Dialect {
  /** What counts as an answer: text in `<answer>` tags, or any reply without calls, as chat models answer. */
  readonly answers: "tagged" | "any";
  /** Text of any ids that the model can sample. */
  decode(ids: Iterable<number>): string;
  /** Whether a sampled id ends a turn. */
  isStop(id: number): boolean;
  /** Whether the reasoning of a turn stands between tags. */
  opensReasoning(ids: readonly number[]): boolean;
  /** The prompt x, up to what opens the assistant's turn. */
  prompt(task: PromptTask): TokenRun;
  /** @param ids of one turn, with its stop token if it was not cut off */
  turn(ids: readonly number[]): SampledTurn;
  /**
   * What stands between the last of these turns and the next.
   *
   * @throws ChatTemplateError or RenderError if a chat template refuses what was sampled
   */
  afterTurn(task: PromptTask, turns: readonly PastTurn[]): Continuation;
  /** h* behind x, labelled; it ends with the last observation. */
  trace(task: PromptTask, trace: ExpertTrace, options: TraceOptions): RenderedTrace;
  /** x → h* → delimiter, where parts of turns may be missing; x alone without turns. */
  context(task: PromptTask, turns: ShownTurns, delimiter: "again" | "question"): readonly number[];
  /** x with the turns as text at the end of its user turn. */
  reference(task: PromptTask, turns: ShownTurns): readonly number[];
  /** x and a whole episode, everything that its author wrote labelled. */
  document(task: PromptTask, episode: ExpertTrace): RenderedTrace;
}

/**
 * The dialect of our own control tokens (render.ts): what the shipped base and models trained from scratch speak.
 *
 * @param codec a tokenizer with the `controlTokens`
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const dialect = nativeDialect(codec);
 * dialect.decode(dialect.prompt({ tools: [], question: "Who?", messages: [] }).ids); // → "<|system|><|end|><|user|>Who?<|end|><|assistant|>"
 * dialect.isStop(codec.controlId("<|end|>")); // → true
 * ```
 */
export function nativeDialect(codec: TokenCodec): Dialect {
  const end = codec.controlId("<|end|>");
  const think = codec.controlId("<think>");
  return {
    answers: "tagged",
    decode: (ids) => codec.decode(ids),
    isStop: (id) => id === end,
    opensReasoning: (ids) => ids[0] === think,
    prompt: (task) => renderPrompt(codec, task),
    turn: (ids) => ({
      text: codec.decode(ids.at(-1) === end ? ids.slice(0, -1) : ids),
      roles: sampledRoles(codec, ids),
    }),
    afterTurn: (_task, turns) =>
      renderObservations(
        codec,
        (turns.at(-1)?.observations ?? []).map(({ content }) => content),
      ),
    trace: (_task, trace, options) => renderTrace(codec, trace, options),
    context(task, turns, delimiter) {
      const shown = renderShown(codec, turns);
      const between = renderDelimiter(codec, task, shown, delimiter);
      return [...renderPrompt(codec, task).ids, ...shown.ids, ...between.ids];
    },
    reference: (task, turns) => renderReference(codec, task, turns).ids,
    document: (task, episode) => renderDocument(codec, { task, episode }),
  };
}
