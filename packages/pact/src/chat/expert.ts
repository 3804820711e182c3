/**
 * Turns that somebody else wrote, an expert most often, as a chat template writes them: tokens, roles, and labels for the SFT
 * term. A turn begins and ends at a token border, as a sampled one does.
 *
 * A token is labelled as reasoning only if all of its bytes are of active chunks: where a token crosses the border of a
 * chunk, nothing of an inactive chunk is trained.
 */
import { activeChunks, type Chunk, type PrefixLevel } from "@pact/tools-sim";
import { RenderError } from "../errors.ts";
import { cutLabels, type RenderedTrace, type Span, sftLabel, type TraceOptions } from "../render.ts";
import { type Role, roleCode } from "../roles.ts";
import { appendParts, type TokenBuffer } from "./encode.ts";
import type { Field } from "./fields.ts";
import type { RenderedPart } from "./marks.ts";
import type { ConversationRenderer } from "./renderer.ts";
import { turnRoles } from "./sampled.ts";

const utf8 = new TextEncoder();

/** A turn in `WrittenTurns`, with its stop token. */
export interface WrittenTurn extends Span {
  /** Index of the message. */
  readonly message: number;
  /** Bytes of the turn before the text of its reasoning; undefined where the template leaves that out. */
  readonly reasoningAt: number | undefined;
}

/** Tokens of messages behind a prompt. */
export interface WrittenTurns extends Pick<TokenBuffer, "ids" | "roles"> {
  readonly turns: readonly WrittenTurn[];
}

/**
 * Tokens of the messages `[from, to)` behind the prompt P(from); message `from` is an assistant's.
 *
 * @throws RenderError if the template rewrites what stands before a later one of these turns
 */
export function writeTurns(renderer: ConversationRenderer, from: number, to: number): WrittenTurns {
  const { marks, marked, messages, tokenizer } = renderer;
  const whole = renderer.render(to, false);
  const starts = messages.flatMap(({ role }, index) =>
    role === "assistant" && index >= from && index < to ? [index] : [],
  );
  const prompts = starts.map((start) => renderer.prompt(start));
  const rewritten = prompts.findIndex((prompt) => !whole.startsWith(prompt));
  if (rewritten >= 0)
    throw new RenderError(
      `the chat template rewrites what stands before the expert's turn ${rewritten}, so the trace can not be one sequence. ` +
        "Take a template that keeps the turns since the last question as they are.",
    );
  const all: TokenBuffer = { ids: [], roles: [], spans: [] };
  const turns: WrittenTurn[] = [];
  const roleOf = ({ message }: Field): Role =>
    message !== undefined && messages[message].role === "tool" ? "observation" : "prompt";
  starts.forEach((message, index) => {
    const written = (prompts[index + 1] ?? whole).slice(prompts[index].length);
    const { body, stop, after } = renderer.cutTurn(message, marks.parts(written));
    const turn: TokenBuffer = { ids: [], roles: [], spans: [] };
    appendParts(turn, tokenizer, [...body, { text: stop }], marked.fields, roleOf);
    const calls = (messages[message].tool_calls?.length ?? 0) > 0;
    const isOwn = ({ field }: RenderedPart): boolean => isReasoning(marked.fields[field ?? -1], message);
    const bytesBefore = (part: number): number =>
      body.slice(0, part).reduce((bytes, { text }) => bytes + utf8.encode(text).length, 0);
    const first = body.findIndex(isOwn);
    const reasoningAt = first < 0 ? undefined : bytesBefore(first);
    // Tags that the expert's own words spell do not end them.
    const reasoned = bytesBefore(body.findLastIndex(isOwn) + 1);
    const start = all.ids.length;
    all.ids.push(...turn.ids);
    all.roles.push(...turnRoles(tokenizer, turn.ids, { calls, tags: renderer.tags, reasoned }));
    turns.push({ start, end: all.ids.length, message, reasoningAt });
    appendParts(all, tokenizer, after, marked.fields, roleOf);
  });
  return { ids: all.ids, roles: all.roles, turns };
}

function isReasoning(field: Field | undefined, message: number): boolean {
  return field?.kind === "reasoning" && field.message === message;
}

/**
 * Labels for the SFT term (arXiv 2606.16215 eq. 9–11), as `renderTrace` has them.
 *
 * @param chunks of each turn
 */
export function labelTurns(
  renderer: ConversationRenderer,
  { ids, roles, turns }: WrittenTurns,
  chunks: readonly (readonly Chunk[])[],
  options: TraceOptions,
): RenderedTrace {
  const labels = ids.map((): number => sftLabel.context);
  turns.forEach((turn, index) => {
    const own = spansOf(renderer, ids, turn);
    const { active, all } = activeBytes(chunks[index], turn.reasoningAt, options.level);
    const tags = options.reasoningTags === "include" && active.length > 0;
    const reasoning: number[] = [];
    own.forEach(({ start, end }, offset) => {
      const token = turn.start + offset;
      if (roles[token] === roleCode.call && (options.calls ?? true)) labels[token] = sftLabel.call;
      if (roles[token] !== roleCode.reasoning) return;
      if (active.some((part) => part.start <= start && end <= part.end)) reasoning.push(token);
      else if (tags && (end <= all.start || start >= all.end)) labels[token] = sftLabel.reasoning;
    });
    for (const token of reasoning) labels[token] = sftLabel.reasoning;
    if (reasoning.length > 0) {
      const span = { start: reasoning[0], end: reasoning[reasoning.length - 1] + 1 };
      cutLabels(labels, span, options.reasoningShare);
    }
    const call = roles.indexOf(roleCode.call, turn.start);
    if (call >= 0 && call < turn.end) cutLabels(labels, { start: call, end: turn.end }, options.callShare);
  });
  return { ids, roles, labels, turns: turns.map(({ start, end }) => ({ start, end })) };
}

/** Bytes of each token of a turn, from the turn's first. */
function spansOf(renderer: ConversationRenderer, ids: readonly number[], turn: Span): Span[] {
  let at = 0;
  return ids.slice(turn.start, turn.end).map((id) => {
    const start = at;
    at += renderer.tokenizer.tokenBytes(id).length;
    return { start, end: at };
  });
}

/** Bytes of a turn's active chunks, neighbours joined, and of all of its reasoning. */
function activeBytes(
  chunks: readonly Chunk[],
  reasoningAt: number | undefined,
  level: PrefixLevel,
): { readonly active: readonly Span[]; readonly all: Span } {
  if (reasoningAt === undefined) return { active: [], all: { start: 0, end: 0 } };
  // Templates get the reasoning without the spaces at its ends.
  const texts = chunks.map(({ text }) => text);
  const full = texts.join("");
  const lead = full.length - full.trimStart().length;
  const kept = full.trim();
  const isActive = activeChunks(chunks, level);
  const offset = (units: number): number =>
    reasoningAt + utf8.encode(kept.slice(0, Math.max(0, units - lead))).length;
  const active: { start: number; end: number }[] = [];
  let at = 0;
  texts.forEach((text, index) => {
    const span = { start: offset(at), end: offset(at + text.length) };
    at += text.length;
    if (!isActive[index]) return;
    const last = active.at(-1);
    if (last?.end === span.start) last.end = span.end;
    else active.push(span);
  });
  return { active, all: { start: offset(0), end: offset(full.length) } };
}
