import { concatPacked, InputError, type Packed, packSequences, packTree, predecessors } from "@pact/nn";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const tokens = fc.array(fc.nat(99), { maxLength: 5 });
const tree = fc.record({ prefix: tokens, branches: fc.array(tokens, { maxLength: 4 }) });

/** Rows that row i sees, by its ranges. */
function visible({ ranges }: Packed, i: number): number[] {
  const [r0, r1, r2, r3] = ranges.subarray(4 * i, 4 * i + 4);
  return [...range(r0, r1), ...range(r2, r3)];
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

describe("packTree", () => {
  it("lays out a prefix and its branches", () => {
    const packed = packTree({ prefix: [7, 8], branches: [[9], [3, 4]] });
    expect([...packed.ids]).toEqual([7, 8, 9, 3, 4]);
    expect([...packed.positions]).toEqual([0, 1, 2, 2, 3]);
    expect(range(0, 5).map((i) => visible(packed, i))).toEqual([
      [0],
      [0, 1],
      [0, 1, 2],
      [0, 1, 3],
      [0, 1, 3, 4],
    ]);
    expect([...predecessors(packed)]).toEqual([-1, 0, 1, 1, 3]);
  });

  it("lets a token see exactly its sequence read alone: the right ids, as many as its position says", () => {
    fc.assert(
      fc.property(tree, ({ prefix, branches }) => {
        const packed = packTree({ prefix, branches });
        let row = 0;
        const check = (sequence: number[], from: number) => {
          for (let t = from; t < sequence.length; t++, row++) {
            const seen = visible(packed, row);
            expect(seen.map((i) => packed.ids[i])).toEqual(sequence.slice(0, t + 1));
            expect(seen.at(-1)).toBe(row);
            expect(packed.positions[row]).toBe(t);
            expect(predecessors(packed)[row]).toBe(t === 0 ? -1 : seen.at(-2));
          }
        };
        check(prefix, 0);
        for (const branch of branches) check([...prefix, ...branch], prefix.length);
        expect(row).toBe(packed.ids.length);
      }),
    );
  });

  it("refuses ids that are no ids", () => {
    expect(() => packTree({ prefix: [1.5], branches: [] })).toThrow(InputError);
    expect(() => packSequences([[1], [2, -1]])).toThrow(/token 1 of a sequence is -1/);
  });
});

describe("concatPacked", () => {
  it("shifts what each row sees and nothing else", () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 4 }), (trees) => {
        const rows = trees.map(packTree);
        const all = concatPacked(rows);
        let start = 0;
        for (const row of rows) {
          for (let i = 0; i < row.ids.length; i++) {
            expect(visible(all, start + i)).toEqual(visible(row, i).map((j) => j + start));
            expect(all.positions[start + i]).toBe(row.positions[i]);
            const before = predecessors(row)[i];
            expect(predecessors(all)[start + i]).toBe(before < 0 ? -1 : before + start);
          }
          start += row.ids.length;
        }
      }),
    );
  });

  it("packSequences is a concatenation of trees without branches", () => {
    expect(packSequences([[1, 2], [], [3]])).toEqual(
      concatPacked([packTree({ prefix: [1, 2], branches: [] }), packTree({ prefix: [3], branches: [] })]),
    );
  });
});
