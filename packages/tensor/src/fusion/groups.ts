/**
 * Which steps become one: units of steps, merged in the order of the program while a kernel for the union exists
 * (build.ts) and no step outside stands between them, that is, depends on one and is needed by the other. The choice
 * follows from the program alone, so it is the same every time.
 */
import type { Program, Step, Value } from "../capture/program.ts";
import { build } from "./build.ts";
import { type Member, memberOf, overlap } from "./members.ts";

/** How many units back neighbours are sought that share nothing but their shape: what lies further apart would keep memory alive. */
const reach = 24;
/** Members of one group: enough for any loss, few enough that the text compiles soon. */
const maxMembers = 48;

/** Steps that run as one, by their places in the program; `step` is what runs in their stead. */
interface Unit {
  readonly places: readonly number[];
  readonly members: readonly Member[] | null;
  readonly step: Step;
  readonly before: Set<Unit>;
  readonly after: Set<Unit>;
}

export class Grouping {
  private readonly program: Program;
  private readonly unitOf: Unit[];
  /** The places of the steps that touch each memory. */
  private readonly users: number[][];

  constructor(program: Program) {
    this.program = program;
    this.unitOf = program.steps.map((step, place) => {
      const member = memberOf(step);
      return { places: [place], members: member && [member], step, before: new Set(), after: new Set() };
    });
    this.users = usersOf(program);
    for (const [first, second] of dependences(program, this.users))
      link(this.unitOf[first], this.unitOf[second]);
  }

  /** Merges each step with those that make what it reads, then with neighbours that do alike. */
  merge(): void {
    for (let place = 0; place < this.unitOf.length; place++) {
      for (const other of this.makers(place)) this.tryMerge(other, this.unitOf[place]);
    }
    for (let place = 0; place < this.unitOf.length; place++) {
      const unit = this.unitOf[place];
      if (unit.places[0] !== place) continue;
      for (const other of this.neighbours(unit)) this.tryMerge(other, this.unitOf[place]);
    }
  }

  /** The steps in an order that respects what depends on what, close to the program's own. */
  steps(): Step[] {
    const units = [...new Set(this.unitOf)];
    const last = (u: Unit) => u.places[u.places.length - 1];
    const waiting = new Map(units.map((u) => [u, u.before.size]));
    const ready = units.filter((u) => u.before.size === 0);
    const ordered: Step[] = [];
    while (ready.length > 0) {
      const next = ready.reduce((a, b) => (last(b) < last(a) ? b : a));
      ready.splice(ready.indexOf(next), 1);
      ordered.push(next.step);
      for (const u of next.after) {
        const left = (waiting.get(u) ?? 0) - 1;
        waiting.set(u, left);
        if (left === 0) ready.push(u);
      }
    }
    return ordered;
  }

  /** The units that make what the step at `place` reads, the latest first. */
  private makers(place: number): Unit[] {
    const found: number[] = [];
    for (const { memory } of this.program.steps[place].inputs)
      for (const user of this.users[memory])
        if (user < place && this.program.steps[user].outputs.some((y) => y.memory === memory))
          found.push(user);
    return this.unitsAt(found.sort((a, b) => b - a));
  }

  /** Units shortly before `unit` that walk as many elements. */
  private neighbours(unit: Unit): Unit[] {
    if (!unit.members) return [];
    const places: number[] = [];
    for (let p = unit.places[0] - 1; p >= 0 && p >= unit.places[0] - reach; p--) places.push(p);
    return this.unitsAt(places).filter((u) => alike(u, unit));
  }

  private unitsAt(places: readonly number[]): Unit[] {
    return [...new Set(places.map((p) => this.unitOf[p]))];
  }

  private tryMerge(a: Unit, b: Unit): void {
    if (a === b || !a.members || !b.members || a.members.length + b.members.length > maxMembers) return;
    if (between(a, b) || between(b, a)) return;
    const places = [...a.places, ...b.places].sort((x, y) => x - y);
    const inside = new Set(places);
    const { memories } = this.program;
    const members = places.map((p) => memberAt(a, b, p));
    const step = build(
      members,
      memories,
      (memory) => memories[memory].kind !== "temporary" || this.users[memory].some((u) => !inside.has(u)),
    );
    if (!step) return;
    const unit: Unit = { places, members, step, before: new Set(), after: new Set() };
    for (const old of [a, b]) {
      for (const u of old.before) {
        u.after.delete(old);
        if (u !== a && u !== b) link(u, unit);
      }
      for (const u of old.after) {
        u.before.delete(old);
        if (u !== a && u !== b) link(unit, u);
      }
    }
    for (const p of places) this.unitOf[p] = unit;
  }
}

function memberAt(a: Unit, b: Unit, place: number): Member {
  const unit = a.places.includes(place) ? a : b;
  return (unit.members as readonly Member[])[unit.places.indexOf(place)];
}

function link(first: Unit, second: Unit): void {
  first.after.add(second);
  second.before.add(first);
}

/** True if something needs `a`'s results, and `b` needs its. */
function between(a: Unit, b: Unit): boolean {
  const seen = new Set<Unit>();
  const open = [...a.after].filter((u) => u !== b);
  for (let u = open.pop(); u; u = open.pop()) {
    if (u === b) return true;
    if (seen.has(u)) continue;
    seen.add(u);
    open.push(...u.after);
  }
  return false;
}

/** True if two units walk as many elements, and reduce as many of them or none. */
function alike(a: Unit, b: Unit): boolean {
  const [x, y] = [a, b].map(({ members }) => {
    const list = members ?? [];
    const size = Math.max(...list.map((m) => m.size));
    return `${size}:${list.some((m) => m.reduction)}`;
  });
  return a.members !== null && x === y;
}

function usersOf({ memories, steps }: Program): number[][] {
  const users: number[][] = memories.map(() => []);
  steps.forEach(({ inputs, outputs }, place) => {
    for (const memory of new Set([...inputs, ...outputs].map((v) => v.memory))) users[memory].push(place);
  });
  return users;
}

/** Pairs of steps of which the first must run before the second: they share elements that one of them writes. */
function dependences(
  { memories, steps }: Program,
  users: readonly (readonly number[])[],
): [number, number][] {
  const pairs: [number, number][] = [];
  const of = (values: readonly Value[], memory: number) => values.filter((v) => v.memory === memory);
  memories.forEach((_, memory) => {
    const touching = users[memory].map((place) => {
      const writes = of(steps[place].outputs, memory);
      return { place, writes, all: [...of(steps[place].inputs, memory), ...writes] };
    });
    touching.forEach((later, k) => {
      for (const earlier of touching.slice(0, k)) {
        const touches = (a: readonly Value[], b: readonly Value[]) =>
          a.some((x) => b.some((y) => overlap(x, y)));
        if (touches(earlier.writes, later.all) || touches(later.writes, earlier.all))
          pairs.push([earlier.place, later.place]);
      }
    });
  });
  return pairs;
}
