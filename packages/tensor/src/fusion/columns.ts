/**
 * The kernel of what the backward pass of every layer needs: a sum of two or three matrices, or the product of two element by
 * element, stored, and its column totals and those of matrices beside it. One text serves all of them, however many totals a
 * start has. Leaves out totals that are split (reduce-kernel.ts).
 */
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import type { Step } from "../capture/program.ts";
import { addOp, mulOp } from "../ops/arithmetic.ts";
import { coalesce, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { axesWhere, type Expression, type Node } from "./expression.ts";

/** Matrices that a start reads: with the two outputs, as many buffers as WebGPU grants. */
const most = 6;
const slots = Array.from({ length: most }, (_, k) => k);
/** The totals: of each matrix, and of the sum. */
const totals = [...slots, most];

/** In place of how many matrices are added up: two are multiplied. */
const product = 0;

/** The matrices that are added up in order, by node, to give `made`, or multiplied; null unless they are two or three. */
function termsOf(nodes: readonly Node[], made: number): { kind: number; terms: number[] } | null {
  const node = nodes[made];
  const multiplied = node.kind === "map" && node.definition === mulOp.definition;
  if (node.kind !== "map" || !(multiplied || node.definition === addOp.definition)) return null;
  const [a, b] = node.from;
  if (nodes[b].kind !== "load") return null;
  if (nodes[a].kind === "load") return { kind: multiplied ? product : 2, terms: [a, b] };
  if (multiplied) return null;
  const first = termsOf(nodes, a);
  return first?.kind === 2 ? { kind: 3, terms: [...first.terms, b] } : null;
}

/** What a start computes, and how its tensors lie over one axis of columns and one of rows. */
interface Columns {
  /** Matrices that are added up, or `product`. */
  readonly kind: number;
  /** The loads in the order of their slots. */
  readonly order: readonly number[];
  /** The stores of the totals by slot, and that of the matrix. */
  readonly to: ReadonlyMap<number, number>;
  readonly matrix: number;
  readonly columns: number;
  readonly rows: number;
  /** From row to row: of each load in order, and of the matrix. */
  readonly steps: readonly number[];
}

/** How one start computes an expression on memories that are told apart by `inputs` and `outputs`; null if none can. */
function columnsOf(e: Expression, inputs: readonly unknown[], outputs: readonly unknown[]): Columns | null {
  const { nodes, stores } = e;
  if (e.parts > 1 || nodes.some((n) => n.dtype !== "f32") || stores.some((s) => s.dtype !== "f32"))
    return null;
  const matrix = stores.findIndex((s) => nodes[s.node].kind === "map");
  if (matrix < 0) return null;
  const made = stores[matrix];
  const found = termsOf(nodes, made.node);
  const loads = nodes.flatMap((n, k) => (n.kind === "load" ? [k] : []));
  if (!found) return null;
  const { kind, terms } = found;
  if (nodes.filter((n) => n.kind === "map").length !== terms.length - 1) return null;
  const order = [...terms, ...loads.filter((k) => !terms.includes(k))];
  // One that is a term twice takes two slots.
  if (order.length > most) return null;
  const places = new Map([...order.map((k, slot) => [k, slot] as const), [made.node, most]]);
  const to = new Map<number, number>();
  for (const [s, { node }] of stores.entries()) {
    const n = nodes[node];
    if (s === matrix) continue;
    const place = n.kind === "reduce" && n.reduction.name === "sum" ? places.get(n.from) : undefined;
    if (place === undefined || to.has(place)) return null;
    to.set(place, s);
  }
  if (to.size === 0 || nodes.filter((n) => n.kind === "reduce").length !== to.size) return null;
  const targets = new Set([...to.values()].map((s) => outputs[s]));
  const written = [outputs[matrix], ...targets];
  const reads = order.flatMap((k): { memory: unknown; strides: Shape }[] => {
    const n = nodes[k];
    return n.kind === "load" ? [{ memory: inputs[n.input], strides: n.strides }] : [];
  });
  if (targets.size > 1 || written[0] === written[1] || reads.some((r) => written.includes(r.memory)))
    return null;
  const laid = [...reads.map((r) => r.strides), made.strides];
  const dense = stores.filter((_, s) => s !== matrix).map((s) => s.strides);
  const [outer, inner] = [false, true].map((reduced) => {
    const axes = axesWhere(e, reduced);
    return coalesce(
      axes.map((d) => e.shape[d]),
      [...laid, ...dense].map((s) => axes.map((d) => s[d])),
    );
  });
  if (outer.shape.length !== 1 || inner.shape.length !== 1) return null;
  if (outer.strides.some(([step]) => step !== 1)) return null;
  const steps = inner.strides.slice(0, laid.length).map(([step]) => step);
  return { kind, order, to, matrix, columns: sizeOf(outer.shape), rows: inner.shape[0], steps };
}

/** Whether this kernel computes a fused step. */
export function isColumns({ attrs, inputs, outputs }: Step): boolean {
  const [from, to] = [inputs, outputs].map((values) => values.map((v) => v.memory));
  return columnsOf(attrs as Expression, from, to) !== null;
}

/** The kernel of such an expression; null for any other. */
export function columnsCall(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): KernelCall | null {
  const [from, written] = [inputs, outputs].map((tensors) => tensors.map((t) => t.storage));
  const found = columnsOf(e, from, written);
  if (!found) return null;
  const { kind, order, to, steps } = found;
  const reads = order.flatMap((k) => {
    const n = e.nodes[k];
    return n.kind === "load" ? [inputs[n.input]] : [];
  });
  const matrix = outputs[found.matrix];
  const totalled = new Map([...to].map(([place, s]) => [place, outputs[s]]));
  const [target] = totalled.values();
  const slotted = slots.map((k) => Math.min(k, reads.length - 1));
  const mask = [...to.keys()].reduce((bits, place) => bits | (1 << place), 0);
  return {
    key: "fused:columns",
    source: () => ({
      buffers: [
        ...slots.map((k) => ({ name: `x${k}`, type: "f32" as const })),
        { name: "z", type: "f32", write: true },
        { name: "y", type: "f32", write: true },
      ],
      params: u32Params(
        ...["Length", "Terms", "Totals", "OZ", "SZ"],
        ...slots.flatMap((k) => [`O${k}`, `S${k}`]),
        ...totals.map((k) => `To${k}`),
      ),
      main: `${totals.map((k) => `var t${k} = 0.0;`).join(" ")}
for (var j = 0u; j < p.Length; j++) {
  let n0 = x0[p.O0 + i + j * p.S0];
  let n1 = x1[p.O1 + i + j * p.S1];
  var sum = select(n0 + n1, n0 * n1, p.Terms == ${product}u);
  if (p.Terms > 2u) { sum = sum + x2[p.O2 + i + j * p.S2]; }
  z[p.OZ + i + j * p.SZ] = sum;
  t${most} = t${most} + sum;
  t0 = t0 + n0;
  t1 = t1 + n1;
${slots
  .slice(2)
  .map((k) => `  if ((p.Totals & ${1 << k}u) != 0u) { t${k} = t${k} + x${k}[p.O${k} + i + j * p.S${k}]; }`)
  .join("\n")}
}
${totals.map((k) => `if ((p.Totals & ${1 << k}u) != 0u) { y[p.To${k} + i] = t${k}; }`).join("\n")}`,
    }),
    buffers: [...slotted.map((k) => reads[k]), matrix, target],
    params: [
      ...[found.rows, kind, mask, matrix.offset, steps[reads.length]],
      ...slotted.flatMap((k) => [reads[k].offset, steps[k]]),
      ...totals.map((k) => totalled.get(k)?.offset ?? 0),
    ],
    count: found.columns,
  };
}
