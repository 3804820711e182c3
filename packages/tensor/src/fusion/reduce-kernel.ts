/**
 * The kernels of an expression with reductions: one invocation for each result walks the reduced elements in order,
 * computes what varies along them, stores what is needed later and adds up; then it computes what follows from the totals.
 * Few results of many elements are split: parts are totalled by a first kernel, and added up by a second.
 */
import type { KernelCall } from "../backends/webgpu/kernel.ts";
import { coalesce, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { axesWhere, type Expression, needed, type Stage, stagesOf } from "./expression.ts";
import { helpersOf } from "./helpers.ts";
import {
  accessesOf,
  addNumbers,
  addSteps,
  Bindings,
  coordinatesOf,
  narrowed,
  nodeText,
  Parameters,
  rounded,
  steps,
  strideClass,
  structureOf,
  widened,
} from "./text.ts";

/** The reductions among the nodes. */
function totalsOf({ nodes }: Expression): number[] {
  return nodes.flatMap((n, k) => (n.kind === "reduce" ? [k] : []));
}

/** What each of the kernels computes: nodes by flags, and stores by place. One without a split. */
export function phasesOf(e: Expression): { flags: boolean[]; stores: number[] }[] {
  const stages = stagesOf(e);
  const inLoop = e.stores.map((s) => axesWhere(e, true).some((d) => s.strides[d] !== 0));
  const places = [...e.stores.keys()];
  const isTotal = (n: Expression["nodes"][number]) => n.kind === "reduce";
  const wanted = (stores: readonly number[]) => stores.map((s) => e.stores[s].node);
  if (e.parts === 1) return [{ flags: needed(e.nodes, [...wanted(places), ...totalsOf(e)]), stores: places }];
  const loop = places.filter((s) => inLoop[s] || stages[e.stores[s].node] === "inner");
  const rest = places.filter((s) => !loop.includes(s));
  const first = needed(e.nodes, [...wanted(loop), ...totalsOf(e)]);
  const second = needed(e.nodes, wanted(rest), isTotal);
  for (const k of totalsOf(e)) second[k] = true;
  return [
    { flags: first, stores: loop },
    { flags: second, stores: rest },
  ];
}

/** The kernels that compute `outputs` of an expression that reduces. */
export function reduceCalls(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): KernelCall[] {
  const results = sizeOf(axesWhere(e, false).map((d) => e.shape[d]));
  const phases = phasesOf(e);
  const call = (phase: number, partial?: Tensor) => reduceCall(e, inputs, outputs, phases, phase, partial);
  if (e.parts === 1) return [call(0)];
  const partial = (inputs[0] ?? outputs[0]).device.empty(
    [totalsOf(e).length, e.parts, results],
    "f32",
    "fused",
  );
  const calls = [call(0, partial), call(1, partial)];
  partial.dispose();
  return calls;
}

function reduceCall(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  phases: ReturnType<typeof phasesOf>,
  phase: number,
  partial: Tensor | undefined,
): KernelCall {
  const { flags, stores } = phases[phase];
  const { parts } = e;
  const { loads, accesses } = accessesOf(e, inputs, outputs, flags, stores);
  const part = (reduced: boolean) => {
    const axes = axesWhere(e, reduced);
    return coalesce(
      axes.map((d) => e.shape[d]),
      accesses.map((a) => axes.map((d) => a.strides[d])),
    );
  };
  const [outer, inner] = [part(false), part(true)];
  const results = sizeOf(outer.shape);
  const bindings = new Bindings();
  const places = accesses.map((a) => bindings.of(a));
  const scratch = partial && bindings.of({ tensor: partial, strides: [], write: phase === 0 });
  const p = new Parameters();
  p.add("Outputs", results);
  p.add("Length", sizeOf(inner.shape));
  p.add("Parts", parts);
  for (const [d, n] of outer.shape.entries()) p.add(`D${d}`, n);
  if (phase === 0) for (const [d, n] of inner.shape.entries()) p.add(`E${d}`, n);
  accesses.forEach((a, k) => {
    p.add(`O${k}`, a.tensor.offset);
    addSteps(p, outer.strides[k], `S${k}`);
    if (phase === 0) addSteps(p, inner.strides[k], `T${k}`);
  });
  for (const k of totalsOf(e)) p.add(`Start${k}`, startOf(e, k), "f32");
  addNumbers(p, e.nodes, flags);
  const layout = accesses.map(
    (_, k) => `${places[k]}${strideClass(outer.strides[k])}/${strideClass(inner.strides[k])}`,
  );
  const mode = `${parts > 1 ? `part${phase}` : "whole"}:${outer.shape.length}:${inner.shape.length}`;
  return {
    key: `fused:${mode}:${structureOf(e)}:${layout.join(",")}`,
    source: () => ({
      buffers: bindings.sources(),
      params: p.fields,
      helpers: helpersOf(e.nodes, flags),
      main: new ReduceText(e, flags, stores, loads, places, outer.strides, inner.strides, scratch).text(
        phase,
        outer.shape.length,
        inner.shape.length,
      ),
    }),
    buffers: bindings.tensors,
    params: p.values,
    count: results * (phase === 0 ? parts : 1),
  };
}

function startOf({ nodes }: Expression, k: number): number {
  const node = nodes[k];
  return node.kind === "reduce" ? node.reduction.start : 0;
}

/** The statements of one such kernel. */
class ReduceText {
  private readonly e: Expression;
  private readonly flags: readonly boolean[];
  private readonly stores: readonly number[];
  private readonly loads: ReadonlyMap<number, number>;
  private readonly places: readonly number[];
  private readonly outer: readonly Shape[];
  private readonly inner: readonly Shape[];
  private readonly scratch: number | undefined;
  private readonly stages: readonly Stage[];

  constructor(
    e: Expression,
    flags: readonly boolean[],
    stores: readonly number[],
    loads: ReadonlyMap<number, number>,
    places: readonly number[],
    outer: readonly Shape[],
    inner: readonly Shape[],
    scratch: number | undefined,
  ) {
    this.e = e;
    this.flags = flags;
    this.stores = stores;
    this.loads = loads;
    this.places = places;
    this.outer = outer;
    this.inner = inner;
    this.scratch = scratch;
    this.stages = stagesOf(e);
  }

  text(phase: number, outerRank: number, innerRank: number): string {
    const { scratch } = this;
    const split = scratch !== undefined;
    const lines = [split && phase === 0 ? "let o = i % p.Outputs;\nlet part = i / p.Outputs;" : "let o = i;"];
    lines.push(coordinatesOf("o", outerRank, "c", "D"));
    for (const k of this.places.keys())
      lines.push(`let b${k} = p.O${k}${steps(this.outer[k], "c", `S${k}`)};`);
    this.nodes(lines, "outer");
    const totals = totalsOf(this.e);
    for (const k of totals) lines.push(`var t${k}: f32 = p.Start${k};`);
    if (phase === 0) {
      lines.push(
        split ? "for (var j = part; j < p.Length; j += p.Parts) {" : "for (var j = 0u; j < p.Length; j++) {",
      );
      lines.push(coordinatesOf("j", innerRank, "a", "E"));
      this.nodes(lines, "inner");
      this.write(lines, true);
      for (const k of totals) lines.push(this.add(k, `n${this.operand(k)}`));
      lines.push("}");
      if (split) {
        totals.forEach((k, r) => {
          lines.push(`x${scratch}[(${r}u * p.Parts + part) * p.Outputs + o] = t${k};`);
        });
        return lines.join("\n");
      }
    } else {
      lines.push("for (var part = 0u; part < p.Parts; part++) {");
      totals.forEach((k, r) => {
        lines.push(this.add(k, `x${scratch}[(${r}u * p.Parts + part) * p.Outputs + o]`));
      });
      lines.push("}");
    }
    this.nodes(lines, "after");
    this.write(lines, false);
    return lines.filter((line) => line !== "").join("\n");
  }

  private operand(k: number): number {
    const node = this.e.nodes[k];
    return node.kind === "reduce" ? node.from : k;
  }

  private add(k: number, value: string): string {
    const node = this.e.nodes[k];
    return node.kind === "reduce" ? `t${k} = ${node.reduction.wgslStep(`t${k}`, value)};` : "";
  }

  private at(k: number, inLoop: boolean): string {
    return `x${this.places[k]}[b${k}${inLoop ? steps(this.inner[k], "a", `T${k}`) : ""}]`;
  }

  /** The nodes of one stage. */
  private nodes(lines: string[], stage: Stage): void {
    this.e.nodes.forEach((node, k) => {
      if (!this.flags[k] || this.stages[k] !== stage) {
        return;
      }
      const load = this.loads.get(k);
      if (load !== undefined)
        lines.push(`let n${k} = ${widened(node.dtype, this.at(load, stage === "inner"))};`);
      else if (node.kind === "reduce") lines.push(`let n${k} = ${rounded(node.dtype, `t${k}`)};`);
      else lines.push(nodeText(this.e.nodes, k));
    });
  }

  /** The stores inside the loop, or after it. */
  private write(lines: string[], inLoop: boolean): void {
    this.stores.forEach((s, n) => {
      const { node, dtype, strides } = this.e.stores[s];
      const k = this.loads.size + n;
      const varies = axesWhere(this.e, true).some((d) => strides[d] !== 0);
      if ((varies || this.stages[node] === "inner") !== inLoop) return;
      const first = this.outer[k].flatMap((stride, d) => (stride === 0 ? [`c${d} == 0u`] : []));
      if (inLoop) first.push(...this.inner[k].flatMap((stride, d) => (stride === 0 ? [`a${d} == 0u`] : [])));
      const store = `${this.at(k, inLoop)} = ${narrowed(dtype, `n${node}`)};`;
      lines.push(first.length > 0 ? `if (${first.join(" && ")}) { ${store} }` : store);
    });
  }
}
