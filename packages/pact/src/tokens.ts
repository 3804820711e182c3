/**
 * The vocabulary side of rendering: which control tokens exist, and token runs with a role for every token.
 *
 * Control tokens are ids that no text encodes to, so tool output and questions can not forge a role.
 */
import { RenderError } from "./errors.ts";
import { type Role, roleCode, roles } from "./roles.ts";
import type { RoleSpan } from "./run-sink.ts";

/**
 * Names of the control tokens, in id order; `<|again|>` ends an expert trace.
 *
 * @example
 * ```ts
 * controlTokens.length; // → 13
 * ```
 */
export const controlTokens = [
  "<|pad|>",
  "<|system|>",
  "<|user|>",
  "<|assistant|>",
  "<|tool|>",
  "<|end|>",
  "<think>",
  "</think>",
  "<tool_call>",
  "</tool_call>",
  "<answer>",
  "</answer>",
  "<|again|>",
] as const;

/** Name of a control token. */
export type ControlToken = (typeof controlTokens)[number];

/** What rendering needs of a tokenizer; nn's `Tokenizer` is one. */
export interface TokenCodec {
  /** Ids of a text; never a control id. */
  encode(text: string): number[];
  decode(ids: Iterable<number>): string;
  /** Id of a control token; throws when there is none of that name. */
  controlId(name: string): number;
}

/** Token ids with a role for each; `ids.length === roles.length`. */
export interface TokenRun {
  readonly ids: readonly number[];
  /** Codes of `roleCode`. */
  readonly roles: readonly number[];
}

/** Collects tokens with their role and, for expert traces, their training label. */
export class TokenWriter {
  readonly ids: number[] = [];
  readonly roles: number[] = [];
  readonly labels: number[] = [];
  readonly #codec: TokenCodec;

  constructor(codec: TokenCodec) {
    this.#codec = codec;
  }

  /** Number of tokens written. */
  get length(): number {
    return this.ids.length;
  }

  /** Writes one control token. */
  control(name: ControlToken, role: Role, label = 0): void {
    this.#push(this.#codec.controlId(name), role, label);
  }

  /** Writes text; whatever it spells, no control token results. */
  text(text: string, role: Role, label = 0): void {
    for (const id of this.#codec.encode(text)) this.#push(id, role, label);
  }

  #push(id: number, role: Role, label: number): void {
    this.ids.push(id);
    this.roles.push(roleCode[role]);
    this.labels.push(label);
  }
}

/**
 * Role of every token of a sampled assistant turn, tags and stop token included.
 *
 * A role starts at its opening tag and lasts until the next one; what comes before any tag counts as reasoning.
 *
 * @param ids the sampled ids of one turn, kept as they are
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const ids = [codec.controlId("<tool_call>"), ...codec.encode("ab"), codec.controlId("<|end|>")];
 * sampledRoles(codec, ids).map((code) => roles[code]); // → ["call", "call", "call", "call"]
 * ```
 */
export function sampledRoles(codec: TokenCodec, ids: readonly number[]): number[] {
  const opening = new Map<number, number>([
    [codec.controlId("<think>"), roleCode.reasoning],
    [codec.controlId("<tool_call>"), roleCode.call],
    [codec.controlId("<answer>"), roleCode.answer],
  ]);
  let current: number = roleCode.reasoning;
  return ids.map((id) => {
    current = opening.get(id) ?? current;
    return current;
  });
}

/**
 * Neighbouring tokens of the same role joined to text, for display.
 *
 * @throws RenderError when ids and roles differ in length
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const run = renderObservations(codec, ["Mira"]);
 * roleSpans(codec, run)[1]; // → { role: "observation", text: "Mira" }
 * ```
 */
export function roleSpans(codec: Pick<TokenCodec, "decode">, { ids, roles: codes }: TokenRun): RoleSpan[] {
  if (ids.length !== codes.length) {
    throw new RenderError(
      `roleSpans: ${ids.length} ids but ${codes.length} roles. Pass the two arrays of one rendering.`,
    );
  }
  const spans: RoleSpan[] = [];
  let start = 0;
  for (let index = 1; index <= ids.length; index++) {
    if (index < ids.length && codes[index] === codes[start]) continue;
    spans.push({ role: roles[codes[start]], text: codec.decode(ids.slice(start, index)) });
    start = index;
  }
  return ids.length === 0 ? [] : spans;
}
