// Chat templates: messages and tools to the text that a checkpoint was trained on, as transformers' apply_chat_template.
// The template is code of whoever made the checkpoint: it gets copies of plain JSON values and limits, nothing else.
// Leaves out: token ids and who wrote what (rendered text alone does not tell; that is the caller's work).

import { type JinjaProgram, JinjaStop, parseJinja, runJinja } from "./bounded-jinja.ts";
import { ChatTemplateError } from "./errors.ts";

/** Options of {@link renderChat}. */
export interface RenderChatOptions {
  /** Whether the text ends with what opens an assistant turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables: `bos_token`, `eos_token`, `enable_thinking` … Plain JSON values. Default none. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Time that `strftime_now` gives, in UTC. Default now. */
  readonly now?: Date;
  /** Most characters of the text. Default 4,000,000. */
  readonly maxLength?: number;
  /** Most steps of the template, about one per expression evaluated and element looped over. Default 1,000,000. */
  readonly maxSteps?: number;
}

const STEPS = 1_000_000;
const LENGTH = 4_000_000;

/**
 * A parsed chat template (Jinja, as in `tokenizer_config.json` and `chat_template.jinja`).
 *
 * @example
 * ```ts
 * const template = new ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}");
 * renderChat(template, [{ role: "user", content: " hi " }]); // → "<user>hi"
 * new ChatTemplate("{% for %}"); // → throws ChatTemplateError
 * ```
 */
export class ChatTemplate {
  readonly source: string;
  /** The parsed template; {@link renderChat} runs it. */
  readonly program: JinjaProgram;

  /** @throws ChatTemplateError of kind `syntax`. */
  constructor(source: string) {
    this.source = source;
    try {
      this.program = parseJinja(source);
    } catch (cause) {
      throw new ChatTemplateError("syntax", `the template can not be parsed: ${messageOf(cause)}`, { cause });
    }
  }
}

/**
 * Text of a conversation by a chat template. NOTE: a message may spell control names; encode the text of messages and
 * that of the template apart, never the whole as a template.
 *
 * @param messages plain JSON objects with `role` and `content`, and `tool_calls` …, as the template reads them
 * @param tools tool definitions; without any, `tools` is none as in transformers
 * @throws ChatTemplateError; its `kind` says whether the template is no Jinja (`syntax`), wrote or computed with a
 * variable that it was not given (`missing`), called `raise_exception` (`raised`), went over a limit (`limit`), or did
 * something else wrong (`runtime`).
 * Source: as `apply_chat_template(…, tokenize=False)` in transformers.
 *
 * @example
 * ```ts
 * const source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}bot: {% endif %}";
 * renderChat(source, [{ role: "user", content: "hi" }], [], { addGenerationPrompt: true }); // → "user: hi\nbot: "
 * renderChat("{{ bos_token }}", [], []); // → throws ChatTemplateError
 * renderChat("{{ bos_token }}", [], [], { variables: { bos_token: "<s>" } }); // → "<s>"
 * ```
 */
export function renderChat(
  template: ChatTemplate | string,
  messages: readonly object[],
  tools: readonly object[] = [],
  options: RenderChatOptions = {},
): string {
  const { program } = typeof template === "string" ? new ChatTemplate(template) : template;
  const values = plain({
    ...options.variables,
    messages,
    tools: tools.length === 0 ? null : tools,
    add_generation_prompt: options.addGenerationPrompt ?? false,
  });
  const limits = { steps: options.maxSteps ?? STEPS, length: options.maxLength ?? LENGTH };
  try {
    return runJinja(program, values, options.now ?? new Date(), limits);
  } catch (cause) {
    throw readError(cause);
  }
}

/** A copy that is plain JSON: no functions, getters or prototypes reach a template. */
function plain(values: object): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(values));
  } catch (cause) {
    throw new ChatTemplateError(
      "runtime",
      `messages, tools and variables must be JSON: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
}

function readError(cause: unknown): ChatTemplateError {
  const message = messageOf(cause);
  if (cause instanceof JinjaStop) {
    const text =
      cause.kind === "raised" ? `the template refuses: ${message}` : `the template stopped: ${message}`;
    const fix = cause.kind === "missing" ? ". Pass it: renderChat(…, { variables: { … } })" : "";
    return new ChatTemplateError(cause.kind, text + fix, { cause });
  }
  if (message.includes("undefined values")) {
    return new ChatTemplateError(
      "missing",
      `the template computes with a value that is not defined: ${message}. Pass it in messages or variables`,
      { cause },
    );
  }
  return new ChatTemplateError("runtime", `the template failed: ${message}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
