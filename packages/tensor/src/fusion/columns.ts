/**
 * The kernel of what the backward pass of every residual layer needs: a sum of two or three matrices, stored, and its column
 * totals and those of matrices beside it. One text serves all of them, however many totals a start has. Leaves out totals
 * that are split (reduce-kernel.ts).
 */
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { addOp } from "../ops/arithmetic.ts";
import { coalesce, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { axesWhere, type Expression, type Node } from "./expression.ts";

/** Matrices that a start reads: with the two outputs, as many buffers as WebGPU grants. */
const most = 6;
const slots = Array.from({ length: most }, (_, k) => k);
/** The totals: of each matrix, and of the sum. */
const totals = [...slots, most];

/** The matrices that `sum` adds up in order, by node; null unless they are two or three. */
function termsOf(nodes: readonly Node[], sum: number): number[] | null {
  const node = nodes[sum];
  if (node.kind !== "map" || node.definition !== addOp.definition) return null;
  const [a, b] = node.from;
  if (nodes[b].kind !== "load") return null;
  if (nodes[a].kind === "load") return [a, b];
  const first = termsOf(nodes, a);
  return first?.length === 2 ? [...first, b] : null;
}

/** The kernel of such an expression; null for any other. */
export function columnsCall(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): KernelCall | null {
  const { nodes, stores } = e;
  if (e.parts > 1 || nodes.some((n) => n.dtype !== "f32") || stores.some((s) => s.dtype !== "f32"))
    return null;
  const added = stores.filter((s) => nodes[s.node].kind === "map");
  if (added.length !== 1) return null;
  const [sum] = added;
  const terms = termsOf(nodes, sum.node);
  const loads = nodes.flatMap((n, k) => (n.kind === "load" ? [k] : []));
  if (!terms || loads.length > most) return null;
  if (nodes.filter((n) => n.kind === "map").length !== terms.length - 1) return null;
  const order = [...terms, ...loads.filter((k) => !terms.includes(k))];
  const places = new Map([...order.map((k, slot) => [k, slot] as const), [sum.node, most]]);
  const to = new Map<number, Tensor>();
  for (const [s, { node }] of stores.entries()) {
    const n = nodes[node];
    if (n.kind === "map") continue;
    const place = n.kind === "reduce" && n.reduction.name === "sum" ? places.get(n.from) : undefined;
    if (place === undefined || to.has(place)) return null;
    to.set(place, outputs[s]);
  }
  const matrix = outputs[stores.indexOf(sum)];
  const [target] = to.values();
  if (nodes.filter((n) => n.kind === "reduce").length !== to.size || !target) return null;
  if ([...to.values()].some((y) => y.storage !== target.storage)) return null;
  const reads = order.flatMap((k) => {
    const n = nodes[k];
    return n.kind === "load" ? [{ x: inputs[n.input], strides: n.strides }] : [];
  });
  const written = [matrix.storage, target.storage];
  if (written[0] === written[1] || reads.some(({ x }) => written.includes(x.storage))) return null;
  const laid = [...reads.map((r) => r.strides), sum.strides];
  const dense = stores.filter((s) => s !== sum).map((s) => s.strides);
  const [outer, inner] = [false, true].map((reduced) => {
    const axes = axesWhere(e, reduced);
    return coalesce(
      axes.map((d) => e.shape[d]),
      [...laid, ...dense].map((s) => axes.map((d) => s[d])),
    );
  });
  if (outer.shape.length !== 1 || inner.shape.length !== 1) return null;
  if (outer.strides.some(([step]) => step !== 1)) return null;
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
  var sum = n0 + n1;
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
    buffers: [...slotted.map((k) => reads[k].x), matrix, target],
    params: [
      ...[inner.shape[0], terms.length, mask, matrix.offset, inner.strides[reads.length][0]],
      ...slotted.flatMap((k) => [reads[k].x.offset, inner.strides[k][0]]),
      ...totals.map((k) => to.get(k)?.offset ?? 0),
    ],
    count: sizeOf(outer.shape),
  };
}
