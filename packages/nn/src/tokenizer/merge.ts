// What training, encoding and the saved file share: the parts of a tokenizer, and one merge step.

/** What a tokenizer is made of. */
export interface TokenizerParts {
  /** Merge i joins two earlier ids into id 256 + i; a lower i is applied first. */
  merges: readonly (readonly [left: number, right: number])[];
  /** Names of the control tokens, in id order. */
  controlTokens: readonly string[];
}

/** Replaces each `left right` in `ids`, from the left and without overlap, by `merged`. */
export function mergePair(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      result.push(merged);
      i++;
    } else {
      result.push(ids[i]);
    }
  }
  return result;
}
