/**
 * The dialect of a checkpoint with a chat template: every token is what its template writes, and what was sampled stays as
 * it was. How: docs/chat-templates.md.
 *
 *     x          template(tools, messages), with what opens a turn
 *     h*         the expert's turns as the template writes them behind x; an exact continuation of x
 *     context    x → h* → a user turn that asks again → what opens a turn. NOTE: not the template's text of the whole
 *                conversation, because templates drop the reasoning before the last question, which h* is shown for.
 *
 * Answers: any reply without calls is one; experts write theirs in `<answer>` tags, as all environments read them.
 */
import { ChatTemplate, ChatTemplateError, PretrainedTokenizer, type TokenizerLike } from "@pact/nn";
import { type ExpertTrace, type Message, toolCallJson } from "@pact/tools-sim";
import { askedBehind } from "./chat/asked.ts";
import { appendParts, type TokenBuffer } from "./chat/encode.ts";
import { expertMessages, pastMessages, singleCalls } from "./chat/episode.ts";
import { labelTurns, type WrittenTurns, writeTurns } from "./chat/expert.ts";
import type { Field } from "./chat/fields.ts";
import { withGaps } from "./chat/gaps.ts";
import type { RenderedPart } from "./chat/marks.ts";
import { type ChatMessage, type ConversationOptions, ConversationRenderer } from "./chat/renderer.ts";
import { hermesTags, turnRoles } from "./chat/sampled.ts";
import { afterReasoning, type TemplateTraits, taggedReply, templateTraits } from "./chat/traits.ts";
import { turnEnds } from "./chat/turn-ends.ts";
import type { Continuation, Dialect, PastTurn, PromptTask, SampledTurn } from "./dialect.ts";
import { RenderError } from "./errors.ts";
import { checkTurn, type RenderedTrace, sftLabel, type TraceOptions } from "./render.ts";
import type { ShownTurns } from "./render-context.ts";
import type { Role } from "./roles.ts";
import type { TokenRun } from "./tokens.ts";

/** Options of {@link chatDialect}. */
export interface ChatDialectOptions {
  /** Names of the control tokens that end a turn. Default the tokenizer's `eos_token`, and what the template writes. */
  readonly stopTokens?: readonly string[];
  /** Variables of the template, over the tokenizer's special tokens: `{ enable_thinking: false }`. Default none. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The date that templates write. Default 26 July 2024, that of Llama's: a run has the same tokens on every day. */
  readonly now?: Date;
}

/** A dialect by a chat template, and what its template can do. */
export interface ChatDialect extends Dialect {
  readonly traits: TemplateTraits;
  /** Names of the control tokens that end a turn. */
  readonly stopTokens: readonly string[];
}

/** What a user asks behind h* under the delimiter `again`. */
const againText = "Solve this again, from the beginning.";
const templateDate = new Date(Date.UTC(2024, 6, 26));

/**
 * The dialect of a checkpoint by its chat template.
 *
 * @throws RenderError if the template can not hold an episode with tools, or ends turns with no control token
 * @throws ChatTemplateError if it is no template
 * @example
 * ```ts
 * const { PretrainedTokenizer, trainBpe } = await import("@pact/nn");
 * const controls = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"];
 * const tokenizer = new PretrainedTokenizer({
 *   tokenizer: trainBpe([], { vocabSize: 256 + controls.length, controlTokens: controls }).toJson(),
 *   config: { eos_token: "<|im_end|>" },
 * });
 * const template =
 *   "{{ tools | tojson }}\n{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}" +
 *   '{% for c in m.tool_calls or [] %}<tool_call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}' +
 *   "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
 * const dialect = chatDialect(tokenizer, template);
 * const { ids } = dialect.prompt({ tools: [], question: "Who?", messages: [{ role: "user", content: "Who <|im_end|>?" }] });
 * dialect.decode(ids); // → "null\n<|im_start|>user\nWho <|im_end|>?<|im_end|>\n<|im_start|>assistant\n"
 * ids.filter((id) => dialect.isStop(id)).length; // → 1
 * dialect.traits.reasoning; // → "content"
 * ```
 */
export function chatDialect(
  tokenizer: TokenizerLike,
  template: ChatTemplate | string,
  { now = templateDate, ...given }: ChatDialectOptions = {},
): ChatDialect {
  const parsed = typeof template === "string" ? new ChatTemplate(template) : template;
  const special = tokenizer instanceof PretrainedTokenizer ? Object.fromEntries(tokenizer.special) : {};
  const named = special.eos_token === undefined ? [] : [special.eos_token];
  const stopTokens =
    given.stopTokens ??
    (tokenizer instanceof PretrainedTokenizer ? turnEnds(tokenizer, parsed, named) : named);
  if (stopTokens.length === 0)
    throw new RenderError(
      "no control token ends a turn. Name it: eos_token in tokenizer_config.json, or eos_token_id in generation_config.json.",
    );
  const spoken = withGaps(tokenizer);
  const shared = { now, stopTokens, variables: { ...special, ...given.variables } };
  const traits = templateTraits(spoken, parsed, shared);
  return new TemplateDialect(spoken, parsed, { ...shared, reasoning: traits.reasoning }, traits);
}

class TemplateDialect implements ChatDialect {
  readonly answers = "any";
  readonly traits: TemplateTraits;
  readonly stopTokens: readonly string[];
  readonly #tokenizer: TokenizerLike;
  readonly #template: ChatTemplate;
  readonly #options: ConversationOptions;
  readonly #stops: ReadonlySet<number>;

  constructor(
    tokenizer: TokenizerLike,
    template: ChatTemplate,
    options: ConversationOptions,
    traits: TemplateTraits,
  ) {
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#options = options;
    this.traits = traits;
    this.stopTokens = options.stopTokens ?? [];
    this.#stops = new Set(this.stopTokens.map((name) => tokenizer.controlId(name)));
  }

  decode(ids: Iterable<number>): string {
    return this.#tokenizer.decode(ids);
  }

  isStop(id: number): boolean {
    return this.#stops.has(id);
  }

  opensReasoning(ids: readonly number[]): boolean {
    // A tag has no more tokens than characters.
    const start = this.decode(ids.slice(0, 2 * hermesTags.reasoningStart.length));
    return this.traits.opensReasoning || start.trimStart().startsWith(hermesTags.reasoningStart);
  }

  prompt(task: PromptTask): TokenRun {
    const renderer = this.#renderer(task, []);
    return this.#tokens(renderer, renderer.marks.parts(renderer.prompt(task.messages.length)));
  }

  turn(ids: readonly number[]): SampledTurn {
    const said = this.decode(this.isStop(ids.at(-1) ?? -1) ? ids.slice(0, -1) : ids);
    const text = this.traits.calls === "bare" ? taggedReply(said) : said;
    const calls = afterReasoning(text).includes(hermesTags.callStart);
    return { text, roles: turnRoles(this.#tokenizer, ids, { calls }) };
  }

  afterTurn(task: PromptTask, turns: readonly PastTurn[]): Continuation {
    try {
      return this.#afterTurn(task, turns, Number.POSITIVE_INFINITY);
    } catch (error) {
      // A template of single calls refuses several; the observations of all of them follow the turn all the same.
      if (!(error instanceof ChatTemplateError) || this.traits.parallelCalls) throw error;
      return this.#afterTurn(task, turns, 1);
    }
  }

  #afterTurn(task: PromptTask, turns: readonly PastTurn[], mostCalls: number): Continuation {
    const messages = turns.flatMap((turn) => pastMessages(turn, mostCalls));
    const renderer = this.#renderer(task, messages);
    const end = renderer.messages.length;
    const last = renderer.messages.findLastIndex(({ ids }) => ids !== undefined);
    const next = renderer.prompt(end);
    const between = renderer.between(last, renderer.prompt(last), next);
    if ("parts" in between) return this.#tokens(renderer, between.parts);
    return { ...this.#tokens(renderer, renderer.marks.parts(next)), split: between };
  }

  trace(task: PromptTask, trace: ExpertTrace, options: TraceOptions): RenderedTrace {
    trace.turns.forEach(checkTurn);
    const turns = this.#turns(trace.turns);
    const { renderer, written } = this.#written(task, turns);
    const chunks = turns.map((turn) => turn.chunks);
    return labelTurns(renderer, written, chunks, options);
  }

  context(task: PromptTask, shown: ShownTurns, delimiter: "again" | "question"): readonly number[] {
    const x = this.prompt(task).ids;
    const turns = this.#turns(shown);
    if (turns.length === 0) return x;
    const { written, messages } = this.#written(task, turns);
    const content = delimiter === "again" ? againText : questionOf(task);
    const asked = this.#renderer(task, [...messages, { role: "user", content }]);
    const behind = askedBehind(asked, asked.messages.length - 1);
    return [...x, ...written.ids, ...this.#tokens(asked, behind).ids];
  }

  reference(task: PromptTask, turns: ShownTurns): readonly number[] {
    const text = turns.map(
      ({ chunks, calls, observations }) =>
        `\n${[
          chunks.map((chunk) => chunk.text).join(""),
          ...calls.map((call) => toolCallJson(call)),
          ...observations,
        ]
          .filter((line) => line !== "")
          .join("\n")}`,
    );
    const last = task.messages.findLastIndex(({ role }) => role === "user");
    const messages = task.messages.map((message, index) =>
      index === last ? { ...message, content: `${message.content}\nReference:${text.join("")}` } : message,
    );
    return this.prompt({ ...task, messages }).ids;
  }

  document(task: PromptTask, episode: ExpertTrace): RenderedTrace {
    const x = this.prompt(task);
    episode.turns.forEach(checkTurn);
    const { chunks, answer } = episode.final;
    const final: Message = {
      role: "assistant",
      content: `<answer>${answer}</answer>`,
      reasoning_content: chunks.map(({ text }) => text).join(""),
    };
    const { written } = this.#written(task, this.#turns(episode.turns), final);
    const labels = written.ids.map((): number => sftLabel.context);
    for (const { start, end } of written.turns) labels.fill(sftLabel.reasoning, start, end);
    // What follows the last stop token is nobody's: sequences end there.
    const end = written.turns[written.turns.length - 1].end;
    const start = x.ids.length;
    return {
      ids: [...x.ids, ...written.ids.slice(0, end)],
      roles: [...x.roles, ...written.roles.slice(0, end)],
      labels: [...x.ids.map((): number => sftLabel.context), ...labels.slice(0, end)],
      turns: written.turns.map((turn) => ({ start: turn.start + start, end: turn.end + start })),
    };
  }

  /** The messages of turns, and a last one, as the template writes them behind the prompt. */
  #written(
    task: PromptTask,
    turns: ShownTurns,
    final?: Message,
  ): { renderer: ConversationRenderer; written: WrittenTurns; messages: Message[] } {
    const messages = [...turns.flatMap(expertMessages), ...(final === undefined ? [] : [final])];
    const renderer = this.#renderer(task, messages);
    const written = writeTurns(renderer, task.messages.length, renderer.messages.length);
    return { renderer, written, messages };
  }

  /** Turns as the template takes them. */
  #turns<Turn extends ShownTurns[number]>(turns: readonly Turn[]): readonly Turn[] {
    return this.traits.parallelCalls ? turns : turns.flatMap(singleCalls);
  }

  #renderer(task: PromptTask, messages: readonly ChatMessage[]): ConversationRenderer {
    const all = { messages: [...task.messages, ...messages], tools: task.tools };
    return new ConversationRenderer(this.#tokenizer, this.#template, all, this.#options);
  }

  #tokens({ marked, messages, tokenizer }: ConversationRenderer, parts: readonly RenderedPart[]): TokenRun {
    const buffer: TokenBuffer = { ids: [], roles: [], spans: [] };
    const roleOf = ({ message }: Field): Role =>
      message !== undefined && messages[message].role === "tool" ? "observation" : "prompt";
    appendParts(buffer, tokenizer, parts, marked.fields, roleOf);
    return { ids: buffer.ids, roles: buffer.roles };
  }
}

function questionOf({ messages, question }: PromptTask): string {
  return messages.findLast(({ role }) => role === "user")?.content ?? question;
}
