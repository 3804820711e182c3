/**
 * Movement: operations that rearrange elements. reshape, permute, slice and expand are views wherever strides allow
 * and then cost nothing. Joining is in concat.ts, what is composed of both in rearrange.ts.
 */
import { requireList, requireTensors } from "../arguments.ts";
import { ShapeError, ValueError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { unrecorded } from "../recording.ts";
import { scope } from "../scope.ts";
import { exchange, formatShape, normalizeAxis, type Shape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { copyInto } from "./copy.ts";

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
  assemble: ([x], y) => copyInto(x, y),
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
    y.device.runner.zero(y);
    using part = windowOf(y, attrs);
    copyInto(x, part);
  },
  vjp: ({ attrs }, [dy]) => [dy && apply(sliceOp, [dy], attrs)],
};

/** The part of `y` that starts at `starts`, in steps, with the given shape: a plain window, not recorded. */
export function windowOf(y: Tensor, attrs: SliceAttrs): Tensor {
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
  return permute(x, exchange(x.rank, i, j));
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
 * x[start:stop:step]). Bounds are clipped, so Infinity means as far as there are elements; negative ones count from the end;
 * steps may be negative.
 *
 * @throws ShapeError unless there is one bound (and step) per axis, ValueError for a bound that is no whole number or a
 * step of 0.
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
  requireList("slice", "starts", starts);
  requireList("slice", "stops", stops, "x, starts, ");
  if (steps !== undefined) requireList("slice", "steps", steps, "x, starts, stops, ");
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
    requireBound("starts", d, starts[d]);
    requireBound("stops", d, stops[d]);
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

/** Bounds are whole, or infinite for as far as there are elements. */
function requireBound(name: string, axis: number, bound: number): void {
  if (Number.isInteger(bound) || Math.abs(bound) === Infinity) return;
  throw new ValueError(
    `slice: ${name}[${axis}] is ${bound}, expected a whole number or ±Infinity. Round it: Math.floor(${name}[${axis}]).`,
  );
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
