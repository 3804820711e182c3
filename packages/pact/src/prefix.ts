/**
 * Reasoning-prefix levels: how many chunks of an expert turn's reasoning are supervised at L0 … L4.
 *
 * arXiv 2606.16215, segment-level annealing; the level's share is this project's reading: of the n chunks before the
 * first `explicit_call_preview`, level ℓ keeps the first ⌈ℓ·n/4⌉. A chunk is never cut.
 */
import type { PrefixLevel } from "./schedules.ts";

/** A chunk that spells out the literal call belongs to no level: it would leak the call into the reasoning. */
const PREVIEW = "explicit_call_preview";

/**
 * Number of leading chunks of a turn that are active at a level: `⌈ℓ·n/4⌉`, n = chunks before the first preview.
 *
 * @param chunkTypes type of each chunk of the turn, in order
 * @example activeChunkCount(["task_restate", "tool_selection", "explicit_call_preview"], 2) // 1
 */
export function activeChunkCount(chunkTypes: readonly string[], level: PrefixLevel): number {
  const preview = chunkTypes.indexOf(PREVIEW);
  const safe = preview < 0 ? chunkTypes.length : preview;
  return Math.ceil((level * safe) / 4);
}
