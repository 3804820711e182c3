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
import { ChatTemplate, PretrainedTokenizer, renderChat, splitControls, type TokenizerLike } from "@pact/nn";
import type { Message, ToolDefinition } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import type { Role } from "../roles.ts";
import { appendParts, type FieldSpan, type TokenBuffer } from "./encode.ts";
import { type Field, type MarkedConversation, markConversation } from "./fields.ts";
import { FieldMarks, type RenderedPart } from "./marks.ts";
import { type TurnTags, turnRoles } from "./sampled.ts";

/** A message; an assistant turn of the policy with its ids as they were sampled, stop token included. */
export interface ChatMessage extends Message {
  readonly ids?: readonly number[];
}

/** Messages in order, and the tools that the template lists. */
export interface ChatConversation {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ToolDefinition[];
}

/** Options of {@link renderConversation}. */
export interface ConversationOptions {
  /** Names of control tokens that end a turn. Default the tokenizer's `eos_token`. */
  readonly stopTokens?: readonly string[];
  /** Variables of the template, over the tokenizer's special tokens: `{ enable_thinking: false }`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Whether the last sample goes on to what opens the next turn. Default false: it ends with the last sampled turn. */
  readonly addGenerationPrompt?: boolean;
  /** Tags in sampled turns. Default those of Qwen and Hermes. */
  readonly tags?: TurnTags;
  /** Time that the template reads. Default now, one for all renderings. */
  readonly now?: Date;
}

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
  const renderer = new Renderer(tokenizer, template, conversation, options);
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

type Between =
  | { readonly parts: readonly RenderedPart[]; readonly exact: boolean }
  | Pick<ConversationSplit, "kind" | "reason">;

/** The conversation, marked, and what the template makes of its beginnings. */
class Renderer {
  readonly marks: FieldMarks;
  readonly marked: MarkedConversation;
  readonly tokenizer: TokenizerLike;
  readonly messages: readonly ChatMessage[];
  readonly tags: TurnTags | undefined;
  readonly #template: ChatTemplate;
  readonly #stops: ReadonlySet<number>;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #now: Date;

  constructor(
    tokenizer: TokenizerLike,
    template: ChatTemplate | string,
    { messages, tools = [] }: ChatConversation,
    options: ConversationOptions,
  ) {
    const special = tokenizer instanceof PretrainedTokenizer ? Object.fromEntries(tokenizer.special) : {};
    this.tokenizer = tokenizer;
    this.messages = messages;
    this.tags = options.tags;
    this.#template = typeof template === "string" ? new ChatTemplate(template) : template;
    this.#variables = { ...special, ...options.variables };
    this.#now = options.now ?? new Date();
    const stops = options.stopTokens ?? (special.eos_token === undefined ? [] : [special.eos_token]);
    this.#stops = new Set(stops.map((name) => tokenizer.controlId(name)));
    const sources = [JSON.stringify({ messages, tools, ...this.#variables }), this.#template.source];
    this.marks = new FieldMarks(sources, tokenizer.controlTokens);
    this.marked = markConversation(this.marks, messages, tools);
  }

  /** Marked text of the messages before `count`. */
  render(count: number, addGenerationPrompt: boolean): string {
    return renderChat(this.#template, this.marked.messages.slice(0, count), this.marked.tools, {
      addGenerationPrompt,
      variables: this.#variables,
      now: this.#now,
    });
  }

  prompt(turn: number): string {
    return this.render(turn, true);
  }

  /** What stands between the sampled ids of a turn and the next turn, or why nothing can. */
  between(turn: number, prompt: string, next: string): Between {
    if (!next.startsWith(prompt)) {
      let at = 0;
      while (prompt[at] === next[at]) at++;
      const shown = (text: string): string => JSON.stringify(this.marks.plain(text.slice(at, at + 60)));
      const reason = `what stands before message ${turn} changed from ${shown(prompt)} to ${shown(next)}`;
      return { kind: "history", reason };
    }
    const parts = this.marks.parts(next.slice(prompt.length));
    const shown = new Set(parts.map((part) => part.field));
    const dropped = this.marked.fields.find(
      (field, index) => field.message === turn && field.kind !== "label" && field.shown && !shown.has(index),
    );
    if (dropped !== undefined) {
      return { kind: "dropped", reason: `the template leaves out the ${dropped.kind} of message ${turn}` };
    }
    return this.#afterTurn(turn, parts);
  }

  /** Cuts the parts after the turn's stop token; a turn that was sampled without one gets the template's. */
  #afterTurn(turn: number, parts: readonly RenderedPart[]): Between {
    const isOfTurn = ({ field }: RenderedPart): boolean =>
      field !== undefined && this.marked.fields[field].message === turn;
    const start = parts.findLastIndex(isOfTurn) + 1;
    const stop = parts[start]?.field === undefined ? this.#findStop(parts[start]?.text ?? "") : undefined;
    if (stop === undefined) {
      throw new RenderError(
        `renderConversation: after message ${turn} the template writes none of the stop tokens ` +
          `${JSON.stringify([...this.#stops].map((id) => this.tokenizer.decode([id])))}, but ` +
          `${JSON.stringify((parts[start]?.text ?? "").slice(0, 80))}. Name them: { stopTokens: ["<|im_end|>"] }`,
      );
    }
    const ids = this.messages[turn].ids ?? [];
    const stopped = this.#stops.has(ids.at(-1) ?? -1);
    const { text } = parts[start];
    const body =
      parts
        .slice(0, start)
        .map((part) => part.text)
        .join("") + text.slice(0, stop.start);
    const rest = text.slice(stopped ? stop.end : stop.start);
    return {
      parts: [...(rest === "" ? [] : [{ text: rest }]), ...parts.slice(start + 1)],
      exact: this.tokenizer.decode(stopped ? ids.slice(0, -1) : ids) === body,
    };
  }

  #findStop(text: string): { start: number; end: number } | undefined {
    let start = 0;
    for (const piece of splitControls(this.tokenizer, text)) {
      const length = typeof piece === "string" ? piece.length : this.tokenizer.decode([piece]).length;
      if (typeof piece === "number" && this.#stops.has(piece)) return { start, end: start + length };
      start += length;
    }
    return undefined;
  }
}

/** A sample under way. */
class Sample implements TokenBuffer, ConversationSample {
  readonly ids: number[] = [];
  readonly roles: number[] = [];
  readonly spans: FieldSpan[] = [];
  readonly turns: TurnSpan[] = [];
  readonly #renderer: Renderer;
  /** Messages from here on are what the environment answered. */
  readonly #first: number;

  constructor(renderer: Renderer, first: number) {
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
