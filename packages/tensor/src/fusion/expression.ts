/**
 * What one fused kernel computes: an expression over a shape, whose nodes are loads, numbers, elementwise operations and
 * reductions, and where its values are stored. It is the attribute of the fused record (fused.ts); groups of steps become
 * one in build.ts. Leaves out how it is computed: host.ts, map-kernel.ts, reduce-kernel.ts.
 */
import type { DType } from "../dtype.ts";
import type { ElementwiseDefinition } from "../ops/elementwise.ts";
import type { Reduction } from "../ops/reduce-wgsl.ts";
import type { Shape } from "../shape.ts";

/** A value of the expression; `dtype` is what the operation alone would have stored, and it is rounded to that. */
export type Node =
  /** An element of an input, at its offset and these strides over the expression's shape. */
  | { readonly kind: "load"; readonly input: number; readonly strides: Shape; readonly dtype: DType }
  | { readonly kind: "scalar"; readonly value: number; readonly dtype: DType }
  | {
      readonly kind: "map";
      readonly definition: ElementwiseDefinition<unknown>;
      readonly attrs: unknown;
      /** Operands, by their places among the nodes; all stand before this one. */
      readonly from: readonly number[];
      readonly dtype: DType;
    }
  /** The total of a node over the reduced axes. */
  | { readonly kind: "reduce"; readonly reduction: Reduction; readonly from: number; readonly dtype: DType };

/** Which node an output holds; its strides over the expression's shape are 0 along axes on which it does not depend. */
export interface Store {
  readonly node: number;
  readonly strides: Shape;
  /** Shape and type of the output. */
  readonly shape: Shape;
  readonly dtype: DType;
}

/** One fused kernel: output k is `stores[k]`. */
export interface Expression {
  /** Every axis that any member walks, without those of size 1. */
  readonly shape: Shape;
  /** Which axes reductions total; none where there is no reduction. */
  readonly reduced: readonly boolean[];
  readonly nodes: readonly Node[];
  readonly stores: readonly Store[];
  /** Into how many parts each total is split, which a second kernel adds up; 1 for none. */
  readonly parts: number;
}

/** The axes that are not reduced, or those that are. */
export function axesWhere({ reduced }: Expression, value: boolean): number[] {
  return reduced.map((_, d) => d).filter((d) => reduced[d] === value);
}

/** Whether an expression reduces anything. */
export function reduces({ nodes }: Expression): boolean {
  return nodes.some((n) => n.kind === "reduce");
}

/** The nodes that a node is computed from. */
export function operandsOf(node: Node): readonly number[] {
  return node.kind === "map" ? node.from : node.kind === "reduce" ? [node.from] : [];
}

/**
 * When each node can be computed. `inner`: within the loop over the reduced axes, because it varies along them (without a
 * reduction everything is); `outer`: before it; `after`: it needs a total.
 */
export type Stage = "inner" | "outer" | "after";

export function stagesOf(expression: Expression): Stage[] {
  const stages: Stage[] = [];
  const inner = axesWhere(expression, true);
  const reduction = reduces(expression);
  for (const node of expression.nodes) {
    const from = operandsOf(node).map((k) => stages[k]);
    if (node.kind === "reduce" || from.includes("after")) stages.push("after");
    else if (node.kind === "load")
      stages.push(!reduction || inner.some((d) => node.strides[d] !== 0) ? "inner" : "outer");
    else stages.push(from.includes("inner") || !reduction ? "inner" : "outer");
  }
  return stages;
}

/** The nodes that `wanted` are computed from, themselves included, as flags; `stop` nodes are not followed further. */
export function needed(
  nodes: readonly Node[],
  wanted: readonly number[],
  stop: (node: Node) => boolean = () => false,
): boolean[] {
  const flags = nodes.map(() => false);
  for (const k of wanted) flags[k] = true;
  for (let k = nodes.length - 1; k >= 0; k--)
    if (flags[k] && !stop(nodes[k])) for (const o of operandsOf(nodes[k])) flags[o] = true;
  return flags;
}
