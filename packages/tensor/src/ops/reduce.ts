/**
 * Reductions over axes: sum, max, min, any and all are records; mean, variance and std are composed from them
 * (composed.ts). The order of additions is fixed by the shape, so results are the same bits from run to run.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { computeType, isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, normalizeAxes, type Shape, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { walk } from "../walk.ts";
import { div, mul } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { equal } from "./logic.ts";
import { expand, reshape } from "./movement.ts";
import { type Reduction, reduceCall, sumKernel } from "./reduce-wgsl.ts";

/** Axes to reduce (default all) and whether they stay as dimensions of size 1 (default no). */
export interface ReduceOptions {
  axes?: number | readonly number[];
  keepDims?: boolean;
}

/** Attributes of a reduction. */
export interface ReduceAttrs {
  /** Sorted, non-negative. */
  axes: readonly number[];
}

/** The input's shape with the reduced axes as 1; results are reshaped to drop them. */
function kept(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

/** A record of a reduction keeps its definition, so that fusion can put it behind the expression that it reduces. */
export interface ReductionOp extends Op<ReduceAttrs> {
  reduction: Reduction;
}

/** Long reductions to few results are cut into this many parts, so that more than a handful of lanes work. */
const parts = 64;

function reduction(r: Reduction, vjp?: Op<ReduceAttrs>["vjp"]): ReductionOp {
  return {
    name: r.name,
    reduction: r,
    strided: true,
    half: true,
    infer: ([x], { axes }) => {
      if ((x.dtype === "bool") !== (r.logical === true)) {
        const [expected, fix] = r.logical
          ? ["bool", "Compare first: notEqual(x, 0)"]
          : ["numbers", 'Convert it: cast(x, "i32")'];
        throw new DTypeError(`${r.name}: x is ${formatSpec(x)}, expected ${expected}. ${fix}.`);
      }
      return [{ shape: kept(x.shape, axes), dtype: x.dtype }];
    },
    cpu([x], [out]) {
      // Doubles hold the running totals, so that f32 on this device is the better-rounded reference.
      const totals = new Float64Array(out.data.length).fill(r.start);
      const ones = { ...out, data: totals, offset: 0, shape: out.shape };
      const wraps = r.wraps && !isFloat(x.dtype);
      walk(x.shape, [x, ones], (_i, [from, to]) => {
        const next = r.step(totals[to], x.data[from]);
        // Integers wrap at 32 bits before doubles lose any.
        totals[to] = wraps ? next | 0 : next;
      });
      out.data.set(totals);
    },
    webgpu([x], [out], { axes }) {
      const length = sizeOf(axes.map((a) => x.shape[a]));
      if (out.size >= 512 || length < 2048) return [reduceCall(r, x, out, axes, 1)];
      const partial = x.device.empty([parts, out.size], computeType(x.dtype));
      const calls = [reduceCall(r, x, partial, axes, parts), reduceCall(r, partial, out, [0], 1)];
      partial.dispose();
      return calls;
    },
    vjp,
  };
}

export const sumOp = reduction(sumKernel, ({ inputs: [x] }, [dy]) => [dy && expand(dy, x.shape)]);

/** dx = dy at the extreme, shared equally by elements that tie */
const shareTies: Op<ReduceAttrs>["vjp"] = ({ inputs: [x], outputs: [y], attrs: { axes } }, [dy]) => {
  if (!dy) return [null];
  const hits = cast(equal(x, y), x.dtype);
  return [mul(hits, div(dy, apply(sumOp, [hits], { axes })))];
};

/** y = max x;  dx = dy at the maximum, shared equally by elements that tie */
export const maxOp = reduction(
  {
    name: "max",
    start: Number.NEGATIVE_INFINITY,
    step: (t, x) => (x > t || Number.isNaN(x) ? x : t),
    wgslStart: "element(base)",
    wgslStep: (t, x) => `max(${t}, ${x})`,
  },
  shareTies,
);

/** y = min x;  dx = dy at the minimum, shared equally by elements that tie */
export const minOp = reduction(
  {
    name: "min",
    start: Number.POSITIVE_INFINITY,
    step: (t, x) => (x < t || Number.isNaN(x) ? x : t),
    wgslStart: "element(base)",
    wgslStep: (t, x) => `min(${t}, ${x})`,
  },
  shareTies,
);

/** y = x₁ ∨ x₂ ∨ …;  no derivative */
const anyOp = reduction({
  name: "any",
  start: 0,
  step: (t, x) => (x === 0 ? t : 1),
  wgslStart: "0",
  wgslStep: (t, x) => `select(${t}, 1u, ${x} != 0u)`,
  logical: true,
});

/** y = x₁ ∧ x₂ ∧ …;  no derivative */
const allOp = reduction({
  name: "all",
  start: 1,
  step: (t, x) => (x === 0 ? 0 : t),
  wgslStart: "1",
  wgslStep: (t, x) => `select(0u, ${t}, ${x} != 0u)`,
  logical: true,
});

function reduce(op: Op<ReduceAttrs>, x: Tensor, options: ReduceOptions): Tensor {
  requireTensors(op.name, ["x"], [x]);
  requireOptions(op.name, options, ["axes", "keepDims"]);
  const axes = normalizeAxes(op.name, options.axes, x.rank);
  return scope(() => {
    const y = apply(op, [x], { axes });
    return options.keepDims ? y : reshape(y, dropped(x.shape, axes));
  });
}

/** A reduction that has no value for no elements. */
function reduceSome(op: Op<ReduceAttrs>, x: Tensor, options: ReduceOptions): Tensor {
  requireTensors(op.name, ["x"], [x]);
  requireOptions(op.name, options, ["axes", "keepDims"]);
  const axes = normalizeAxes(op.name, options.axes, x.rank);
  if (axes.some((a) => x.shape[a] === 0)) {
    const [bound, value] = op === maxOp ? ["floor", "lowest"] : ["ceiling", "highest"];
    throw new ShapeError(
      `${op.name}: x is ${formatShape(x.shape)}, expected at least one element along axes ${formatShape(axes)}. ` +
        `Give it a ${bound}: ${op.name}(concat([x, full(shape, ${value})])).`,
    );
  }
  return reduce(op, x, options);
}

/** `shape` without the dimensions in `axes`. */
export function dropped(shape: Shape, axes: readonly number[]): Shape {
  return shape.filter((_, i) => !axes.includes(i));
}

/**
 * Sum Σ x over axes (default all). An empty sum is 0; integers wrap at 32 bits.
 *
 * @throws AxisError for an axis that `x` does not have, DTypeError for bools.
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 4]]);
 * await sum(x).item(); // → 10
 * await sum(x, { axes: 0 }).data(); // → [4, 6]
 * sum(x, { axes: -1, keepDims: true }); // → f32[2, 1]
 * ```
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(sumOp, x, options);
}

/**
 * Largest element over axes (default all); elements that tie share the gradient equally. On `cpu` the maximum of
 * anything with a NaN is NaN; on `webgpu` that is not defined.
 *
 * @throws ShapeError over an axis without elements, AxisError for an axis that `x` does not have, DTypeError for bools.
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 3]]);
 * await max(x, { axes: 1 }).data(); // → [2, 3]
 * await grad((x: Tensor) => max(x))(x).data(); // → [0, 0, 0.5, 0.5]
 * max(zeros([0, 2]), { axes: 0 }); // → throws ShapeError
 * ```
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceSome(maxOp, x, options);
}

/**
 * Smallest element over axes (default all); elements that tie share the gradient equally. On `cpu` the minimum of
 * anything with a NaN is NaN; on `webgpu` that is not defined.
 *
 * @throws ShapeError over an axis without elements, AxisError for an axis that `x` does not have, DTypeError for bools.
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 3]]);
 * await min(x, { axes: 1 }).data(); // → [1, 3]
 * await min(x).item(); // → 1
 * ```
 */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceSome(minOp, x, options);
}

/**
 * True where any of the bools over axes (default all) is true; of none it is false. No gradient.
 *
 * @throws DTypeError if `x` is no bool, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, -2], [3, 4]]);
 * await any(less(x, 0)).data(); // → [1]
 * await any(less(x, 0), { axes: 1 }).data(); // → [1, 0]
 * any(x); // → throws DTypeError
 * ```
 */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(anyOp, x, options);
}

/**
 * True where all of the bools over axes (default all) are true; of none it is true. No gradient.
 *
 * @throws DTypeError if `x` is no bool, AxisError for an axis that `x` does not have.
 * @example
 * ```ts
 * const x = tensor([[1, -2], [3, 4]]);
 * await all(greater(x, 0)).data(); // → [0]
 * await all(greater(x, 0), { axes: 1 }).data(); // → [0, 1]
 * ```
 */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(allOp, x, options);
}

/** `x` summed down to `shape`, the inverse of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const shift = x.rank - shape.length;
  const axes = x.shape
    .map((_, i) => i)
    .filter((i) => i < shift || (shape[i - shift] === 1 && x.shape[i] !== 1));
  return scope(() => reshape(axes.length > 0 ? apply(sumOp, [x], { axes }) : x, shape));
}
