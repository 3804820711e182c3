// Byte-pair encoding: learns merges from text (Sennrich et al. 2016, arXiv 1508.07909, algorithm 1, on bytes).
// Pair counts are kept up to date instead of recounted: a merge only touches the words that hold its pair.
// Leaves out: subsampling, parallel counting, a cap on token length.

import { BYTE_COUNT, bytesOf, splitText } from "./bytes.ts";
import { TokenizerError } from "./errors.ts";
import { mergePair } from "./merge.ts";
import { Tokenizer } from "./tokenizer.ts";

/** Options of {@link trainBpe}. */
export interface TrainBpeOptions {
  /** Ids in all: 256 bytes + merges + control tokens. Fewer result when no pair reaches `minCount`. */
  vocabSize: number;
  /** Names of tokens that no text can produce, in id order. Default none. */
  controlTokens?: readonly string[];
  /** A pair seen less often than this is not merged. Default 2. */
  minCount?: number;
}

interface Word {
  ids: number[];
  count: number;
}

/**
 * Trains a byte-level BPE tokenizer. Each step merges the pair with the highest count; ties go to the smaller left id,
 * then the smaller right id, so the result depends on how often pre-tokens occur and not on the order of the texts.
 *
 * @throws TokenizerError if `vocabSize` is below 256 + control tokens, `minCount` below 1, or a control name is empty or
 * repeated.
 * Source: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1, on bytes.
 *
 * @example
 * ```ts
 * const tokenizer = trainBpe(["mayor mayor"], { vocabSize: 300, controlTokens: ["<|end|>"] });
 * tokenizer.encode("mayor").length; // → 1
 * tokenizer.decode(tokenizer.encode("town")); // → "town"
 * trainBpe([], { vocabSize: 100 }); // → throws TokenizerError
 * ```
 */
export function trainBpe(texts: Iterable<string>, options: TrainBpeOptions): Tokenizer {
  const { vocabSize, controlTokens = [], minCount = 2 } = options;
  const mergeCount = vocabSize - BYTE_COUNT - controlTokens.length;
  if (!Number.isInteger(mergeCount) || mergeCount < 0) {
    throw new TokenizerError(
      `trainBpe: vocabSize must be an integer of at least ${BYTE_COUNT + controlTokens.length} ` +
        `(${BYTE_COUNT} bytes + ${controlTokens.length} control tokens), received ${vocabSize}`,
    );
  }
  if (!Number.isInteger(minCount) || minCount < 1)
    throw new TokenizerError(`trainBpe: minCount must be a whole number ≥ 1, received ${minCount}`);
  const words = countWords(texts);
  const pairs = new PairTable(vocabSize);
  words.forEach((word, index) => {
    pairs.addWord(word, index, 1);
  });

  const merges: [number, number][] = [];
  while (merges.length < mergeCount) {
    const best = pairs.best(minCount);
    if (best === undefined) break;
    const [left, right] = best;
    const merged = BYTE_COUNT + merges.length;
    merges.push(best);
    for (const index of pairs.wordsWith(left, right)) {
      const word = words[index];
      pairs.addWord(word, index, -1);
      word.ids = mergePair(word.ids, left, right, merged);
      pairs.addWord(word, index, 1);
    }
  }
  return new Tokenizer({ merges, controlTokens });
}

function countWords(texts: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const piece of splitText(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  return [...counts].map(([piece, count]) => ({ ids: [...bytesOf(piece)], count }));
}

/** How often each adjacent pair of ids occurs, and in which words. */
class PairTable {
  readonly #entries = new Map<number, { count: number; words: Set<number> }>();
  readonly #base: number;

  constructor(vocabSize: number) {
    this.#base = vocabSize; // a pair is one number: left · base + right, so numeric order is tie order
  }

  /** Adds (`sign` 1) or takes away (−1) all pairs of a word. */
  addWord({ ids, count }: Word, index: number, sign: 1 | -1): void {
    for (let i = 0; i + 1 < ids.length; i++) {
      const pair = ids[i] * this.#base + ids[i + 1];
      let entry = this.#entries.get(pair);
      if (entry === undefined) {
        entry = { count: 0, words: new Set() };
        this.#entries.set(pair, entry);
      }
      entry.count += sign * count;
      if (sign === 1) entry.words.add(index);
      else entry.words.delete(index);
      if (entry.count === 0) this.#entries.delete(pair);
    }
  }

  best(minCount: number): [number, number] | undefined {
    let best = -1;
    let bestCount = minCount - 1;
    for (const [pair, { count }] of this.#entries) {
      if (count > bestCount || (count === bestCount && best !== -1 && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    return best === -1 ? undefined : [Math.floor(best / this.#base), best % this.#base];
  }

  wordsWith(left: number, right: number): number[] {
    return [...(this.#entries.get(left * this.#base + right)?.words ?? [])];
  }
}
