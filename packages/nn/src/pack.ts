/**
 * Packing: several token sequences laid end to end as one row of N tokens, with their positions and, per token, the
 * keys it may see. Nothing is padded, so no length costs anything it does not use.
 *
 * What token i sees is two ranges of rows, [r0, r1) ∪ [r2, r3): a shared prefix and its own sequence up to itself.
 * A document that starts at row s has (0, 0, s, i + 1); a branch of a prefix tree has (prefix start, prefix end, branch
 * start, i + 1), so K branches share one copy of their prefix (Hydragen, arXiv 2402.05099, and tree attention in
 * general). Left out: trees deeper than prefix and branches, which two ranges can not express.
 */
import { InputError } from "./errors.ts";

/** Token ids with their positions and visible ranges; N tokens. */
export type Packed = {
  /** Token ids [N]. */
  readonly ids: Int32Array;
  /** Position of each token in its own sequence [N], counted from the start of the prefix. */
  readonly positions: Int32Array;
  /** r0, r1, r2, r3 of each token [N·4]: it sees rows [r0, r1) and [r2, r3); r3 is its own row + 1. */
  readonly ranges: Int32Array;
};

/** Token ids of a prefix and of the branches that continue it, for `packTree`. */
export type PrefixTree = {
  readonly prefix: ArrayLike<number>;
  readonly branches: readonly ArrayLike<number>[];
};

/**
 * Packs independent sequences: each sees only itself, positions restart at 0.
 *
 * @throws InputError if an id is no whole number ≥ 0
 * @example
 * ```ts
 * const packed = packSequences([[5, 6], [7]]); // N = 3
 * packed.positions; // → [0, 1, 0]
 * packed.ranges; // → [0, 0, 0, 1, 0, 0, 0, 2, 2, 2, 2, 3]
 * packSequences([[-1]]); // → throws InputError
 * ```
 */
export function packSequences(lists: readonly ArrayLike<number>[]): Packed {
  return concatPacked(lists.map((ids) => packTree({ prefix: ids, branches: [] })));
}

/**
 * Packs a prefix followed by its branches: the prefix sees itself, a branch sees the prefix and itself, and branch
 * positions continue from the prefix. Branch b starts at row |prefix| + Σ lengths of the branches before it.
 *
 * @throws InputError if an id is no whole number ≥ 0
 * @example
 * ```ts
 * const packed = packTree({ prefix: [1, 2], branches: [[3], [4, 5]] }); // N = 5
 * packed.ids; // → [1, 2, 3, 4, 5]
 * packed.positions; // → [0, 1, 2, 2, 3]
 * packed.ranges.slice(16); // → [0, 2, 3, 5]
 * ```
 */
export function packTree({ prefix, branches }: PrefixTree): Packed {
  const length = branches.reduce((sum, branch) => sum + branch.length, prefix.length);
  const packed = allocate(length);
  writeRun(packed, prefix, 0, 0);
  let start = prefix.length;
  for (const branch of branches) {
    writeRun(packed, branch, start, prefix.length);
    start += branch.length;
  }
  return packed;
}

/**
 * Lays packed rows end to end; none sees another.
 *
 * @returns the rows' tokens in order, ranges shifted to their new rows
 * @example
 * ```ts
 * const tree = packTree({ prefix: [1], branches: [[2], [3]] });
 * concatPacked([tree, packSequences([[4, 5]])]).positions; // → [0, 1, 1, 0, 1]
 * ```
 */
export function concatPacked(rows: readonly Packed[]): Packed {
  const packed = allocate(rows.reduce((sum, row) => sum + row.ids.length, 0));
  let start = 0;
  for (const row of rows) {
    packed.ids.set(row.ids, start);
    packed.positions.set(row.positions, start);
    // NOTE: an absent prefix (0, 0) shifts to (start, start), which is just as empty.
    packed.ranges.set(
      row.ranges.map((bound) => bound + start),
      4 * start,
    );
    start += row.ids.length;
  }
  return packed;
}

/**
 * For each token, the row whose logits predict it: the token before it in its sequence, for the first token of a branch
 * the last row of the prefix, and −1 for the first token of a sequence.
 *
 * @returns Int32Array [N]
 * @example
 * ```ts
 * predecessors(packTree({ prefix: [1, 2], branches: [[3], [4, 5]] })); // → [-1, 0, 1, 1, 3]
 * ```
 */
export function predecessors({ ranges }: Packed): Int32Array {
  const before = new Int32Array(ranges.length / 4);
  for (let i = 0; i < before.length; i++) {
    const [prefixStart, prefixEnd, ownStart] = ranges.subarray(4 * i, 4 * i + 3);
    if (i > ownStart) before[i] = i - 1;
    else before[i] = prefixEnd > prefixStart ? prefixEnd - 1 : -1;
  }
  return before;
}

function allocate(length: number): Packed {
  return {
    ids: new Int32Array(length),
    positions: new Int32Array(length),
    ranges: new Int32Array(4 * length),
  };
}

/** Writes one run of tokens at row `start` that continues a prefix of `prefixLength` tokens at row 0. */
function writeRun(packed: Packed, ids: ArrayLike<number>, start: number, prefixLength: number): void {
  for (let t = 0; t < ids.length; t++) {
    const row = start + t;
    if (!Number.isInteger(ids[t]) || ids[t] < 0)
      throw new InputError(`pack: token ${t} of a sequence is ${ids[t]}; ids are whole numbers ≥ 0.`);
    packed.ids[row] = ids[t];
    packed.positions[row] = prefixLength + t;
    packed.ranges.set([0, prefixLength, start, row + 1], 4 * row);
  }
}
