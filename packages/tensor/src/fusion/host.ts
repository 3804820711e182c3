/**
 * The reference of a fused kernel on the host: the members' own scalar functions, element by element, each value rounded
 * as the member alone would have stored it. So on the cpu device fused results are those of the members, bit for bit.
 */
import { allocate, computeType, type DType, isFloat } from "../dtype.ts";
import type { HostView } from "../op.ts";
import { sizeOf, stridesOf } from "../shape.ts";
import { walk } from "../walk.ts";
import { axesWhere, type Expression, type Node, needed, operandsOf, stagesOf } from "./expression.ts";

/** Fills the outputs of an expression. */
export function evaluate(e: Expression, inputs: readonly HostView[], outputs: readonly HostView[]): void {
  const stages = stagesOf(e);
  const outer = axesWhere(e, false);
  const reducing = e.nodes.some((n) => n.kind === "reduce");
  const inner = needed(
    e.nodes,
    [...e.nodes.keys()].filter((k) => stages[k] !== "after"),
  ).map((flag, k) => flag && stages[k] !== "after");
  const late = (k: number) => stages[e.stores[k].node] === "after";
  const values = new Array<number>(e.nodes.length).fill(0);
  const cells = e.nodes.map((n) => allocate(n.dtype, 1));
  const round = (k: number, value: number) => {
    cells[k][0] = value;
    values[k] = cells[k][0];
  };
  // Doubles hold the running totals, as in the reductions themselves; a total per result.
  const outerShape = outer.map((d) => e.shape[d]);
  const totals = e.nodes.map((n) =>
    n.kind === "reduce" ? new Float64Array(sizeOf(outerShape)).fill(n.reduction.start) : undefined,
  );
  const spread = e.shape.map(() => 0);
  outer.forEach((d, i) => {
    spread[d] = stridesOf(outerShape)[i];
  });
  const views = (shape: readonly number[], axes: readonly number[]): HostView[] => [
    ...e.nodes.map((n) =>
      n.kind === "load"
        ? { ...inputs[n.input], shape, strides: axes.map((d) => n.strides[d]) }
        : { dtype: n.dtype, data: cells[0], shape, strides: axes.map(() => 0), offset: 0 },
    ),
    ...e.stores.map((s, k) => ({ ...outputs[k], shape, strides: axes.map((d) => s.strides[d]) })),
    { dtype: "f64", data: cells[0], shape, strides: axes.map((d) => spread[d]), offset: 0 },
  ];
  const compute = (k: number, at: readonly number[]) => {
    const node = e.nodes[k];
    if (node.kind === "load") values[k] = inputs[node.input].data[at[k]];
    else if (node.kind === "scalar") round(k, node.value);
    else if (node.kind === "map") round(k, mapped(node, e.nodes, values));
  };
  const store = (k: number, at: readonly number[]) => {
    outputs[k].data[at[e.nodes.length + k]] = values[e.stores[k].node];
  };
  const places = [...e.stores.keys()];
  const all = [...e.shape.keys()];
  walk(e.shape, views(e.shape, all), (_index, at) => {
    inner.forEach((flag, k) => {
      if (flag) compute(k, at);
    });
    for (const k of places) if (!late(k)) store(k, at);
    const to = at[at.length - 1];
    totals.forEach((total, k) => {
      if (total) total[to] = added(e.nodes[k], total[to], values);
    });
  });
  if (!reducing) return;
  walk(outerShape, views(outerShape, outer), (_index, at) => {
    e.nodes.forEach((node, k) => {
      if (node.kind === "reduce") round(k, totals[k]?.[at[at.length - 1]] ?? 0);
      else if (stages[k] !== "inner") compute(k, at);
    });
    for (const k of places) if (late(k)) store(k, at);
  });
}

/** One step of a total; integers wrap at 32 bits before doubles lose any. */
function added(node: Node, total: number, values: readonly number[]): number {
  if (node.kind !== "reduce") return total;
  const next = node.reduction.step(total, values[operandsOf(node)[0]]);
  return node.reduction.wraps && !isFloat(node.dtype) ? next | 0 : next;
}

function mapped(node: Node & { kind: "map" }, nodes: readonly Node[], values: readonly number[]): number {
  const type: DType = computeType(nodes[node.from[node.from.length - 1]].dtype);
  return node.definition.cpu(
    node.from.map((k) => values[k]),
    node.attrs,
    type,
  );
}
