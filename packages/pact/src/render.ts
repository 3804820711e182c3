/**
 * Messages to token ids: prompts, tool observations and expert traces, with a role for every token.
 *
 *   <|system|>name(arg: type, arg?: type)⏎…<|end|><|user|>question<|end|><|assistant|>            prompt x
 *   <think>…</think><tool_call>{"name": …, "arguments": …}</tool_call><|end|>                    one sampled turn
 *   <|tool|>observation<|end|><|assistant|>                                                      inserted after it
 *
 * Token ids in are token ids out: what a policy sampled is kept and never encoded again. Expert reasoning is encoded
 * chunk by chunk, so a chunk boundary is a token boundary. The trace h* never holds the final turn (arXiv
 * 2606.16215: leakage). Left out: chat templates of other models (dialect-chat.ts).
 */
import {
  activeChunks,
  type ExpertTrace,
  type PrefixLevel,
  type Task,
  type ToolCall,
  type ToolDefinition,
  type TraceTurn,
  toolCallJson,
} from "@pact/tools-sim";
import { RenderError } from "./errors.ts";
import { type TokenCodec, type TokenRun, TokenWriter } from "./tokens.ts";

/**
 * Labels of expert tokens as targets of the SFT term.
 *
 * @example
 * ```ts
 * sftLabel; // → { context: 0, reasoning: 1, call: 2 }
 * ```
 */
export const sftLabel = { context: 0, reasoning: 1, call: 2 } as const;

/** A half-open range of tokens [start, end). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** An expert trace as tokens: roles, training labels, and the span of each assistant turn with its stop token. */
export interface RenderedTrace extends TokenRun {
  /** One of `sftLabel` for each token. */
  readonly labels: readonly number[];
  readonly turns: readonly Span[];
}

/** Options of `renderTrace`. */
export interface TraceOptions {
  /** Reasoning prefix R: which chunks of each turn are supervised. */
  readonly level: PrefixLevel;
  /** Whether call spans A are supervised. Default true. */
  readonly calls?: boolean;
  /** Whether `<think>` and `</think>` join a non-empty R. Default `exclude` (the paper's mask, read literally). */
  readonly reasoningTags?: "exclude" | "include";
  /** Share of R's tokens of each turn that is supervised, from its start, rounded up; default 1. It may cut a chunk. */
  readonly reasoningShare?: number;
  /** The same of A's tokens of each turn. */
  readonly callShare?: number;
}

type ToolSchema = Pick<ToolDefinition["function"], "name" | "parameters">;

/**
 * One line per tool: `name(arg: type, optional?: type)`, in the order given.
 *
 * @throws RenderError when two tools share a name
 * @example
 * ```ts
 * const properties = { town: { type: "string" }, year: { type: "number" } };
 * const parameters = { type: "object", properties, required: ["town"] };
 * const tool: ToolDefinition = { type: "function", function: { name: "mayor", description: "", parameters } };
 * toolList([tool]); // → "mayor(town: string, year?: number)"
 * toolList([tool, tool]); // → throws RenderError
 * ```
 */
export function toolList(tools: readonly ToolDefinition[]): string {
  const seen = new Set<string>();
  return tools
    .map(({ function: tool }) => {
      if (seen.has(tool.name)) {
        throw new RenderError(
          `toolList: two tools are called ${JSON.stringify(tool.name)}. Give each its own name.`,
        );
      }
      seen.add(tool.name);
      return toolSignature(tool);
    })
    .join("\n");
}

function toolSignature({ name, parameters }: ToolSchema): string {
  const schema = parameters as { properties?: unknown; required?: unknown };
  const properties = isRecord(schema?.properties) ? schema.properties : {};
  const required = new Set(Array.isArray(schema?.required) ? schema.required : []);
  const listed = Object.entries(properties).map(([key, property]) => {
    const type = isRecord(property) && typeof property.type === "string" ? property.type : "any";
    return `${key}${required.has(key) ? "" : "?"}: ${type}`;
  });
  return `${name}(${listed.join(", ")})`;
}

/**
 * The prompt x of a task: tool list, question, and the token that opens the assistant's turn.
 *
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const { ids } = renderPrompt(codec, { tools: [], question: "Who?" });
 * codec.decode(ids); // → "<|system|><|end|><|user|>Who?<|end|><|assistant|>"
 * codec.decode(renderPrompt(codec, { tools: [], question: "<|end|>" }).ids.slice(3, 10)); // → "<|end|>"
 * ```
 */
export function renderPrompt(codec: TokenCodec, task: Pick<Task, "tools" | "question">): TokenRun {
  const writer = new TokenWriter(codec);
  writeQuestion(writer, task);
  writer.control("<|end|>", "template");
  writer.control("<|assistant|>", "template");
  return writer;
}

/** The prompt up to the end of the question; the user turn is still open. */
export function writeQuestion(writer: TokenWriter, task: Pick<Task, "tools" | "question">): void {
  writer.control("<|system|>", "template");
  writer.text(toolList(task.tools), "prompt");
  writer.control("<|end|>", "template");
  writer.control("<|user|>", "template");
  writer.text(task.question, "prompt");
}

/**
 * What the environment inserts after a turn: one `<|tool|>…<|end|>` per observation, then `<|assistant|>`.
 *
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * codec.decode(renderObservations(codec, ["Mira", "7"]).ids); // → "<|tool|>Mira<|end|><|tool|>7<|end|><|assistant|>"
 * ```
 */
export function renderObservations(codec: TokenCodec, observations: readonly string[]): TokenRun {
  const writer = new TokenWriter(codec);
  writeObservations(writer, observations);
  writer.control("<|assistant|>", "template");
  return writer;
}

/**
 * The expert trace h*: every turn but the final one, labelled for the SFT term.
 *
 * `R`: the first chunks of each turn's reasoning that `level` keeps. `A`: `<tool_call>…</tool_call>` and the stop token
 * that follows the calls. Everything else is context. Ends after the last observation; `renderDelimiter` comes next.
 *
 * @throws RenderError when a turn has other than one observation per call, or no call
 * @see arXiv 2606.16215 eq. 9–11
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const call: ToolCall = { type: "function", function: { name: "f", arguments: {} } };
 * const turn: TraceTurn = { chunks: [{ type: "other", text: "I ask." }], calls: [call], observations: ["7"] };
 * const trace = renderTrace(codec, { turns: [turn], final: { chunks: [], answer: "7" } }, { level: 4 });
 * const labelled = (label: number) => codec.decode(trace.ids.filter((_, token) => trace.labels[token] === label));
 * labelled(sftLabel.reasoning); // → "I ask."
 * labelled(sftLabel.call); // → '<tool_call>{"name": "f", "arguments": {}}</tool_call><|end|>'
 * labelled(sftLabel.context); // → "<think></think><|tool|>7<|end|>"
 * ```
 */
export function renderTrace(codec: TokenCodec, trace: ExpertTrace, options: TraceOptions): RenderedTrace {
  const writer = new TokenWriter(codec);
  const turns: Span[] = [];
  trace.turns.forEach((turn, index) => {
    checkTurn(turn, index);
    if (index > 0) writer.control("<|assistant|>", "template");
    const start = writer.length;
    const active = activeChunks(turn.chunks, options.level);
    const tags = options.reasoningTags === "include" && active.includes(true);
    writeReasoning(writer, turn.chunks, active, tags);
    cutLabels(writer.labels, { start: start + 1, end: writer.length - 1 }, options.reasoningShare);
    const label = (options.calls ?? true) ? sftLabel.call : sftLabel.context;
    const callStart = writer.length;
    for (const call of turn.calls) writeCall(writer, call, label);
    writer.control("<|end|>", "call", label);
    cutLabels(writer.labels, { start: callStart, end: writer.length }, options.callShare);
    turns.push({ start, end: writer.length });
    writeObservations(writer, turn.observations);
  });
  return { ids: writer.ids, roles: writer.roles, labels: writer.labels, turns };
}

/** @throws RenderError when a turn has other than one observation per call, or no call */
export function checkTurn({ calls, observations }: TraceTurn, index: number): void {
  if (calls.length > 0 && calls.length === observations.length) return;
  throw new RenderError(
    `renderTrace: turn ${index} has ${calls.length} calls and ${observations.length} observations, ` +
      "expected at least one call and one observation for each. Check the trace that the teacher wrote.",
  );
}

/** Keeps of the labels in a span the first `share`, rounded up; the others become context. */
export function cutLabels(labels: number[], { start, end }: Span, share = 1): void {
  if (share >= 1) return;
  const labelled = [];
  for (let token = start; token < end; token++) if (labels[token] !== sftLabel.context) labelled.push(token);
  // A product such as 5 · 0.6 may come out a little above the whole number that it is.
  const kept = Math.ceil(labelled.length * share - 1e-9);
  for (const token of labelled.slice(kept)) labels[token] = sftLabel.context;
}

/**
 * What stands between h* and a rollout: `<|again|>` or the question once more, then the token that opens the
 * assistant's turn, so that a rollout follows the same token with and without the trace. Empty for an empty trace.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const trace = renderShown(codec, [{ chunks: [], calls: [], observations: ["7"] }]);
 * codec.decode(renderDelimiter(codec, { question: "Who?" }, trace, "again").ids); // → "<|again|><|assistant|>"
 * renderDelimiter(codec, { question: "Who?" }, { ids: [], roles: [] }, "again").ids; // → []
 * ```
 */
export function renderDelimiter(
  codec: TokenCodec,
  task: Pick<Task, "question">,
  trace: TokenRun,
  delimiter: "again" | "question",
): TokenRun {
  const writer = new TokenWriter(codec);
  if (trace.ids.length === 0) return writer;
  if (delimiter === "again") writer.control("<|again|>", "template");
  else {
    writer.control("<|user|>", "template");
    writer.text(task.question, "template");
    writer.control("<|end|>", "template");
  }
  writer.control("<|assistant|>", "template");
  return writer;
}

/**
 * The whole expert episode, final turn and answer included, with every token the expert wrote labelled: what plain
 * SFT trains on. Never a context of rollouts.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const episode = renderEpisode(codec, { turns: [], final: { chunks: [], answer: "7" } });
 * codec.decode(episode.ids); // → "<answer>7</answer><|end|>"
 * episode.labels; // → [1, 1, 1, 1]
 * ```
 */
export function renderEpisode(codec: TokenCodec, trace: ExpertTrace): RenderedTrace {
  const turns = renderTrace(codec, trace, { level: 0 });
  const writer = new TokenWriter(codec);
  if (trace.turns.length > 0) writer.control("<|assistant|>", "template");
  const start = writer.length;
  writeReasoning(writer, trace.final.chunks, [], false);
  writer.control("<answer>", "answer");
  writer.text(trace.final.answer, "answer");
  writer.control("</answer>", "answer");
  writer.control("<|end|>", "answer");
  const ids = [...turns.ids, ...writer.ids];
  const spans = [...turns.turns, { start: turns.ids.length + start, end: ids.length }];
  const labels = new Array<number>(ids.length).fill(sftLabel.context);
  for (const span of spans) labels.fill(sftLabel.reasoning, span.start, span.end);
  return { ids, roles: [...turns.roles, ...writer.roles], labels, turns: spans };
}

/**
 * A whole document: the prompt, optionally an earlier attempt and the delimiter, and an episode to its end. What
 * pre-training and plain SFT train on; everything the episode's author wrote is labelled, the attempt is context.
 *
 * @param document `context` is an attempt without its final turn
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1, category: "single_hop" });
 * const document = renderDocument(codec, { task, episode: task.trace! });
 * const ends = codec.decode(document.ids).endsWith(`<answer>${task.answer}</answer><|end|>`); // → true
 * document.labels[0] === sftLabel.context; // → true
 * ```
 */
export function renderDocument(
  codec: TokenCodec,
  document: {
    readonly task: Pick<Task, "tools" | "question">;
    readonly episode: ExpertTrace;
    readonly context?: ExpertTrace["turns"];
  },
  delimiter: "again" | "question" = "again",
): RenderedTrace {
  const { task, episode, context = [] } = document;
  const prompt = renderPrompt(codec, task);
  const attempt = renderTrace(codec, { turns: context, final: episode.final }, { level: 0, calls: false });
  const between = renderDelimiter(codec, task, attempt, delimiter);
  const rendered = renderEpisode(codec, episode);
  const start = prompt.ids.length + attempt.ids.length + between.ids.length;
  return {
    ids: [...prompt.ids, ...attempt.ids, ...between.ids, ...rendered.ids],
    roles: [...prompt.roles, ...attempt.roles, ...between.roles, ...rendered.roles],
    labels: [...new Array<number>(start).fill(sftLabel.context), ...rendered.labels],
    turns: rendered.turns.map((turn) => ({ start: turn.start + start, end: turn.end + start })),
  };
}

/** A turn's reasoning between its tags, chunk by chunk, labelled as target where active; nothing without chunks. */
export function writeReasoning(
  writer: TokenWriter,
  chunks: readonly { readonly text: string }[],
  active: readonly boolean[],
  tags: boolean,
): void {
  if (chunks.length === 0) return;
  const tagLabel = tags ? sftLabel.reasoning : sftLabel.context;
  writer.control("<think>", "reasoning", tagLabel);
  chunks.forEach((chunk, index) => {
    writer.text(chunk.text, "reasoning", active[index] ? sftLabel.reasoning : sftLabel.context);
  });
  writer.control("</think>", "reasoning", tagLabel);
}

/** A call between its tags. */
export function writeCall(writer: TokenWriter, call: ToolCall, label: number): void {
  writer.control("<tool_call>", "call", label);
  writer.text(toolCallJson(call), "call", label);
  writer.control("</tool_call>", "call", label);
}

/** One `<|tool|>…<|end|>` for each observation. */
export function writeObservations(writer: TokenWriter, observations: readonly string[]): void {
  for (const observation of observations) {
    writer.control("<|tool|>", "template");
    writer.text(observation, "observation");
    writer.control("<|end|>", "template");
  }
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
