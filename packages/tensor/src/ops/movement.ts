/**
 * Movement: operations that rearrange elements. reshape, permute, slice and expand are views wherever strides allow
 * and then cost nothing; concat copies. What is composed of them is in rearrange.ts.
 */
import { describe, requireList, requireTensors } from "../arguments.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, type Op, unrecorded } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, normalizeAxis, type Shape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** y = x in another shape;  dx = dy in x's shape */
export const reshapeOp: Op<{ shape: Shape }> = {
  name: "reshape",
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  view: (x, { shape }) => ({ shape, strides: stridesOf(shape), offset: x.offset }),
  vjp: ({ inputs: [x] }, [dy]) => [dy && reshape(dy, x.shape)],
};

/** y = a contiguous copy of x;  dx = dy */
export const copyOp: Op<null> = {
  name: "copy",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  assemble: ([x], y) => y.device.backend.copy(x, y),
  vjp: (_c, [dy]) => [dy],
};

/** y[i_p0, i_p1, …] = x[i0, i1, …];  dx = dy with the inverse permutation */
export const permuteOp: Op<{ axes: readonly number[] }> = {
  name: "permute",
  infer: ([x], { axes }) => [{ shape: axes.map((a) => x.shape[a]), dtype: x.dtype }],
  view: (x, { axes }) => ({
    shape: axes.map((a) => x.shape[a]),
    strides: axes.map((a) => x.strides[a]),
    offset: x.offset,
  }),
  vjp: ({ attrs: { axes } }, [dy]) => [
    dy &&
      permute(
        dy,
        axes.map((_, i) => axes.indexOf(i)),
      ),
  ],
};

/** y = x stretched along dimensions of size 1;  dx = dy summed over them (by the backward pass, as for broadcasting) */
export const expandOp: Op<{ shape: Shape }> = {
  name: "expand",
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  view: (x, { shape }) => {
    const shift = shape.length - x.shape.length;
    const strides = shape.map((d, i) =>
      i < shift || (x.shape[i - shift] === 1 && d !== 1) ? 0 : x.strides[i - shift],
    );
    return { shape, strides, offset: x.offset };
  },
  vjp: (_c, [dy]) => [dy],
};

interface SliceAttrs {
  starts: readonly number[];
  steps: readonly number[];
  shape: Shape;
}

/** y[i] = x[start + i·step];  dx = dy put back at those places, 0 elsewhere */
export const sliceOp: Op<SliceAttrs> = {
  name: "slice",
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  view: (x, { starts, steps, shape }) => ({
    shape,
    strides: x.strides.map((s, i) => s * steps[i]),
    offset: x.offset + starts.reduce((sum, s, i) => sum + (shape[i] === 0 ? 0 : s * x.strides[i]), 0),
  }),
  vjp: ({ inputs: [x], attrs }, [dy]) => [dy && apply(unsliceOp, [dy], { ...attrs, full: x.shape })],
};

/** y = zeros of shape `full` with x at the sliced places;  dx = the slice of dy */
export const unsliceOp: Op<SliceAttrs & { full: Shape }> = {
  name: "unslice",
  infer: ([x], attrs) => [{ shape: attrs.full, dtype: x.dtype }],
  assemble: ([x], y, attrs) => {
    y.device.backend.zero(y);
    using part = windowOf(y, attrs);
    y.device.backend.copy(x, part);
  },
  vjp: ({ attrs }, [dy]) => [dy && apply(sliceOp, [dy], attrs)],
};

/** y = inputs one after another along `axis`;  each input's gradient is its part of dy */
export const concatOp: Op<{ axis: number }> = {
  name: "concat",
  infer: (xs, { axis }) => {
    const shape = [...xs[0].shape];
    shape[axis] = xs.reduce((sum, x) => sum + x.shape[axis], 0);
    return [{ shape, dtype: xs[0].dtype }];
  },
  assemble: (xs, y, { axis }) => {
    let start = 0;
    const steps = y.shape.map(() => 1);
    for (const x of xs) {
      if (x.size > 0) {
        using part = windowOf(y, {
          starts: y.shape.map((_, i) => (i === axis ? start : 0)),
          steps,
          shape: x.shape,
        });
        y.device.backend.copy(x, part);
      }
      start += x.shape[axis];
    }
  },
  vjp: ({ inputs, attrs: { axis } }, [dy]) => {
    let start = 0;
    return inputs.map((x) => {
      const from = start;
      start += x.shape[axis];
      if (!dy) return null;
      const starts = dy.shape.map((_, i) => (i === axis ? from : 0));
      return slice(
        dy,
        starts,
        dy.shape.map((d, i) => (i === axis ? start : d)),
      );
    });
  },
};

/** The part of `y` that starts at `starts`, in steps, with the given shape: a plain window, not recorded. */
function windowOf(y: Tensor, attrs: SliceAttrs): Tensor {
  return unrecorded(() => apply(sliceOp, [y], attrs));
}

/**
 * `x` in another shape with the same number of elements; one dimension may be −1 and is worked out. A view if `x` is
 * contiguous, otherwise a copy.
 *
 * @throws ShapeError if the sizes differ.
 * @example
 * ```ts
 * reshape(zeros([2, 6]), [3, -1]); // → f32[3, 4]
 * ```
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  requireTensors("reshape", ["x"], [x]);
  requireList("reshape", "shape", shape);
  const known = shape.filter((d) => d !== -1);
  const target =
    known.length < shape.length ? shape.map((d) => (d === -1 ? x.size / sizeOf(known) : d)) : shape;
  if (
    shape.length - known.length > 1 ||
    sizeOf(target) !== x.size ||
    target.some((d) => !Number.isInteger(d) || d < 0)
  ) {
    throw new ShapeError(
      `reshape: x is ${formatShape(x.shape)} with ${x.size} elements, shape is ${formatShape(shape)}; expected sizes whose ` +
        `product is ${x.size}, at most one of them -1. Flatten it with reshape(x, [-1]), or take part of it with slice first.`,
    );
  }
  if (x.contiguous) return apply(reshapeOp, [x], { shape: target });
  return scope(() => apply(reshapeOp, [apply(copyOp, [x], null)], { shape: target }));
}

/**
 * `x` with its axes in the given order, as a view: axis i of the result is axis axes[i] of x (NumPy's transpose).
 *
 * @throws ShapeError unless each axis is named once, AxisError for one outside the rank.
 * @example
 * ```ts
 * permute(zeros([2, 3, 5]), [2, 0, 1]); // → f32[5, 2, 3]
 * ```
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  requireTensors("permute", ["x"], [x]);
  requireList("permute", "axes", axes);
  const order = axes.map((a) => normalizeAxis("permute", a, x.rank));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ShapeError(
      `permute: axes are ${formatShape(axes)}, expected each of the ${x.rank} axes of x ${formatShape(x.shape)} once. ` +
        "To swap two axes, use transpose(x, 0, 1).",
    );
  }
  return apply(permuteOp, [x], { axes: order });
}

/**
 * `x` with two axes exchanged, as a view; default the last two.
 *
 * @example
 * ```ts
 * await transpose(tensor([[1, 2], [3, 4]])).data(); // → [1, 3, 2, 4]
 * ```
 */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  requireTensors("transpose", ["x"], [x]);
  const [i, j] = [normalizeAxis("transpose", a, x.rank), normalizeAxis("transpose", b, x.rank)];
  return permute(
    x,
    x.shape.map((_, k) => (k === i ? j : k === j ? i : k)),
  );
}

/**
 * `x` stretched to `shape` (NumPy's broadcast_to), as a view: axes of size 1 and new leading axes repeat.
 *
 * @throws ShapeError if any other size differs.
 * @example
 * ```ts
 * await expand(tensor([1, 2]), [2, 2]).data(); // → [1, 2, 1, 2]
 * ```
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  requireTensors("expand", ["x"], [x]);
  requireList("expand", "shape", shape);
  const shift = shape.length - x.rank;
  if (shift < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[i + shift])) {
    throw new ShapeError(
      `expand: x is ${formatShape(x.shape)}, shape is ${formatShape(shape)}; expected sizes that differ only where x has a 1 ` +
        "or at new leading axes. Add an axis of size 1 where it should stretch: expand(unsqueeze(x, -1), shape).",
    );
  }
  return apply(expandOp, [x], { shape });
}

/**
 * Elements starts[d], starts[d] + steps[d], … up to but without stops[d] along each dimension, as a view (NumPy's
 * x[start:stop:step]). Bounds are clipped; negative ones count from the end; steps may be negative.
 *
 * @throws ShapeError unless there is one bound (and step) per axis, ValueError for a step of 0.
 * @example
 * ```ts
 * await slice(arange(5), [1], [-1]).data(); // → [1, 2, 3]
 * await slice(arange(5), [4], [-6], [-2]).data(); // → [4, 2, 0]
 * ```
 */
export function slice(
  x: Tensor,
  starts: readonly number[],
  stops: readonly number[],
  steps?: readonly number[],
): Tensor {
  requireTensors("slice", ["x"], [x]);
  if (starts.length !== x.rank || stops.length !== x.rank || (steps && steps.length !== x.rank)) {
    const all = `[${x.shape.map(() => 0).join(", ")}], ${formatShape(x.shape)}`;
    throw new ShapeError(
      `slice: x is ${formatShape(x.shape)}, expected ${x.rank} starts, stops and steps, one for each axis; received ` +
        `${starts.length} starts, ${stops.length} stops, ${steps?.length ?? "no"} steps. All of x is slice(x, ${all}).`,
    );
  }
  const first: number[] = [];
  const shape: number[] = [];
  const stride = x.shape.map((_, d) => steps?.[d] ?? 1);
  x.shape.forEach((size, d) => {
    const step = stride[d];
    if (!Number.isInteger(step) || step === 0)
      throw new ValueError(
        `slice: steps[${d}] is ${step}, expected a whole number other than 0. Pass 1 for every element, -1 to go backwards.`,
      );
    const low = step > 0 ? 0 : -1;
    const high = step > 0 ? size : size - 1;
    const clip = (v: number) => Math.min(Math.max(v < 0 ? v + size : v, low), high);
    // NOTE: a stop before the first element can only be written as −(size + 1), because −1 means the last one.
    const [from, to] = [clip(starts[d]), clip(stops[d])];
    first.push(from);
    shape.push(Math.max(0, Math.ceil((to - from) / step)));
  });
  return apply(sliceOp, [x], { starts: first, steps: stride, shape });
}

/**
 * `x` without the dimension of size 1 at `axis`.
 *
 * @throws ShapeError if its size is not 1, AxisError for an axis outside the rank.
 * @example
 * ```ts
 * squeeze(zeros([2, 1, 3]), 1); // → f32[2, 3]
 * ```
 */
export function squeeze(x: Tensor, axis: number): Tensor {
  requireTensors("squeeze", ["x"], [x]);
  const a = normalizeAxis("squeeze", axis, x.rank);
  if (x.shape[a] !== 1)
    throw new ShapeError(
      `squeeze: x is ${formatShape(x.shape)}, expected size 1 along axis ${a}, received ${x.shape[a]}. Reduce it: sum(x, { axes: ${a} }), or take one entry with slice.`,
    );
  return reshape(
    x,
    x.shape.filter((_, i) => i !== a),
  );
}

/**
 * `x` with a new dimension of size 1 at `axis` of the result; −1 puts it last.
 *
 * @throws AxisError for an axis outside the result's rank.
 * @example
 * ```ts
 * unsqueeze(zeros([2, 3]), -1); // → f32[2, 3, 1]
 * ```
 */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  requireTensors("unsqueeze", ["x"], [x]);
  const a = normalizeAxis("unsqueeze", axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, a), 1, ...x.shape.slice(a)]);
}

/**
 * The tensors one after another along `axis` (default 0).
 *
 * @throws ShapeError for an empty list or sizes that differ along another axis; DTypeError for several dtypes.
 * @example
 * ```ts
 * await concat([tensor([1, 2]), tensor([3])]).data(); // → [1, 2, 3]
 * ```
 */
export function concat(xs: readonly Tensor[], axis = 0): Tensor {
  requireAll("concat", xs);
  const a = normalizeAxis("concat", axis, xs[0].rank);
  for (const [i, x] of xs.entries()) {
    if (x.dtype !== xs[0].dtype) {
      throw new DTypeError(
        `concat: xs[0] is ${formatSpec(xs[0])}, xs[${i}] is ${formatSpec(x)}; expected one dtype. Convert it: cast(xs[${i}], "${xs[0].dtype}").`,
      );
    }
    if (x.rank !== xs[0].rank || x.shape.some((d, j) => j !== a && d !== xs[0].shape[j])) {
      throw new ShapeError(
        `concat: xs[0] is ${formatSpec(xs[0])}, xs[${i}] is ${formatSpec(x)}; expected equal sizes except along axis ${a}. ` +
          `Name the axis where they differ: concat(xs, ${differing(xs[0].shape, x.shape)}).`,
      );
    }
  }
  return apply(concatOp, xs, { axis: a });
}

/** Checks a list of tensors. */
export function requireAll(op: string, xs: readonly Tensor[]): void {
  if (!Array.isArray(xs) || xs.length === 0) {
    const received = Array.isArray(xs) ? "an empty array" : describe(xs);
    throw new ShapeError(
      `${op}: xs is ${received}, expected an array of at least one tensor. Put them in brackets: ${op}([a, b]).`,
    );
  }
  requireTensors(
    op,
    xs.map((_, i) => `xs[${i}]`),
    xs,
  );
}

/** The first axis along which shapes differ. */
function differing(a: Shape, b: Shape): number {
  const axis = a.findIndex((d, i) => d !== b[i]);
  return Math.max(axis, 0);
}
