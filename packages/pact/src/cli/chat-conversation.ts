/**
 * A conversation with a model: messages to a prompt by the chat template, the reply token by token, what it says.
 *
 * Sampled tokens stay as they are and are never encoded again; only the last sample counts where a template rewrites the
 * past (chat/conversation.ts). Keys and values are kept, so a prompt is read from where it departs from what was read.
 */
import { DecodeCache, generateTokens } from "@pact/nn";
import { foldIn, type Key, key } from "@pact/tensor";
import { type ParsedAssistant, parseReply, type ToolDefinition } from "@pact/tools-sim";
import { type ChatMessage, renderConversation } from "../chat/index.ts";
import type { ChatModel, Sampling } from "./chat-model.ts";
import { turnEventLoop } from "./interrupt.ts";

/** How replies are made. */
export interface ReplySettings extends Sampling {
  readonly maxTokens: number;
  readonly seed: number;
  readonly stopStrings: readonly string[];
  /** Variables of the template. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** One reply of the model. */
export interface Reply {
  /** As it was written, without the stop token; with `<think>` where the template had opened it. */
  readonly text: string;
  readonly message: ChatMessage;
  readonly parsed: ParsedAssistant;
  /** `token`, `string`: it ended; `length`: `maxTokens`; `context`: no position is left; `stopped`: by Ctrl-C. */
  readonly finish: "token" | "string" | "length" | "context" | "stopped";
  readonly promptTokens: number;
  /** Tokens of the prompt that were read for earlier replies. */
  readonly reusedTokens: number;
  readonly tokens: number;
  readonly seconds: number;
}

/** The conversation does not fit into the model's context. */
export class ContextFullError extends Error {
  override readonly name = "ContextFullError";
  readonly code = "ERR_PACT_CONTEXT_FULL";
}

/** Messages and tools, and the model that answers. */
export class Conversation {
  readonly messages: ChatMessage[] = [];
  tools: readonly ToolDefinition[] = [];
  readonly #chat: ChatModel;
  readonly #settings: ReplySettings;
  readonly #stopIds: readonly number[];
  readonly #key: Key;
  readonly #cache = new DecodeCache();
  #replies = 0;

  constructor(chat: ChatModel, settings: ReplySettings) {
    this.#chat = chat;
    this.#settings = settings;
    this.#stopIds = chat.stopTokens.map((name) => chat.tokenizer.controlId(name));
    this.#key = key(settings.seed);
  }

  /** Sets, changes or (with an empty text) removes the system message. */
  setSystem(content: string): void {
    const has = this.messages[0]?.role === "system";
    this.messages.splice(0, has ? 1 : 0, ...(content === "" ? [] : [{ role: "system" as const, content }]));
  }

  /**
   * Samples a reply and adds it to the messages; one that was stopped before its first token is not added.
   *
   * @param onText gets the text as it comes; `opened` at the start if it begins inside of reasoning
   * @throws ContextFullError if no position is left for a token; errors of the template
   */
  async reply(onText: (text: string, opened: boolean) => void, signal: AbortSignal): Promise<Reply> {
    const { model, tokenizer, logitBias } = this.#chat;
    const { seed: _, variables: __, maxTokens: most, ...sampling } = this.#settings;
    const prompt = this.#prompt();
    const { maxPositions } = model.config;
    // The last token is sampled and never read.
    const room = maxPositions - prompt.length + 1;
    if (room < 1)
      throw new ContextFullError(
        `the conversation has ${prompt.length} tokens, and the model reads at most ${maxPositions}`,
      );
    const opened = tokenizer.decode(prompt.slice(-8)).trimEnd().endsWith("<think>");
    const began = performance.now();
    const ids: number[] = [];
    let text = opened ? "<think>" : "";
    let finish: Reply["finish"] = "stopped";
    const tokens = generateTokens(model, [prompt], {
      ...sampling,
      maxTokens: Math.min(most, room),
      stopTokens: this.#stopIds,
      tokenizer,
      logitBias,
      key: foldIn(this.#key, this.#replies++),
      cache: this.#cache,
    });
    for await (const [token] of tokens) {
      ids.push(token.id);
      text += token.text;
      onText(token.text, opened);
      if (token.finish) finish = token.finish === "length" && room <= most ? "context" : token.finish;
      // Lets Ctrl-C and the terminal in: the cpu device awaits microtasks only.
      else await turnEventLoop();
      if (signal.aborted) break;
    }
    const parsed = parseReply(text, { tools: this.tools });
    const message: ChatMessage = { role: "assistant", ...this.#parts(parsed), ids };
    if (ids.length > 0) this.messages.push(message);
    const seconds = (performance.now() - began) / 1000;
    const promptTokens = prompt.length;
    const reusedTokens = this.#cache.reused;
    return { text, message, parsed, finish, promptTokens, reusedTokens, tokens: ids.length, seconds };
  }

  /** Frees what was kept of the conversation. */
  dispose(): void {
    this.#cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #prompt(): readonly number[] {
    const { tokenizer, templates, stopTokens } = this.#chat;
    const { messages, tools } = this;
    const template = tools.length > 0 ? templates.tools : templates.plain;
    const { variables } = this.#settings;
    const options = { addGenerationPrompt: true, stopTokens, variables };
    const { samples } = renderConversation(tokenizer, template, { messages, tools }, options);
    return samples[samples.length - 1].ids;
  }

  #parts({ text, answer, reasoning, calls }: ParsedAssistant): Omit<ChatMessage, "role" | "ids"> {
    // Our own template writes the answer's tags itself.
    const tagged = answer === undefined || this.#chat.isNative ? answer : `<answer>${answer}</answer>`;
    return {
      content: [text, tagged ?? ""].filter((part) => part !== "").join("\n"),
      ...(reasoning !== undefined && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
  }
}
