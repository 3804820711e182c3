/**
 * Which steps become one: units of steps, merged in the order of the program while a kernel for the union exists
 * (build.ts) and no step outside stands between them, that is, depends on one and is needed by the other. The choice
 * follows from the program alone, so it is the same every time.
 */
import type { Program, Step, Value } from "../capture/program.ts";
import { sizeOf } from "../shape.ts";
import { build } from "./build.ts";
import { isColumns } from "./columns.ts";
import { dependences, Reach, usersOf } from "./dependences.ts";
import { withEpilogue } from "./epilogue.ts";
import { type Member, memberOf } from "./members.ts";
import { isNorm, isNormBackward, withPast, withResidual } from "./residual.ts";

/** How many steps back neighbours are sought: what lies further apart would keep memory alive. */
const reach = 24;
/** Elements that nobody minds keeping. */
const small = 1024;
/** Members of one group: enough for any loss, few enough that the text compiles soon. */
const maxMembers = 128;

/** Steps that run as one, by their places in the program in order; `step` is what runs in their stead. */
interface Unit {
  readonly places: readonly number[];
  readonly step: Step;
  readonly before: Set<Unit>;
  readonly after: Set<Unit>;
}

export class Grouping {
  private readonly program: Program;
  private readonly members: readonly (Member | null)[];
  private readonly unitOf: Unit[] = [];
  /** The places of the steps that touch each memory. */
  private readonly users: readonly (readonly number[])[];
  private readonly reach: Reach;
  /** False to merge what one kernel can compute, but perhaps not bind. */
  private readonly limited: boolean;

  /** Begins with `groups` as units, lists of places, and every other step alone. */
  constructor(program: Program, limited: boolean, groups: readonly (readonly number[])[] = []) {
    this.program = program;
    this.limited = limited;
    this.members = program.steps.map(memberOf);
    this.users = usersOf(program);
    program.steps.forEach((step, place) => {
      this.unitOf[place] = { places: [place], step, before: new Set(), after: new Set() };
    });
    const pairs = dependences(program, this.users);
    for (const [first, second] of pairs) link(this.unitOf[first], this.unitOf[second]);
    this.reach = new Reach(program.steps.length, pairs);
    for (const places of groups) {
      const step = this.stepOf(places, limited);
      if (step) this.join(new Set(places.map((p) => this.unitOf[p])), step);
    }
  }

  /** Merges each step with those that make what it reads. */
  mergeChains(): void {
    for (let place = 0; place < this.unitOf.length; place++) {
      for (const other of this.makers(place)) this.tryMerge(other, this.unitOf[place]);
    }
  }

  /** Merges units with those shortly before that walk alike. */
  mergeNeighbours(): void {
    for (let place = 0; place < this.unitOf.length; place++) {
      const unit = this.unitOf[place];
      if (unit.places[0] !== place) continue;
      for (const other of this.neighbours(unit)) this.tryMerge(other, this.unitOf[place]);
    }
  }

  /** Merges totals that stand alone with a sum near by, where the kernel of sums with totals (columns.ts) does both. */
  mergeTotals(): void {
    for (let place = 0; place < this.unitOf.length; place++) {
      const unit = this.unitOf[place];
      const total = this.kindOf(unit);
      if (unit.places[0] !== place || !total?.reduces) continue;
      for (const other of this.unitsAt(this.around(place))) {
        const sum = this.kindOf(other);
        if (sum && !sum.reduces && sum.size === total.size)
          this.tryMerge(other, this.unitOf[place], isColumns);
      }
    }
  }

  /** Joins norms with the sums that they are of, and their gradients with what is added to them. */
  attachResiduals(): void {
    const { memories, steps } = this.program;
    for (const [place, step] of steps.entries()) {
      const unit = this.unitOf[place];
      if (unit.places.length > 1) continue;
      const [y] = step.outputs;
      const later = (a: Unit, b: Unit) => b.places[0] - a.places[0];
      if (isNorm(step))
        this.attach(unit, [...unit.before].sort(later), ({ places }) => {
          const sum = this.stepOf(places, true);
          return sum && withResidual(sum, step, memories);
        });
      else if (isNormBackward(step) && this.users[y.memory].length === 2)
        this.attach(unit, [...unit.after].sort(later), ({ places }) =>
          places.length === 1 ? withPast(step, steps[places[0]], memories) : null,
        );
    }
  }

  /** Joins `unit` with the first of its neighbours with which `joined` makes one step. */
  private attach(unit: Unit, neighbours: readonly Unit[], joined: (neighbour: Unit) => Step | null): void {
    for (const other of neighbours) {
      const step = joined(other);
      if (!step || this.between(unit, other) || this.between(other, unit)) continue;
      if (this.keepsMore(unit, other, step)) continue;
      this.join(new Set([unit, other]), step);
      return;
    }
  }

  /** Joins products and norms with what is computed from their results, element by element. */
  attachEpilogues(): void {
    for (const [place, step] of this.program.steps.entries()) {
      const unit = this.unitOf[place];
      if (unit.places.length > 1) continue;
      for (const next of [...unit.after].sort((a, b) => a.places[0] - b.places[0])) {
        const fused = this.stepOf(next.places, true);
        if (!fused || this.between(unit, next)) continue;
        const [y] = step.outputs;
        const inside = new Set([place, ...next.places]);
        const { kind } = this.program.memories[y.memory];
        const kept = kind !== "temporary" || this.users[y.memory].some((u) => !inside.has(u));
        const joined = withEpilogue(step, fused, kept);
        if (!joined || this.keepsMore(unit, next, joined)) continue;
        this.join(new Set([unit, next]), joined);
        break;
      }
    }
  }

  /** The groups of several steps that one start of a kernel can bind. */
  fitting(): (readonly number[])[] {
    return this.units()
      .map((u) => u.places)
      .filter((places) => places.length > 1 && this.stepOf(places, true));
  }

  /** The steps in an order that respects what depends on what, close to the program's own. */
  steps(): Step[] {
    const waiting = new Map(this.units().map((u) => [u, u.before.size]));
    const due = this.deadlines();
    const at = (u: Unit) => due.get(u) ?? 0;
    const ready = this.units().filter((u) => u.before.size === 0);
    const ordered: Step[] = [];
    while (ready.length > 0) {
      const next = ready.reduce((a, b) => (at(b) < at(a) ? b : a));
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

  /** The places after which units run: right behind what they need, or before the first that needs them. */
  private deadlines(): Map<Unit, number> {
    const due = new Map<Unit, number>();
    const last = ({ places }: Unit) => places[places.length - 1];
    const visit = (u: Unit): number => {
      const known = due.get(u);
      if (known !== undefined) return known;
      const own =
        u.places.length > 1 && this.shrinks(u.step) ? Math.max(0, ...[...u.before].map(last)) : last(u);
      const at = Math.min(own, ...[...u.after].map(visit));
      due.set(u, at);
      return at;
    };
    for (const u of this.units().reverse()) visit(u);
    return due;
  }

  private units(): Unit[] {
    return [...new Set(this.unitOf)];
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

  /** Units shortly before `unit` that walk as many elements, the latest first. */
  private neighbours(unit: Unit): Unit[] {
    const [first] = unit.places;
    const places: number[] = [];
    for (let p = first - 1; p >= 0 && p >= first - reach; p--) places.push(p);
    const kind = this.kindOf(unit);
    return this.unitsAt(places).filter((u) => {
      const other = this.kindOf(u);
      if (!kind || !other || kind.size !== other.size) return false;
      // What reads nothing is told from its neighbours by no walk of its own.
      return kind.reduces === other.reduces || readsNothing(kind.reduces ? u : unit);
    });
  }

  /** Places near `place`, the nearest first. */
  private around(place: number): number[] {
    const near = Array.from({ length: reach }, (_, k) => [place - k - 1, place + k + 1]).flat();
    return near.filter((p) => p >= 0 && p < this.unitOf.length);
  }

  private unitsAt(places: readonly number[]): Unit[] {
    return [...new Set(places.map((p) => this.unitOf[p]))];
  }

  /** How many elements a unit walks, and whether it reduces them; null for steps that are not fused. */
  private kindOf({ places }: Unit): { size: number; reduces: boolean } | null {
    const members = this.membersAt(places);
    if (!members) return null;
    return { size: Math.max(...members.map((m) => m.size)), reduces: members.some((m) => m.reduction) };
  }

  private membersAt(places: readonly number[]): Member[] | null {
    const members = places.flatMap((p) => this.members[p] ?? []);
    return members.length === places.length ? members : null;
  }

  /** The steps at `places` as one. */
  private stepOf(places: readonly number[], limited: boolean): Step | null {
    const { memories } = this.program;
    const members = this.membersAt(places);
    if (!members) return null;
    const inside = new Set(places);
    const escapes = (memory: number) =>
      memories[memory].kind !== "temporary" || this.users[memory].some((u) => !inside.has(u));
    return build(members, memories, escapes, limited);
  }

  private tryMerge(a: Unit, b: Unit, wanted: (step: Step) => boolean = () => true): void {
    if (a === b || a.places.length + b.places.length > maxMembers) return;
    if (this.between(a, b) || this.between(b, a)) return;
    const places = [...a.places, ...b.places].sort((x, y) => x - y);
    const step = this.stepOf(places, this.limited);
    if (step && wanted(step) && !this.keepsMore(a, b, step)) this.join(new Set([a, b]), step);
  }

  /** True if something else needs `a`'s results, and `b` needs its. */
  private between(a: Unit, b: Unit): boolean {
    const [target] = b.places;
    return [...a.after].some((u) => u !== b && this.reach.has(u.places[0], target));
  }

  /** True if merging two units that lie far apart keeps more memory alive in between. */
  private keepsMore(a: Unit, b: Unit, step: Step): boolean {
    const [early, late] = a.places[0] < b.places[0] ? [a, b] : [b, a];
    if (late.places[0] - early.places[early.places.length - 1] <= reach) return false;
    const kept = this.elements(early.step.outputs) + small;
    if (this.elements(step.outputs) > kept) return true;
    return !this.shrinks(step) && this.elements(early.step.inputs) > kept;
  }

  /** True if a step leaves less than it takes: then it runs as soon as it can, otherwise as late. */
  private shrinks({ inputs, outputs }: Step): boolean {
    return this.elements(outputs) <= this.elements(inputs);
  }

  /** Elements of values that do not live as long as the recording anyway. */
  private elements(values: readonly Value[]): number {
    const { memories } = this.program;
    return values
      .filter((v) => memories[v.memory].kind === "temporary" || memories[v.memory].kind === "result")
      .reduce((sum, v) => sum + sizeOf(v.shape), 0);
  }

  /** Puts one unit in place of several. */
  private join(old: ReadonlySet<Unit>, step: Step): void {
    const places = [...old].flatMap((u) => u.places).sort((x, y) => x - y);
    const unit: Unit = { places, step, before: new Set(), after: new Set() };
    for (const gone of old) {
      for (const u of gone.before) {
        u.after.delete(gone);
        if (!old.has(u)) link(u, unit);
      }
      for (const u of gone.after) {
        u.before.delete(gone);
        if (!old.has(u)) link(unit, u);
      }
    }
    for (const p of places) this.unitOf[p] = unit;
    this.reach.unite(places);
  }
}

/** True for fused steps that compute with numbers alone. */
function readsNothing({ places, step }: Unit): boolean {
  return places.length > 1 && step.inputs.length === 0;
}

function link(first: Unit, second: Unit): void {
  first.after.add(second);
  second.before.add(first);
}
