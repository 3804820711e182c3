/**
 * A residual sum and the norm of it as one step: x = a + b (+ c), y = Norm(x), both stored, as between the branches of a
 * decoder. The norm's kernel adds while it reads (ops/norm-wgsl.ts). And the way back: the gradient through the norm and the
 * one past it, added up by the norm's kernel. Leaves out sums that are computed with anything else.
 */
import { isWhole, type Memory, type Step, stepOf, type Value } from "../capture/program.ts";
import type { HostView, Op } from "../op.ts";
import { addOp } from "../ops/arithmetic.ts";
import { hostNorm, normBackwardOp, normOp } from "../ops/norm.ts";
import { type NormAttrs, residualNormCall } from "../ops/norm-wgsl.ts";
import { coalesce, isContiguous, sizeOf } from "../shape.ts";
import type { Expression, Node } from "./expression.ts";

/** The first `terms` inputs are added in order; after them come the norm's weight and bias. */
interface ResidualNorm extends NormAttrs {
  readonly terms: number;
}

const residualNormOp: Op<ResidualNorm> = {
  name: "residualNorm",
  strided: true,
  infer: ([{ shape, dtype }]) => [
    { shape, dtype },
    { shape, dtype },
  ],
  cpu(inputs, [x, y], attrs) {
    const [first, ...others] = inputs.slice(0, attrs.terms);
    const { shape } = first;
    const at = ({ data, offset, strides }: HostView, i: number) =>
      data[offset + Math.floor(i / shape[1]) * strides[0] + (i % shape[1])];
    for (let i = 0; i < shape[0] * shape[1]; i++) {
      x.data[i] = at(first, i);
      for (const term of others) x.data[i] += at(term, i);
    }
    hostNorm([x, ...inputs.slice(attrs.terms)], y, attrs);
  },
  webgpu(inputs, [x, y], attrs) {
    const terms = inputs.slice(0, attrs.terms).map((t) => ({ x: t, step: t.strides[0] }));
    const [w, b] = inputs.slice(attrs.terms);
    return [residualNormCall(terms, w, b, x, y, attrs)];
  },
};

/** The loads that `nodes` add up, in an order that gives the same bits; null unless they are two or three. */
function termsOf(nodes: readonly Node[], sum: number): number[] | null {
  const node = nodes[sum];
  if (node.kind !== "map" || node.definition !== addOp.definition) return null;
  const loads = node.from.filter((k) => nodes[k].kind === "load");
  if (loads.length === 2) return loads;
  const inner = termsOf(nodes, node.from[0] === loads[0] ? node.from[1] : node.from[0]);
  return loads.length === 1 && inner?.length === 2 ? [...inner, ...loads] : null;
}

/** `value` as rows of n elements, read through `strides` over `shape`; null where they do not lie so. */
function rowsOf(value: Value, shape: readonly number[], strides: readonly number[], n: number): Value | null {
  const merged = coalesce(shape, [strides]);
  const rows = shape.reduce((a, b) => a * b, 1) / n;
  const [step, last] = merged.strides[0].length === 1 ? [n, merged.strides[0][0]] : merged.strides[0];
  if (last !== 1 || merged.shape.length > 2) return null;
  if (merged.shape.length === 2 && merged.shape[1] !== n) return null;
  return { ...value, shape: [rows, n], strides: [step, 1] };
}

/** True for the steps that `withResidual` may join to a sum. */
export function isNorm({ op }: Step): boolean {
  return (op as unknown) === normOp;
}

/** `sum`, a fused step, and `norm`, which reads what it stores, as one; null where they can not be. */
export function withResidual(sum: Step, norm: Step, memories: readonly Memory[]): Step | null {
  const [x, ...weights] = norm.inputs;
  const [y] = norm.outputs;
  const { shape, nodes, stores } = sum.attrs as Expression;
  if (!isNorm(norm) || stores.length !== 1 || sum.outputs[0].memory !== x.memory) return null;
  if (![x, y].every((v) => isWhole(v, memories[v.memory])) || !isWhole(sum.outputs[0], memories[x.memory]))
    return null;
  const order = termsOf(nodes, stores[0].node);
  // Half precision is rounded between the additions; its norms are computed in f32 anyway.
  if (order?.length !== nodes.filter((k) => k.kind === "load").length) return null;
  if (nodes.some(({ dtype }) => dtype !== x.dtype)) return null;
  const terms = order.map((k) => {
    const node = nodes[k];
    return node.kind === "load"
      ? rowsOf(sum.inputs[node.input], shape, node.strides, weights[0].shape[0])
      : null;
  });
  const inputs = [...terms, ...weights].flatMap((v) => v ?? []);
  if (inputs.length < terms.length + weights.length) return null;
  if (inputs.some(({ memory }) => memory === x.memory || memory === y.memory)) return null;
  return stepOf(residualNormOp, inputs, [x, y], { ...(norm.attrs as NormAttrs), terms: terms.length });
}

/** True for the steps that `withPast` may join to a sum. */
export function isNormBackward({ op, inputs }: Step): boolean {
  return (op as unknown) === normBackwardOp && inputs.length === 3;
}

/** The gradient of a norm and `sum`, the only step that reads its first output, as one; null where they can not be. */
export function withPast(backward: Step, sum: Step, memories: readonly Memory[]): Step | null {
  const [dx, dwRows] = backward.outputs;
  const [z] = sum.outputs;
  if ((sum.op as unknown) !== addOp || !isWhole(z, memories[z.memory])) return null;
  // What else reads dx is counted by the caller, but a result of the capture is read outside.
  if (memories[dx.memory].kind !== "temporary") return null;
  const others = sum.inputs.filter(({ memory }) => memory !== dx.memory);
  const through = sum.inputs.find(({ memory }) => memory === dx.memory);
  const [past] = others;
  if (!through || others.length !== 1 || !isWhole(through, memories[dx.memory])) return null;
  const size = sizeOf(dx.shape);
  if ([past, z].some(({ shape, dtype }) => sizeOf(shape) !== size || dtype !== dx.dtype)) return null;
  if (!isContiguous(past.shape, past.strides)) return null;
  if ([...backward.inputs, past].some(({ memory }) => memory === z.memory)) return null;
  return stepOf(normBackwardOp, [...backward.inputs, past], [z, dwRows], backward.attrs as NormAttrs);
}
