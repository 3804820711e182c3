/**
 * Puts a server's answer together: a whole chat completion, or the deltas of a streamed one. What the model wrote never
 * throws; what is no chat completion at all is an `AnswerError`, which the client turns into an `EndpointError`.
 *
 * Source: the OpenAI API reference, "Chat completions" and "streaming", with `reasoning_content` or `reasoning` as vLLM,
 * llama.cpp and Ollama send it. Left out: further choices, log-probabilities, audio.
 */
import { isObject } from "../json.ts";
import { fromOpenAI } from "../messages.ts";
import { parseLimits } from "../parser.ts";
import type { Message } from "../types.ts";

/** Tokens as the server counts them. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** One answered request. */
export interface Completion {
  /** The assistant turn; calls that can not be read stand in its content as Hermes text, so that they are answered. */
  message: Message;
  /** Undefined where the server does not count. */
  usage: Usage | undefined;
  /** `stop`, `tool_calls`, `length`, …; undefined where the server gives none. */
  finishReason: string | undefined;
}

/** An answer that is no chat completion (`malformed`), or one that reports an error (`server`). */
export class AnswerError extends Error {
  readonly kind: "malformed" | "server";
  constructor(kind: "malformed" | "server", message: string) {
    super(message);
    this.kind = kind;
  }
}

interface WireCall {
  id?: string;
  name: string;
  arguments: string;
}

/** Calls beyond this are dropped while they arrive; one more than is read, so that the surplus is noticed. */
const keptCalls = parseLimits.calls + 1;

/** Collects what a server sends about one completion. */
export class ReplyBuilder {
  #content: string[] = [];
  #reasoning: string[] = [];
  #calls: (WireCall & { key: string | number })[] = [];
  #usage: Usage | undefined;
  #finishReason: string | undefined;
  #hasChoice = false;

  /** True once the model said that it is finished, or gave a whole message. */
  get isComplete(): boolean {
    return this.#finishReason !== undefined;
  }

  /**
   * Takes one piece: a whole completion or a streamed chunk.
   *
   * @throws AnswerError if it is neither
   */
  add(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new AnswerError("malformed", "the answer is not valid JSON");
    }
    if (!isObject(value)) throw new AnswerError("malformed", "the answer is not a JSON object");
    const error = value.error ?? (value.object === "error" ? value.message : undefined);
    if (error !== undefined && error !== null) throw new AnswerError("server", serverMessage(value));
    this.#usage = readUsage(value.usage) ?? this.#usage;
    const choices: unknown = value.choices;
    if (!Array.isArray(choices)) throw new AnswerError("malformed", 'the answer has no list "choices"');
    for (const choice of choices) {
      if (!isObject(choice) || (choice.index !== undefined && choice.index !== 0)) continue;
      const message = choice.delta ?? choice.message;
      if (isObject(message)) this.#addMessage(message);
      if (typeof choice.finish_reason === "string") this.#finishReason = choice.finish_reason.slice(0, 64);
    }
  }

  /**
   * The completion.
   *
   * @param redact - applied to every text
   * @throws AnswerError if no message has come
   */
  build(redact: (text: string) => string): Completion {
    if (!this.#hasChoice) throw new AnswerError("malformed", "the answer has no message");
    const calls = this.#calls.map(({ id, name, arguments: args }) => ({
      ...(id === undefined ? {} : { id: redact(id) }),
      type: "function",
      function: { name: redact(name), arguments: redact(args) },
    }));
    const content = redact(this.#content.join(""));
    const reasoning = redact(this.#reasoning.join(""));
    const wire = {
      role: "assistant",
      content,
      ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    };
    const { message, blocks } = fromOpenAI(wire);
    if (blocks.some(({ call }) => call === undefined)) {
      const written = calls.map(
        ({ function: { name, arguments: args } }) =>
          `<tool_call>{"name": ${JSON.stringify(name)}, "arguments": ${args.trim() === "" ? "{}" : args}}</tool_call>`,
      );
      message.content = [message.content, ...written].filter((part) => part !== "").join("\n");
      delete message.tool_calls;
    }
    return {
      message,
      usage: this.#usage,
      finishReason: this.#finishReason === undefined ? undefined : redact(this.#finishReason),
    };
  }

  #addMessage(message: Record<string, unknown>): void {
    this.#hasChoice = true;
    this.#content.push(textOf(message.content));
    this.#reasoning.push(textOf(message.reasoning_content) || textOf(message.reasoning));
    if (!Array.isArray(message.tool_calls)) return;
    for (const [place, given] of message.tool_calls.entries()) {
      if (!isObject(given)) continue;
      const fn: Record<string, unknown> = isObject(given.function) ? given.function : {};
      const call = this.#callFor(given, place);
      if (call === undefined) continue;
      if (typeof given.id === "string" && given.id !== "") call.id ??= given.id;
      if (typeof fn.name === "string" && call.name === "") call.name = fn.name;
      // Some servers send an object where the format has its JSON text.
      if (typeof fn.arguments === "string") call.arguments += fn.arguments;
      else if (isObject(fn.arguments)) call.arguments += JSON.stringify(fn.arguments);
    }
  }

  /** The call that a delta belongs to: by index; without one, a new id or name begins a new call. */
  #callFor({ index, id, function: fn }: Record<string, unknown>, place: number): WireCall | undefined {
    const last = this.#calls.at(-1);
    let key: string | number;
    if (typeof index === "number") key = index;
    else if (typeof id === "string" && id !== "") key = id;
    else if (last !== undefined && !(isObject(fn) && typeof fn.name === "string")) return last;
    else key = `${this.#calls.length}.${place}`;
    const known = this.#calls.find((call) => call.key === key);
    if (known !== undefined || this.#calls.length >= keptCalls) return known;
    const call = { key, name: "", arguments: "" };
    this.#calls.push(call);
    return call;
  }
}

/**
 * What a server says about an error: `error.message`, `message`, `detail` or `error` of a JSON body, else its text.
 *
 * @param body - parsed JSON or text
 */
export function serverMessage(body: unknown): string {
  if (typeof body === "string") return body;
  if (!isObject(body)) return "";
  const error: unknown = body.error;
  const candidates = [isObject(error) ? error.message : error, body.message, body.detail];
  const said = candidates.find((text) => typeof text === "string" && text !== "");
  return typeof said === "string" ? said : JSON.stringify(body);
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return "";
  return value.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : "")).join("");
}

function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const count = (name: string): number => {
    const number: unknown = value[name];
    return typeof number === "number" && Number.isSafeInteger(number) && number >= 0 ? number : 0;
  };
  return { promptTokens: count("prompt_tokens"), completionTokens: count("completion_tokens") };
}
