/**
 * Makes one fused step of several: finds the shape that all of them walk, how each lies in it, which values go from one to
 * another without being stored, and which are stored. Says no (null) where one kernel can not do it.
 */
import { type Memory, type Step, stepOf, type Value } from "../capture/program.ts";
import { coalesce, isContiguous, type Shape, sameShape, sizeOf } from "../shape.ts";
import { refined, splitStrides, spread } from "./axes.ts";
import {
  axesWhere,
  type Expression,
  type Node,
  operandsOf,
  reduces,
  type Store,
  stagesOf,
} from "./expression.ts";
import { fusedOp } from "./fused.ts";
import { agree } from "./helpers.ts";
import { type Member, overlap } from "./members.ts";
import { phasesOf } from "./reduce-kernel.ts";

/** Storage buffers that one kernel may bind: the least that WebGPU grants. */
const maxBuffers = 8;
/** Parameters that one start holds (pipelines.ts), less those of the kernel's own. */
const maxParameters = 60;

/** A value made inside the group: its node, and where it lies. */
interface Written {
  readonly node: number;
  readonly value: Value;
  /** Over the group's shape. */
  readonly strides: Shape;
}

/**
 * The steps as one; `escapes` tells which memories others read. Without `limited` it may be more than one start binds.
 */
export function build(
  members: readonly Member[],
  memories: readonly Memory[],
  escapes: (memory: number) => boolean,
  limited = true,
): Step | null {
  return new Builder(members, memories, escapes).build(limited);
}

class Builder {
  private readonly members: readonly Member[];
  private readonly memories: readonly Memory[];
  private readonly escapes: (memory: number) => boolean;
  private readonly size: number;
  private shape: Shape = [];
  private reduced: boolean[] = [];
  private readonly nodes: Node[] = [];
  private readonly inputs: Value[] = [];
  private readonly written: Written[] = [];
  private readonly loaded = new Map<string, number>();

  constructor(members: readonly Member[], memories: readonly Memory[], escapes: (memory: number) => boolean) {
    this.members = members;
    this.memories = memories;
    this.escapes = escapes;
    this.size = Math.max(...members.map((m) => m.size));
  }

  build(limited: boolean): Step | null {
    if (!this.findShape()) return null;
    const extents = this.findExtents();
    if (!extents) return null;
    for (const [k, member] of this.members.entries()) if (!this.add(member, extents[k])) return null;
    if (!agree(this.nodes)) return null;
    const reads = new Set(this.inputs.map((x) => x.memory));
    if (this.written.some((w) => reads.has(w.value.memory))) return null;
    const stored = this.written.filter((w) => this.escapes(w.value.memory));
    const whole: Expression = {
      shape: this.shape,
      reduced: this.reduced,
      nodes: this.nodes,
      stores: stored.map(
        ({ node, value, strides }): Store => ({ node, strides, shape: value.shape, dtype: value.dtype }),
      ),
      parts: 1,
    };
    const expression = { ...whole, parts: partsOf(whole) };
    const outputs = stored.map((w) => w.value);
    if (!sound(expression) || (limited && !fits(expression, this.inputs, outputs))) return null;
    return stepOf(fusedOp, this.inputs, outputs, expression);
  }

  /** The axes that all members of the full size walk, and which of them are reduced. */
  private findShape(): boolean {
    const full = this.members.filter((m) => m.size === this.size && !this.rearranges(m));
    const shape = refined(full.map((m) => m.shape));
    if (!shape) return false;
    this.shape = shape;
    this.reduced = shape.map(() => false);
    let first = true;
    for (const m of this.members) {
      if (!m.reduction) continue;
      const flags = splitStrides(
        m.shape,
        m.reduced.map((flag) => (flag ? 1 : 0)),
        shape,
      )?.map((flag) => flag > 0);
      if (!flags || (!first && flags.some((flag, d) => flag !== this.reduced[d]))) return false;
      this.reduced = flags;
      first = false;
    }
    return true;
  }

  /** True for a copy that puts values made in the group into another order; it has no say in the group's shape. */
  private rearranges({ definition, reduction, step: { inputs }, reads }: Member): boolean {
    const [x] = inputs;
    if (definition || reduction || reads[0].strides.includes(0)) return false;
    return !isContiguous(x.shape, x.strides) && this.makes(x.memory);
  }

  private makes(memory: number): boolean {
    return this.members.some((m) => m.write.value.memory === memory);
  }

  /** Which of the group's axes each member walks. */
  private findExtents(): boolean[][] | null {
    const { shape, members } = this;
    const extents: boolean[][] = new Array(members.length);
    const results = shape.map((_, d) => !this.reduced[d]);
    const resultCount = sizeOf(shape.filter((_, d) => results[d]));
    const reducing = members.some((m) => m.reduction);
    for (let k = members.length - 1; k >= 0; k--) {
      const m = members[k];
      if (m.size === this.size) extents[k] = shape.map(() => true);
      else if (m.reduction) return null;
      else if (m.size === 1) extents[k] = shape.map(() => false);
      else extents[k] = this.readers(k, extents) ?? (reducing && m.size === resultCount ? results : []);
      if (extents[k].length < shape.length) return null;
    }
    return extents;
  }

  /** The axes along which a later member reads what member `k` writes. */
  private readers(k: number, extents: readonly (readonly boolean[])[]): boolean[] | null {
    const { memory } = this.members[k].write.value;
    for (let j = k + 1; j < this.members.length; j++) {
      const read = this.members[j].reads.find((r) => r.value.memory === memory);
      const strides = read && this.over(this.members[j].shape, read.strides, extents[j]);
      if (strides) return strides.map((s) => s !== 0);
    }
    return null;
  }

  /** Strides over a member's own shape as strides over the group's. */
  private over(shape: Shape, strides: Shape, extent: readonly boolean[]): number[] | null {
    const own = splitStrides(
      shape,
      strides,
      this.shape.filter((_, d) => extent[d]),
    );
    return own && spread(own, extent);
  }

  private add(member: Member, extent: readonly boolean[]): boolean {
    const { step, definition, reduction, reads, write } = member;
    if (this.rearranges(member)) return this.addRearranged(member);
    const from: number[] = [];
    for (const { value, strides } of reads) {
      const over = this.over(member.shape, strides, extent);
      const node = over ? this.read(value, over) : null;
      if (node === null) return false;
      from.push(node);
    }
    const strides = this.over(member.shape, write.strides, extent);
    if (!strides) return false;
    const { dtype } = write.value;
    let node = from[0];
    if (definition) node = this.nodes.push({ kind: "map", definition, attrs: step.attrs, from, dtype }) - 1;
    else if (reduction) node = this.nodes.push({ kind: "reduce", reduction, from: from[0], dtype }) - 1;
    return this.write({ node, value: write.value, strides });
  }

  /** A copy that reads a value of the group in another order: the value is stored through the strides that this gives. */
  private addRearranged({ shape, reads: [read], write }: Member): boolean {
    const made = this.written.filter((w) => w.value.memory === read.value.memory);
    if (made.length !== 1 || made[0].value.offset !== read.value.offset || shape.length !== this.shape.length)
      return false;
    const [{ node, strides }] = made;
    const axes = this.shape.map((n, d) =>
      shape.findIndex((m, e) => m === n && read.strides[e] === strides[d]),
    );
    if (axes.includes(-1) || new Set(axes).size < axes.length) return false;
    return this.write({ node, value: write.value, strides: axes.map((e) => write.strides[e]) });
  }

  /** The node of a value that a member reads; null if it is made in the group, but not as it is read. */
  private read(value: Value, strides: Shape): number | null {
    const made = this.written.filter((w) => w.value.memory === value.memory);
    if (made.length > 0) {
      const [{ node, value: whole, strides: laid }] = made;
      return made.length === 1 && whole.offset === value.offset && sameShape(laid, strides) ? node : null;
    }
    const { scalar } = this.memories[value.memory];
    const { dtype } = value;
    const key =
      scalar === undefined
        ? `${value.memory}:${value.offset}:${strides}`
        : `${dtype} ${Object.is(scalar, -0) ? "-0" : scalar}`;
    const known = this.loaded.get(key);
    if (known !== undefined) return known;
    const node: Node =
      scalar !== undefined
        ? { kind: "scalar", value: scalar, dtype }
        : { kind: "load", input: this.inputs.push(value) - 1, strides, dtype };
    this.loaded.set(key, this.nodes.push(node) - 1);
    return this.nodes.length - 1;
  }

  private write(made: Written): boolean {
    if (this.written.some((w) => overlap(w.value, made.value))) return false;
    this.written.push(made);
    return true;
  }
}

/** True if totals are used only where they are known, and beside nothing that varies along what they total. */
function sound(e: Expression): boolean {
  const stages = stagesOf(e);
  const inner = axesWhere(e, true);
  return (
    e.nodes.every((node, k) => {
      const from = operandsOf(node).map((o) => stages[o]);
      if (node.kind === "reduce") return !from.includes("after");
      return stages[k] !== "after" || !from.includes("inner");
    }) && e.stores.every((s) => stages[s.node] !== "after" || inner.every((d) => s.strides[d] === 0))
  );
}

/** Into how many parts to split totals: few results of many elements, or of some that each take long, keep few lanes busy. */
function partsOf(e: Expression): number {
  if (!reduces(e)) return 1;
  const [results, length] = [false, true].map((r) => sizeOf(axesWhere(e, r).map((d) => e.shape[d])));
  const work = stagesOf(e).filter((stage) => stage === "inner").length;
  if (results >= 512 || (length < 2048 && (results >= 64 || length < 256 || work <= 4))) return 1;
  return length < 16384 ? 64 : 256;
}

/** True if each kernel of the expression stays within the buffers of one start, and within so many parameters. */
export function fits(
  e: Expression,
  inputs: readonly Value[],
  outputs: readonly Value[],
  parameters = maxParameters,
): boolean {
  return phasesOf(e).every(({ flags, stores }) => {
    const values: Value[] = stores.map((s) => outputs[s]);
    const strides: Shape[] = stores.map((s) => e.stores[s].strides);
    let numbers = 8;
    e.nodes.forEach((node, k) => {
      if (!flags[k]) return;
      if (node.kind === "load") {
        values.push(inputs[node.input]);
        strides.push(node.strides);
      } else if (node.kind === "scalar" || node.kind === "reduce") numbers++;
      else numbers += node.definition.params?.names.length ?? 0;
    });
    for (const reduced of [false, true]) {
      const axes = axesWhere(e, reduced);
      const merged = coalesce(
        axes.map((d) => e.shape[d]),
        strides.map((s) => axes.map((d) => s[d])),
      );
      numbers += merged.shape.length + merged.strides.flat().filter((s) => s > 1 || s < 0).length;
    }
    const buffers = new Set(values.map((v) => v.memory)).size + (e.parts > 1 ? 1 : 0);
    return buffers <= maxBuffers && numbers + values.length <= parameters;
  });
}
