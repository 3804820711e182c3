/** The steps that fusion understands: elementwise operations, copies, and sums and extremes of floats. */
import type { Step, Value } from "../capture/program.ts";
import { isFloat } from "../dtype.ts";
import type { Op } from "../op.ts";
import { copyIntoOp } from "../ops/copy.ts";
import type { ElementwiseDefinition, ElementwiseOp } from "../ops/elementwise.ts";
import type { ReduceAttrs, ReductionOp } from "../ops/reduce.ts";
import type { Reduction } from "../ops/reduce-wgsl.ts";
import { broadcastStrides, isContiguous, type Shape, sizeOf, stridesOf } from "../shape.ts";
import { withoutOnes } from "./axes.ts";
import { mayJoin } from "./helpers.ts";

/** A step as fusion sees it: what it walks, and how its inputs and its output lie over that, axes of size 1 left out. */
export interface Member {
  readonly step: Step;
  readonly shape: Shape;
  readonly size: number;
  readonly reads: readonly { readonly value: Value; readonly strides: Shape }[];
  readonly write: { readonly value: Value; readonly strides: Shape };
  /** What it computes; a copy if neither. */
  readonly definition?: ElementwiseDefinition<unknown>;
  readonly reduction?: Reduction;
  /** The axes that it reduces, by place in `shape`. */
  readonly reduced: readonly boolean[];
}

function isElementwise(op: Op<unknown>): op is ElementwiseOp<unknown> {
  return "definition" in op;
}

function isReduction(op: unknown): op is ReductionOp {
  return typeof op === "object" && op !== null && "reduction" in op;
}

/** The step as a member of a group; null for other kinds of steps. */
export function memberOf(step: Step): Member | null {
  const { op, inputs, outputs, attrs } = step;
  const [output] = outputs;
  if (!output || sizeOf(output.shape) === 0) return null;
  if (isReduction(op)) return reductionOf(step, op, (attrs as ReduceAttrs).axes);
  const copy = op === copyIntoOp;
  if (!copy && (!isElementwise(op) || !isContiguous(output.shape, output.strides))) return null;
  if (isElementwise(op) && !mayJoin(op.definition)) return null;
  const all = [...inputs, output];
  const { shape, strides } = withoutOnes(
    output.shape,
    ...all.map((x) => broadcastStrides(x.shape, x.strides, output.shape)),
  );
  return {
    step,
    shape,
    size: sizeOf(shape),
    reads: inputs.map((value, k) => ({ value, strides: strides[k] })),
    write: { value: output, strides: strides[inputs.length] },
    definition: isElementwise(op) ? op.definition : undefined,
    reduced: shape.map(() => false),
  };
}

function reductionOf(step: Step, { reduction }: ReductionOp, axes: readonly number[]): Member | null {
  const [x] = step.inputs;
  const [output] = step.outputs;
  if (!isFloat(x.dtype) || sizeOf(x.shape) === 0 || reduction.logical) return null;
  const dense = stridesOf(output.shape).map((s, d) => (axes.includes(d) ? 0 : s));
  const flags = x.shape.map((_, d) => (axes.includes(d) ? 1 : 0));
  const { shape, strides } = withoutOnes(x.shape, x.strides, dense, flags);
  // A sum of one element each changes nothing but the shape; the kernels have no loop for it.
  if (!strides[2].includes(1)) return null;
  return {
    step,
    shape,
    size: sizeOf(shape),
    reads: [{ value: x, strides: strides[0] }],
    write: { value: output, strides: strides[1] },
    reduction,
    reduced: strides[2].map((flag) => flag === 1),
  };
}

/** The first and the last element of its memory that a value may touch. */
export function span({ shape, strides, offset }: Value): readonly [number, number] {
  let [low, high] = [offset, offset];
  shape.forEach((n, d) => {
    const reach = (n - 1) * strides[d];
    if (reach < 0) low += reach;
    else high += reach;
  });
  return [low, high];
}

/** True if two values may share an element. */
export function overlap(a: Value, b: Value): boolean {
  if (a.memory !== b.memory) return false;
  const [[low, high], [start, end]] = [span(a), span(b)];
  return low <= end && start <= high;
}
