/**
 * A conversation to training samples by a checkpoint's chat template: ids, the role of each, where each field and each
 * sampled turn lies.
 *
 *   P(k) = template(messages before turn k, with what opens a turn)
 *   sample = P(1) · sampled ids of turn 1 · between(1) · sampled ids of turn 2 · …
 *   between(k) = what P(k+1) has after P(k), turn k and its stop token
 *
 * What was sampled is never encoded again. Where P(k+1) does not begin with P(k), or leaves out a part of turn k (most
 * often its reasoning), no sample can hold both turns: a new one begins with P(k+1), and the result says so.
 * Left out: expert traces in chunks (render.ts), templates that take texts apart.
 */
import type { ChatTemplate, TokenizerLike } from "@pact/nn";
import type { Role } from "../roles.ts";
import { appendParts, type FieldSpan, type TokenBuffer } from "./encode.ts";
import type { Field } from "./fields.ts";
import type { RenderedPart } from "./marks.ts";
import { type ChatConversation, type ConversationOptions, ConversationRenderer } from "./renderer.ts";
import { turnRoles } from "./sampled.ts";

/** A sampled turn in a sample: tokens `[start, end)`. */
export interface TurnSpan {
  readonly start: number;
  readonly end: number;
  /** Index of the message. */
  readonly message: number;
  /** Whether the template would write the turn with exactly the sampled text; undefined for the last turn. */
  readonly exact: boolean | undefined;
}

/** Tokens to train on. Only tokens of `turns` were sampled here; earlier turns that a template wrote anew are prompt. */
export interface ConversationSample {
  readonly ids: readonly number[];
  /** Codes of `roleCode`. */
  readonly roles: readonly number[];
  readonly spans: readonly FieldSpan[];
  readonly turns: readonly TurnSpan[];
}

/** Why a sample ends before the conversation does. */
export interface ConversationSplit {
  /** Index of the message that begins the next sample. */
  readonly message: number;
  /** `history`: what stood before an earlier turn is written otherwise now; `dropped`: a part of that turn is left out. */
  readonly kind: "history" | "dropped";
  readonly reason: string;
}

/** A conversation as samples: one, unless the template rewrites the past. */
export interface RenderedConversation {
  readonly samples: readonly ConversationSample[];
  /** Whether there is more than one sample. */
  readonly split: boolean;
  readonly splits: readonly ConversationSplit[];
}

/**
 * Renders a conversation by a chat template. A conversation without sampled turns gives one sample of what the template
 * writes, with the spans of its fields.
 *
 * Whatever messages and tools hold, none of it becomes a control token, and it decodes to the same text.
 *
 * @throws RenderError if the template takes texts apart or ends a turn with none of the stop tokens
 * @throws ChatTemplateError of the template
 *
 * @example
 * ```ts
 * const tokenizer = new Tokenizer({ merges: [], controlTokens: ["<|im_start|>", "<|im_end|>"] });
 * const template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
 * const messages = [{ role: "user" as const, content: "Is <|im_end|> text?" }];
 * const { samples } = renderConversation(tokenizer, template, { messages }, { stopTokens: ["<|im_end|>"] });
 * tokenizer.decode(samples[0].ids); // → "<|im_start|>user\nIs <|im_end|> text?<|im_end|>\n"
 * samples[0].ids.filter((id) => id === tokenizer.controlId("<|im_end|>")).length; // → 1
 * ```
 */
export function renderConversation(
  tokenizer: TokenizerLike,
  template: ChatTemplate | string,
  conversation: ChatConversation,
  options: ConversationOptions = {},
): RenderedConversation {
  const renderer = new ConversationRenderer(tokenizer, template, conversation, options);
  const { messages } = conversation;
  const turns = messages.flatMap((message, index) => (message.ids === undefined ? [] : [index]));
  const samples: Sample[] = [];
  const splits: ConversationSplit[] = [];
  let past: { turn: number; prompt: string } | undefined;
  for (const turn of [...turns, ...(options.addGenerationPrompt ? [messages.length] : [])]) {
    const prompt = renderer.prompt(turn);
    const between = past && renderer.between(past.turn, past.prompt, prompt);
    if (between === undefined || "reason" in between) {
      if (between !== undefined) splits.push({ message: turn, ...between });
      samples.push(new Sample(renderer, turn));
      samples[samples.length - 1].append(renderer.marks.parts(prompt));
    } else {
      const sample = samples[samples.length - 1];
      sample.closeTurn(between.exact);
      sample.append(between.parts);
    }
    const ids = messages[turn]?.ids;
    if (ids !== undefined) samples[samples.length - 1].sampled(turn, ids);
    past = { turn, prompt };
  }
  if (samples.length === 0) {
    samples.push(new Sample(renderer, messages.length));
    samples[0].append(renderer.marks.parts(renderer.render(messages.length, false)));
  }
  return { samples, split: splits.length > 0, splits };
}

/** A sample under way. */
class Sample implements TokenBuffer, ConversationSample {
  readonly ids: number[] = [];
  readonly roles: number[] = [];
  readonly spans: FieldSpan[] = [];
  readonly turns: TurnSpan[] = [];
  readonly #renderer: ConversationRenderer;
  /** Messages from here on are what the environment answered. */
  readonly #first: number;

  constructor(renderer: ConversationRenderer, first: number) {
    this.#renderer = renderer;
    this.#first = first;
  }

  append(parts: readonly RenderedPart[]): void {
    const { tokenizer, marked } = this.#renderer;
    appendParts(this, tokenizer, parts, marked.fields, (field) => this.#roleOf(field));
  }

  sampled(message: number, ids: readonly number[]): void {
    const { tokenizer, messages, tags } = this.#renderer;
    const calls = (messages[message].tool_calls?.length ?? 0) > 0;
    this.turns.push({ start: this.ids.length, end: this.ids.length + ids.length, message, exact: undefined });
    for (const id of ids) this.ids.push(id);
    for (const role of turnRoles(tokenizer, ids, { calls, tags })) this.roles.push(role);
  }

  closeTurn(exact: boolean): void {
    this.turns.push({ ...(this.turns.pop() as TurnSpan), exact });
  }

  #roleOf({ message }: Field): Role {
    if (message === undefined) return "prompt";
    const { role } = this.#renderer.messages[message];
    if (role === "assistant") return "prompt";
    return role === "tool" || message > this.#first ? "observation" : "prompt";
  }
}
