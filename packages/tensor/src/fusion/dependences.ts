/** Which steps of a recording must run before which: those that share elements that one of them writes. */
import type { Program, Value } from "../capture/program.ts";
import { overlap } from "./members.ts";

/** The places of the steps that touch each memory, in order. */
export function usersOf({ memories, steps }: Program): number[][] {
  const users: number[][] = memories.map(() => []);
  steps.forEach(({ inputs, outputs }, place) => {
    for (const memory of new Set([...inputs, ...outputs].map((v) => v.memory))) users[memory].push(place);
  });
  return users;
}

/** Pairs of places of which the first must run before the second. */
export function dependences(
  { memories, steps }: Program,
  users: readonly (readonly number[])[],
): [number, number][] {
  const pairs: [number, number][] = [];
  const of = (values: readonly Value[], memory: number) => values.filter((v) => v.memory === memory);
  const touch = (a: readonly Value[], b: readonly Value[]) => a.some((x) => b.some((y) => overlap(x, y)));
  for (const memory of memories.keys()) {
    const touching = users[memory].map((place) => {
      const writes = of(steps[place].outputs, memory);
      return { place, writes, all: [...of(steps[place].inputs, memory), ...writes] };
    });
    touching.forEach((later, k) => {
      for (const earlier of touching.slice(0, k))
        if (touch(earlier.writes, later.all) || touch(later.writes, earlier.all))
          pairs.push([earlier.place, later.place]);
    });
  }
  return pairs;
}

/** Which steps come after which, through any others: a bit for each pair of places. */
export class Reach {
  private readonly words: number;
  /** What comes after each place; places that run as one share a row. */
  private readonly rows: Uint32Array[];
  /** A place of each row. */
  private readonly leaders: Set<number>;

  /** Begins with the given dependences, whose first is before the second. */
  constructor(steps: number, pairs: readonly (readonly [number, number])[]) {
    this.words = Math.ceil(steps / 32);
    this.rows = Array.from({ length: steps }, () => new Uint32Array(this.words));
    this.leaders = new Set(this.rows.keys());
    const after: number[][] = this.rows.map(() => []);
    for (const [first, second] of pairs) after[first].push(second);
    for (let p = steps - 1; p >= 0; p--) {
      for (const q of after[p]) {
        include(this.rows[p], this.rows[q]);
        this.rows[p][q >> 5] |= 1 << (q & 31);
      }
    }
  }

  /** True if the step at `second` needs what the step at `first` does. */
  has(first: number, second: number): boolean {
    return ((this.rows[first][second >> 5] >>> (second & 31)) & 1) === 1;
  }

  /** From now on the steps at `places` run as one. */
  unite(places: readonly number[]): void {
    const all = new Uint32Array(this.words);
    const [first, ...others] = places.filter((p) => this.leaders.has(p));
    for (const p of [first, ...others]) include(all, this.rows[p]);
    for (const p of others) this.leaders.delete(p);
    for (const p of places) {
      all[p >> 5] |= 1 << (p & 31);
      this.rows[p] = all;
    }
    // What one of the united comes after, all of them do.
    for (const p of this.leaders)
      if (p !== first && (this.has(p, first) || others.some((q) => this.has(p, q))))
        include(this.rows[p], all);
  }
}

function include(row: Uint32Array, more: Uint32Array): void {
  for (let k = 0; k < row.length; k++) row[k] |= more[k];
}
