/**
 * `pact chat`: talk to a model in the terminal, or watch it solve a task; from a pipe, one line a message.
 */
import { init } from "@pact/tensor";
import { runCommand } from "./chat-commands.ts";
import { Conversation } from "./chat-conversation.ts";
import { type ChatConsole, ChatInput } from "./chat-input.ts";
import { type ChatModel, loadChatModel } from "./chat-model.ts";
import { type ChatRequest, readChatRequest } from "./chat-request.ts";
import { ChatSession } from "./chat-session.ts";
import { ChatView } from "./chat-view.ts";
import { interruptedExitCode, type SignalSource } from "./interrupt.ts";
import { useKernelTable } from "./kernel-table.ts";
import { createProgress } from "./progress.ts";

const mebibyte = 2 ** 20;

/**
 * Runs `pact chat`.
 *
 * @param args the arguments after `chat`
 * @returns 0; 1 if the input is no terminal and a message got no reply; 130 after Ctrl-C
 * @throws UsageError for a wrong command line; typed errors of the packages for folders that can not be used
 * @example process.exitCode = await chat(["--env", "ftrl-like"]);
 */
export async function chat(
  args: readonly string[],
  console: ChatConsole = { input: process.stdin, output: process.stdout, errors: process.stderr },
  signals: SignalSource = process,
): Promise<number> {
  const request = readChatRequest(args);
  const { options } = request;
  const progress = createProgress(console.errors);
  try {
    const device = await init({ device: options.device, log: (line) => progress.line(line) });
    using _device = { [Symbol.dispose]: () => device.destroy() };
    useKernelTable(device, (line) => progress.line(line));
    let stage = false;
    const loaded = await loadChatModel({
      folder: options.model,
      adapter: options.adapter,
      precision: options.precision,
      device,
      onProgress({ bytes, totalBytes }) {
        if (!stage) progress.stage("load", "MiB", Math.ceil(totalBytes / mebibyte));
        stage = true;
        progress.advance(Math.ceil(bytes / mebibyte));
      },
      note: (line) => progress.line(line),
      variables: options["no-think"] ? ["enable_thinking"] : [],
    });
    progress.close();
    return await talk(loaded, request, console, signals);
  } finally {
    progress.close();
  }
}

async function talk(
  loaded: ChatModel,
  { options, task }: ChatRequest,
  console: ChatConsole,
  signals: SignalSource,
): Promise<number> {
  const { json } = options;
  const view = new ChatView(console, json);
  const input = new ChatInput(console.input, json ? console.errors : console.output);
  using conversation = new Conversation(loaded, {
    temperature: options.temperature ?? loaded.sampling.temperature ?? 1,
    topK: (options["top-k"] ?? loaded.sampling.topK) || undefined,
    topP: options["top-p"] ?? loaded.sampling.topP,
    minP: options["min-p"] ?? loaded.sampling.minP,
    maxTokens: options["max-tokens"],
    seed: options.seed,
    stopStrings: options.stop,
    variables: options["no-think"] ? { enable_thinking: false } : {},
  });
  const { system } = options;
  const session = new ChatSession({ conversation, view, system, task: task?.(loaded.isNative) });
  using keys = new CtrlC(signals, input.isTerminal);
  if (input.isTerminal) view.note("/help lists the commands, /quit leaves");
  try {
    await keys.during((signal) => session.begin(signal));
    while (!keys.leaves) {
      const entry = await input.next("> ");
      if (entry.kind === "end") break;
      if (entry.kind === "interrupt") {
        keys.press();
        if (!keys.leaves) view.note("Ctrl-C once more, or /quit, leaves");
        continue;
      }
      keys.forget();
      const { text } = entry;
      if (text.startsWith("/")) {
        const context = { session, view, model: loaded.folder };
        const next = await keys.during((signal) => runCommand(text, { ...context, signal }));
        if (next === "quit") break;
      } else if (text.trim() !== "") await keys.during((signal) => session.say(text, signal));
    }
  } finally {
    input.close();
    await session.close();
  }
  if (keys.leaves) return interruptedExitCode;
  return session.failed && !input.isTerminal ? 1 : 0;
}

/** Ctrl-C: stops what is under way; pressed again before the next message, or where nobody sits at a terminal, it leaves. */
class CtrlC {
  leaves = false;
  readonly #source: SignalSource;
  readonly #isTerminal: boolean;
  readonly #listener: () => void;
  #running: AbortController | undefined;
  #presses = 0;

  constructor(source: SignalSource, isTerminal: boolean) {
    this.#source = source;
    this.#isTerminal = isTerminal;
    this.#listener = () => {
      const running = this.#running;
      this.press();
      if (running === undefined || running.signal.aborted) source.exit(interruptedExitCode);
      else running.abort(new Error("stopped by Ctrl-C"));
    };
    source.on("SIGINT", this.#listener);
  }

  press(): void {
    this.#presses++;
    this.leaves = this.#presses > 1 || !this.#isTerminal;
  }

  /** A new message: earlier presses no longer count. */
  forget(): void {
    this.#presses = 0;
  }

  /** Runs work that Ctrl-C may stop. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#running = new AbortController();
    try {
      return await work(this.#running.signal);
    } finally {
      this.#running = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#source.off("SIGINT", this.#listener);
  }
}
