/**
 * What `pact chat` shows: for people replies as they are written, for scripts (`--json`) one line of JSON a turn. Everything
 * that is no reply (progress, hints, errors) goes to standard error where standard output is not a terminal.
 */
import type { Environment, Message, ToolDefinition } from "@pact/tools-sim";
import type { Reply } from "./chat-conversation.ts";
import type { ChatConsole } from "./chat-input.ts";
import { harmless, jsonLine, ReplyText } from "./chat-text.ts";
import { endingLines, messageLines, toolLines } from "./episode-view.ts";
import { isLive, type Paint, painter } from "./terminal.ts";

/** A task that the model is to solve. */
export interface ShownTask {
  readonly title: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolDefinition[];
}

/** Where a conversation is shown. */
export class ChatView {
  readonly #json: boolean;
  readonly #console: ChatConsole;
  readonly #isLive: boolean;
  readonly #paint: Paint;
  /** A task's replies stand under their speaker, as its other messages do. */
  #labels = false;
  #text: ReplyText | undefined;
  #turns = 0;

  constructor(console: ChatConsole, json: boolean) {
    this.#json = json;
    this.#console = console;
    this.#isLive = !json && isLive(console.output);
    this.#paint = painter(json ? console.errors : console.output);
  }

  /** A hint, or an answer to a command. */
  note(text: string): void {
    this.#aside("dim", text);
  }

  /** Something that did not work, and how to go on. */
  problem(text: string): void {
    if (this.#json) this.#line({ type: "problem", message: text });
    else this.#aside("bad", text);
  }

  task({ title, messages, tools }: ShownTask): void {
    this.#labels = true;
    if (this.#json) {
      this.#line({ type: "task", title, messages, tools });
      return;
    }
    this.#print(this.#paint("bold", harmless(title)));
    for (const message of messages) this.#print(messageLines(message, this.#paint));
    this.tools(tools);
  }

  tools(tools: readonly ToolDefinition[]): void {
    if (this.#json) this.note(toolLines(tools, (_, text) => text));
    else this.#print(toolLines(tools, this.#paint));
  }

  /** A further piece of the reply under way. */
  piece(text: string, opened: boolean): void {
    if (this.#json) return;
    let shown = "";
    if (this.#text === undefined) {
      if (this.#labels) shown = `${this.#paint("good", "assistant")}\n  `;
      this.#text = new ReplyText(this.#paint, this.#labels ? "  " : "");
      if (opened) shown += this.#text.push("<think>");
    }
    this.#console.output.write(shown + this.#text.push(text));
  }

  /** The end of a turn: the reply, and what its calls gave. */
  turn(reply: Reply, observations: readonly Message[]): void {
    this.#turns++;
    if (this.#json) {
      const { content, reasoning_content: reasoning, tool_calls: calls = [] } = reply.message;
      const { text, finish, promptTokens, reusedTokens, tokens } = reply;
      const seconds = Math.round(reply.seconds * 1000) / 1000;
      const errors = reply.parsed.errors.map(({ message }) => message);
      const said = { content, ...(reasoning !== undefined && { reasoning }), calls, errors, text };
      const counts = { finish, promptTokens, reusedTokens, tokens, seconds };
      this.#line({ type: "turn", turn: this.#turns, ...said, ...counts, observations });
      return;
    }
    if (this.#text !== undefined) this.#print(this.#text.end());
    this.#text = undefined;
    const pace = `${reply.tokens} tokens, ${(reply.tokens / Math.max(reply.seconds, 1e-3)).toFixed(0)} tokens/s`;
    const hint = endings[reply.finish];
    if (hint !== undefined) this.note(hint);
    else if (this.#isLive) this.note(`  ${pace}, ${reply.promptTokens} before`);
    for (const message of observations) this.#print(messageLines(message, this.#paint));
  }

  /** A reply that failed before its end. */
  broken(): void {
    if (this.#text !== undefined) this.#print(this.#text.end());
    this.#text = undefined;
  }

  /** The score of the task; replies after it stand alone again. */
  score(environment: Environment<unknown, string>, stopReason: string): void {
    this.#labels = false;
    if (!this.#json) {
      this.#print(endingLines(environment, stopReason, this.#paint));
      return;
    }
    const { taskId } = environment;
    this.#line({ type: "score", taskId, ...environment.outcome(), stopReason, score: environment.score() });
  }

  #aside(style: "dim" | "bad", text: string): void {
    const stream = this.#isLive ? this.#console.output : this.#console.errors;
    stream.write(`${painter(stream)(style, harmless(text))}\n`);
  }

  #print(text: string): void {
    this.#console.output.write(`${text}\n`);
  }

  #line(value: object): void {
    this.#console.output.write(jsonLine(value));
  }
}

/** What a person should know of a reply that did not end by itself. */
const endings: Readonly<Partial<Record<Reply["finish"], string>>> = {
  length: "  (cut: --max-tokens allows no more)",
  context: "  (cut: the model's context is full; /reset begins anew)",
  stopped: "  (stopped; /retry asks again)",
};
