/** Where the tokens of a decoding pass go in the cache of `DecodeSession` (decode.ts), and what they see of it. */
import { InputError } from "./errors.ts";

/** A stretch of cache slots: [start, start + length) is filled, `capacity` reserved. */
export type Stretch = { readonly start: number; readonly capacity: number; length: number };

/** Tokens of one run with where they go and what they see. */
export type Run = { readonly ids: ArrayLike<number>; readonly own: Stretch; readonly prompt: Stretch };

/** Tokens with their positions, the slots they go to and the slots they see; `last` are the last ones of each run. */
export type Tokens = {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly slots: Int32Array;
  readonly ranges: Int32Array;
  readonly last: readonly number[];
};

/** The tokens of runs, one after another, with their places. */
export function laidOut(runs: readonly Run[]): Tokens {
  const total = runs.reduce((sum, run) => sum + run.ids.length, 0);
  const ids = new Int32Array(total);
  const positions = new Int32Array(total);
  const slots = new Int32Array(total);
  const ranges = new Int32Array(4 * total);
  const last: number[] = [];
  let token = 0;
  for (const { ids: list, own, prompt } of runs) {
    for (let t = 0; t < list.length; t++, token++) {
      const slot = own.start + own.length + t;
      if (!Number.isInteger(list[t]))
        throw new InputError(
          `DecodeSession: token ${t} of an entry is ${list[t]}; ids are whole numbers ≥ 0.`,
        );
      ids[token] = list[t];
      positions[token] = prompt.length + own.length + t;
      slots[token] = slot;
      ranges[4 * token] = prompt.start;
      ranges[4 * token + 1] = prompt.start + prompt.length;
      ranges[4 * token + 2] = own.start;
      ranges[4 * token + 3] = slot + 1;
    }
    last.push(token - 1);
  }
  return { ids, positions, slots, ranges, last };
}
