/**
 * One-to-one assignment of predicted calls (rows) to reference calls (columns).
 *
 * `optimalAssignment` is the maximum-weight matching the PACT paper asks for (Hungarian algorithm in its
 * shortest-augmenting-path form: Kuhn 1955, Jonker and Volgenant 1987). `greedyAssignment` is what MatchTIR's
 * public code does. Left out: sparse graphs and the auction algorithm; rollouts have a handful of calls.
 */
import { AssignmentError } from "./errors.ts";

/** The column each row is matched with, `null` for an unmatched row, and the sum of the matched weights. */
export interface Assignment {
  readonly columns: readonly (number | null)[];
  readonly value: number;
}

/**
 * Maximum-weight one-to-one matching of rows to columns; pairs of weight 0 are never matched.
 *
 * Maximises `Σ weights[row][columns[row]]` in O(n² m), n = min(rows, columns). Ties are broken by the order of
 * the search, the same way every time.
 *
 * @param weights `[rows][columns]`, finite and ≥ 0; either side may be empty
 * @throws AssignmentError for a ragged matrix or a weight that is negative or not finite
 * @see H. W. Kuhn, The Hungarian method for the assignment problem (1955); arXiv 2606.16215 (reward)
 * @example
 * ```ts
 * optimalAssignment([[0.9, 0.8], [0.8, 0.1]]); // → { columns: [1, 0], value: 1.6 }
 * ```
 */
export function optimalAssignment(weights: readonly (readonly number[])[]): Assignment {
  const { rows, columns } = checkedSize(weights);
  if (rows > columns) {
    const flipped = optimalAssignment(transpose(weights, columns));
    const result: (number | null)[] = new Array(rows).fill(null);
    flipped.columns.forEach((row, column) => {
      if (row !== null) result[row] = column;
    });
    return { columns: result, value: flipped.value };
  }
  // Every row gets a column of least total cost −weight. Potentials keep all reduced costs ≥ 0; index 0 of the
  // column arrays is the artificial column from which each new row starts its shortest augmenting path.
  const rowPotential = new Float64Array(rows + 1);
  const columnPotential = new Float64Array(columns + 1);
  const rowOfColumn = new Int32Array(columns + 1);
  const previousColumn = new Int32Array(columns + 1);
  for (let start = 1; start <= rows; start++) {
    rowOfColumn[0] = start;
    const distance = new Float64Array(columns + 1).fill(Number.POSITIVE_INFINITY);
    const visited = new Uint8Array(columns + 1);
    let column = 0;
    do {
      visited[column] = 1;
      const row = rowOfColumn[column];
      let nearest = 0;
      let step = Number.POSITIVE_INFINITY;
      for (let next = 1; next <= columns; next++) {
        if (visited[next]) continue;
        const reduced = -weights[row - 1][next - 1] - rowPotential[row] - columnPotential[next];
        if (reduced < distance[next]) {
          distance[next] = reduced;
          previousColumn[next] = column;
        }
        if (distance[next] < step) {
          step = distance[next];
          nearest = next;
        }
      }
      for (let other = 0; other <= columns; other++) {
        if (visited[other]) {
          rowPotential[rowOfColumn[other]] += step;
          columnPotential[other] -= step;
        } else distance[other] -= step;
      }
      column = nearest;
    } while (rowOfColumn[column] !== 0);
    while (column !== 0) {
      rowOfColumn[column] = rowOfColumn[previousColumn[column]];
      column = previousColumn[column];
    }
  }
  const matched: (number | null)[] = new Array(rows).fill(null);
  for (let column = 1; column <= columns; column++) {
    const row = rowOfColumn[column];
    if (row > 0 && weights[row - 1][column - 1] > 0) matched[row - 1] = column - 1;
  }
  return { columns: matched, value: matchedValue(weights, matched) };
}

/**
 * MatchTIR's assignment: take pairs in descending weight (ties: lower row, then lower column) and skip used rows,
 * used columns and zero weights.
 *
 * @param weights `[rows][columns]`, finite and ≥ 0
 * @throws AssignmentError as `optimalAssignment`
 * @see github.com/quchangle1/MatchTIR, verl/utils/reward_score/tool.py
 * @example
 * ```ts
 * greedyAssignment([[0.9, 0.8], [0.8, 0.1]]); // → { columns: [0, 1], value: 1 }
 * ```
 */
export function greedyAssignment(weights: readonly (readonly number[])[]): Assignment {
  const { rows, columns } = checkedSize(weights);
  const pairs: { row: number; column: number; weight: number }[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (weights[row][column] > 0) pairs.push({ row, column, weight: weights[row][column] });
    }
  }
  pairs.sort((a, b) => b.weight - a.weight || a.row - b.row || a.column - b.column);
  const matched: (number | null)[] = new Array(rows).fill(null);
  const used = new Set<number>();
  for (const { row, column } of pairs) {
    if (matched[row] !== null || used.has(column)) continue;
    matched[row] = column;
    used.add(column);
  }
  return { columns: matched, value: matchedValue(weights, matched) };
}

function matchedValue(weights: readonly (readonly number[])[], matched: readonly (number | null)[]): number {
  let value = 0;
  matched.forEach((column, row) => {
    if (column !== null) value += weights[row][column];
  });
  return value;
}

function transpose(weights: readonly (readonly number[])[], columns: number): number[][] {
  return Array.from({ length: columns }, (_, column) => weights.map((row) => row[column]));
}

function checkedSize(weights: readonly (readonly number[])[]): { rows: number; columns: number } {
  const rows = weights.length;
  const columns = rows === 0 ? 0 : weights[0].length;
  weights.forEach((row, index) => {
    if (row.length !== columns) {
      throw new AssignmentError(
        `Assignment weights must be a rectangular matrix: row 0 has ${columns} entries, row ${index} has ${row.length}. ` +
          "Pass one weight for every pair of a prediction and a reference.",
      );
    }
    row.forEach((weight, column) => {
      if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
        throw new AssignmentError(
          `Assignment weight [${index}][${column}] must be finite and ≥ 0, received ${weight}. ` +
            "Clamp similarities to [0, 1] before matching.",
        );
      }
    });
  });
  return { rows, columns };
}
