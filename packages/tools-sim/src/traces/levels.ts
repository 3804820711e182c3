/**
 * Reasoning-prefix levels: which chunks of an expert turn's reasoning are supervised at L0 … L4.
 *
 * arXiv 2606.16215, segment-level annealing; the level's share is this project's reading: of the n kept chunks before the
 * first `explicit_call_preview`, level ℓ keeps the first ⌈ℓ·n/4⌉. A chunk is never cut.
 */
import type { Chunk } from "../types.ts";

/** Cumulative reasoning-prefix level: 0 keeps nothing, 4 the longest safe prefix. */
export type PrefixLevel = 0 | 1 | 2 | 3 | 4;

/** The levels in order. */
export const prefixLevels: readonly PrefixLevel[] = [0, 1, 2, 3, 4];

/** A chunk that spells out the literal call belongs to no level: it would leak the call into the reasoning. */
const preview = "explicit_call_preview";

/**
 * Number of leading chunks of a turn that are active at a level: `⌈ℓ·n/4⌉`, n = chunks before the first preview.
 *
 * @param chunkTypes - type of each chunk of the turn, in order
 * @see arXiv 2606.16215, segment-level annealing
 * @example
 * ```ts
 * activeChunkCount(["task_restate", "tool_selection", "explicit_call_preview"], 2); // → 1
 * ```
 */
export function activeChunkCount(chunkTypes: readonly string[], level: PrefixLevel): number {
  const first = chunkTypes.indexOf(preview);
  const safe = first < 0 ? chunkTypes.length : first;
  return Math.ceil((level * safe) / 4);
}

/**
 * Which chunks of a turn are active at a level, chunk by chunk: `activeChunkCount` over the chunks that are kept
 * (`keep` is not false); the others stay in the context and are supervised at no level.
 *
 * @example
 * ```ts
 * const chunks: Pick<Chunk, "type">[] = [{ type: "task_restate" }, { type: "tool_selection" }, { type: "explicit_call_preview" }];
 * activeChunks(chunks, 4); // → [true, true, false]
 * ```
 */
export function activeChunks(chunks: readonly Pick<Chunk, "type" | "keep">[], level: PrefixLevel): boolean[] {
  const counts = (chunk: Pick<Chunk, "type" | "keep">) => chunk.keep !== false || chunk.type === preview;
  const types = chunks.filter(counts).map(({ type }) => type);
  let left = activeChunkCount(types, level);
  return chunks.map((chunk) => {
    if (left === 0 || !counts(chunk)) return false;
    left -= 1;
    return true;
  });
}
