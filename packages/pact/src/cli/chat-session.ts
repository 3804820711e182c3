/**
 * The course of `pact chat`: who speaks next. A message of the person is answered by a reply; calls are answered by the
 * task's environment until a reply has none. The task's end is its score; the conversation goes on after it, with calls
 * answered by a fresh copy of the environment.
 *
 * What fails for a reason in the conversation (no room, a template that refuses it) is said, and the message taken back.
 */
import { CapacityError, ChatTemplateError, InputError } from "@pact/nn";
import { NonFiniteError, OutOfMemoryError } from "@pact/tensor";
import type { Environment, Message } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import { ContextFullError, type Conversation, type Reply } from "./chat-conversation.ts";
import type { ChatView } from "./chat-view.ts";

/** A task for the model. */
export interface ChatTask {
  readonly title: string;
  create(): Environment<unknown, string>;
  /** What stands for the environment's first messages, where the model was trained on another form of them. */
  readonly messages?: readonly Message[];
}

/** What a session needs of a conversation. */
export type Talk = Pick<Conversation, "messages" | "tools" | "setSystem" | "reply">;

/** What a session is made of. */
export interface SessionParts {
  readonly conversation: Talk;
  readonly view: ChatView;
  readonly system?: string;
  readonly task?: ChatTask;
}

const failures = [
  ContextFullError,
  CapacityError,
  ChatTemplateError,
  InputError,
  RenderError,
  NonFiniteError,
  OutOfMemoryError,
];

/** A conversation under way. */
export class ChatSession {
  readonly conversation: Talk;
  /** Whether a message got no reply. */
  failed = false;
  readonly #view: ChatView;
  readonly #task: ChatTask | undefined;
  #system: string | undefined;
  /** What answers calls. */
  #environment: Environment<unknown, string> | undefined;
  /** Whether there is a task without a score yet. */
  #isPlaying = false;
  /** Messages before this one are over and done: those of a task that has ended. */
  #done = 0;

  constructor(parts: SessionParts) {
    this.#task = parts.task;
    this.#system = parts.system;
    this.conversation = parts.conversation;
    this.#view = parts.view;
  }

  /** Begins the conversation, or begins it anew: the system message, and the task if there is one. */
  async begin(signal: AbortSignal): Promise<void> {
    const task = this.#task;
    await this.close();
    this.#isPlaying = task !== undefined;
    this.#done = 0;
    this.conversation.messages.length = 0;
    if (task !== undefined) {
      this.#environment = task.create();
      const start = this.#environment.reset();
      this.conversation.tools = start.tools;
      this.conversation.messages.push(...(task.messages ?? start.messages));
    }
    if (this.#system !== undefined) this.conversation.setSystem(this.#system);
    if (task === undefined) return;
    const { messages } = this.conversation;
    this.#view.task({ title: task.title, messages, tools: this.conversation.tools });
    await this.#turns(signal);
  }

  /** Sets the system message, also for later beginnings; an empty text removes it. */
  setSystem(text: string): void {
    this.#system = text;
    this.conversation.setSystem(text);
  }

  /** Takes a message of the person. */
  async say(text: string, signal: AbortSignal): Promise<void> {
    const { messages } = this.conversation;
    messages.push({ role: "user", content: text });
    const length = messages.length;
    // A message that got no reply would be in the way of every later one.
    if (!(await this.#turns(signal)) && messages.length === length) messages.pop();
  }

  /** Asks again, with other random numbers, for the last reply; says why not where it can not be taken back. */
  async retry(signal: AbortSignal): Promise<void> {
    const { messages } = this.conversation;
    if (this.#isPlaying) {
      if (messages.at(-1)?.role === "assistant") messages.pop();
    } else {
      const last = messages.findLastIndex(({ role }) => role === "user");
      if (last < this.#done) {
        this.#view.note(
          this.#done > 0 ? "a task takes no turn back; /reset begins it anew" : "there is no message yet",
        );
        return;
      }
      messages.length = last + 1;
    }
    await this.#turns(signal);
  }

  /** Gives back what the environment holds. */
  async close(): Promise<void> {
    const environment = this.#environment;
    this.#environment = undefined;
    await environment?.close();
  }

  /** Replies until it is the person's turn; false if one failed. */
  async #turns(signal: AbortSignal): Promise<boolean> {
    try {
      while (await this.#turn(signal));
      return true;
    } catch (error) {
      if (!failures.some((kind) => error instanceof kind)) throw error;
      this.#view.broken();
      this.#fail(error as Error);
      return false;
    }
  }

  /** One reply and what answers it; true if the model goes on. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const view = this.#view;
    const reply = await this.conversation.reply((text, opened) => view.piece(text, opened), signal);
    const { finish, parsed } = reply;
    const task = this.#task;
    const isWhole = finish === "token" || finish === "string";
    const calls = parsed.calls.length + parsed.errors.length > 0;
    if (isWhole && task !== undefined && (this.#isPlaying || calls)) {
      if (this.#environment === undefined) {
        this.#environment = task.create();
        this.#environment.reset();
      }
      return await this.#act(this.#environment, reply, signal);
    }
    view.turn(reply, []);
    if (this.#isPlaying && finish !== "stopped")
      view.note("a reply that is cut is not acted upon: /retry asks again, /reset begins the task anew");
    return false;
  }

  async #act(environment: Environment<unknown, string>, reply: Reply, signal: AbortSignal): Promise<boolean> {
    // Calls between tags are read by the environment itself, broken ones too.
    const isTagged = reply.text.includes("<tool_call>") || reply.parsed.calls.length === 0;
    const { content, tool_calls } = reply.message;
    let step: Awaited<ReturnType<typeof environment.step>>;
    try {
      step = await environment.step(isTagged ? reply.text : { role: "assistant", content, tool_calls }, {
        signal,
      });
    } catch (error) {
      this.#view.turn(reply, []);
      if (!signal.aborted) this.#fail(error as Error);
      await this.#end(environment, signal.aborted ? "stopped" : "failed");
      return false;
    }
    this.conversation.messages.push(...step.messages);
    this.conversation.tools = step.tools ?? this.conversation.tools;
    this.#view.turn(reply, step.messages);
    if (step.tools) this.#view.tools(step.tools);
    if (!step.done) return !signal.aborted;
    await this.#end(environment, step.stopReason ?? "unknown");
    return false;
  }

  /** The environment takes no more turns: the score if it was the task's. */
  async #end(environment: Environment<unknown, string>, stopReason: string): Promise<void> {
    if (this.#isPlaying) this.#view.score(environment, stopReason);
    else this.#view.note(`the tools took no further turn (${stopReason}); a message of yours goes on`);
    this.#isPlaying = false;
    this.#done = this.conversation.messages.length;
    await this.close();
  }

  #fail(error: Error): void {
    this.failed = true;
    const hint =
      error instanceof ContextFullError ? " /reset begins anew; a shorter message may still fit." : "";
    this.#view.problem(`${error.message.replace(/[.\s]+$/, "")}.${hint}`);
  }
}
