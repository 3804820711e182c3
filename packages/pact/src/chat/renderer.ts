/**
 * A conversation, marked, and what a chat template makes of its beginnings: prompts P(k), and what stands between two turns.
 * Left out: ids of what comes out (encode.ts), samples (conversation.ts).
 */
import { ChatTemplate, PretrainedTokenizer, renderChat, splitControls, type TokenizerLike } from "@pact/nn";
import type { Message, ToolDefinition } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import { type MarkedConversation, markConversation } from "./fields.ts";
import { FieldMarks, type RenderedPart } from "./marks.ts";
import { hermesTags, type TurnTags } from "./sampled.ts";

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
  /**
   * Where the template gets the reasoning of a message: in `reasoning_content` (default), or in front of its `content`
   * between the tags, for templates that know no reasoning.
   */
  readonly reasoning?: "field" | "content";
}

/** A turn as a template writes it, cut from what follows. */
export interface CutTurn {
  readonly body: readonly RenderedPart[];
  /** Name of its stop token. */
  readonly stop: string;
  readonly after: readonly RenderedPart[];
}

/** What stands between two turns, or why nothing can. */
export type Between =
  | { readonly parts: readonly RenderedPart[]; readonly exact: boolean }
  | { readonly kind: "history" | "dropped"; readonly reason: string };

/** The conversation, marked, and what the template makes of its beginnings. */
export class ConversationRenderer {
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
    const tags = options.reasoning === "content" ? (options.tags ?? hermesTags) : undefined;
    this.marked = markConversation(this.marks, messages, tools, tags);
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

  /** A turn that was sampled without its stop token gets the template's. */
  #afterTurn(turn: number, parts: readonly RenderedPart[]): Between {
    const { body, stop, after } = this.cutTurn(turn, parts);
    const ids = this.messages[turn].ids ?? [];
    const stopped = this.#stops.has(ids.at(-1) ?? -1);
    const text = body.map((part) => part.text).join("");
    return {
      parts: stopped ? after : [{ text: stop }, ...after],
      exact: this.tokenizer.decode(stopped ? ids.slice(0, -1) : ids) === text,
    };
  }

  /**
   * Cuts what a template wrote from a turn on into the turn, its stop token and the rest.
   *
   * @throws RenderError if none of the stop tokens ends the turn
   */
  cutTurn(turn: number, parts: readonly RenderedPart[]): CutTurn {
    const isOfTurn = ({ field }: RenderedPart): boolean =>
      field !== undefined && this.marked.fields[field].message === turn;
    const end = parts.findLastIndex(isOfTurn) + 1;
    const { text = "", field } = parts[end] ?? {};
    const stop = field === undefined ? this.#findStop(text) : undefined;
    if (stop === undefined) {
      throw new RenderError(
        `renderConversation: after message ${turn} the template writes none of the stop tokens ` +
          `${JSON.stringify([...this.#stops].map((id) => this.tokenizer.decode([id])))}, but ` +
          `${JSON.stringify(text.slice(0, 80))}. Name them: { stopTokens: ["<|im_end|>"] }`,
      );
    }
    const pieces = [text.slice(0, stop.start), text.slice(stop.end)].map((piece) =>
      piece === "" ? [] : [{ text: piece }],
    );
    return {
      body: [...parts.slice(0, end), ...pieces[0]],
      stop: text.slice(stop.start, stop.end),
      after: [...pieces[1], ...parts.slice(end + 1)],
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
