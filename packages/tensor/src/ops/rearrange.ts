/**
 * Rearrangements composed of the records in movement.ts: stack, split, flip, repeat, pad. split and flip are views.
 */
import { describe, requireList, requireTensors } from "../arguments.ts";
import { full } from "../create.ts";
import { ShapeError, ValueError } from "../errors.ts";
import { requireHeld } from "../literals.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, normalizeAxes, normalizeAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { concat, requireAll } from "./concat.ts";
import { expand, reshape, slice, unsqueeze } from "./movement.ts";

/**
 * The tensors, of one shape, along a new axis (default the first).
 *
 * @throws ShapeError for an empty list or shapes that differ, AxisError for an axis outside the result's rank.
 * @example
 * ```ts
 * await stack([tensor([1, 2]), tensor([3, 4])], 1).data(); // → [1, 3, 2, 4]
 * ```
 */
export function stack(xs: readonly Tensor[], axis = 0): Tensor {
  requireAll("stack", xs);
  return scope(() =>
    concat(
      xs.map((x) => unsqueeze(x, axis)),
      axis < 0 ? axis + xs[0].rank + 1 : axis,
    ),
  );
}

/**
 * Parts of `x` along `axis` (default 0), one after another, as views: that many equal ones, or ones of the given sizes.
 * NumPy's split takes places to cut instead of sizes; PyTorch's takes the size of each part instead of their number.
 *
 * @throws ShapeError if the number of parts does not divide the axis or the sizes do not add up to it.
 * @example
 * ```ts
 * const [a, b] = split(arange(6), 2);
 * await b.data(); // → [3, 4, 5]
 * split(zeros([2, 5]), [4, 1], 1)[0]; // → f32[2, 4]
 * ```
 */
export function split(x: Tensor, parts: number | readonly number[], axis = 0): Tensor[] {
  requireTensors("split", ["x"], [x]);
  const a = normalizeAxis("split", axis, x.rank);
  const sizes = partSizes(x, parts, a);
  let end = 0;
  return sizes.map((size) => {
    const start = end;
    end += size;
    const starts = x.shape.map((_, i) => (i === a ? start : 0));
    return slice(x, starts, x.shape.with(a, end));
  });
}

function partSizes(x: Tensor, parts: number | readonly number[], axis: number): readonly number[] {
  const whole = x.shape[axis];
  const place = `of ${whole} along axis ${axis} of x ${formatSpec(x)}`;
  if (typeof parts === "number") {
    if (Number.isInteger(parts) && parts > 0 && whole % parts === 0)
      return new Array<number>(parts).fill(whole / parts);
    throw new ShapeError(
      `split: parts is ${parts}, expected a whole divisor ${place}. Name the sizes instead: split(x, [${whole}], ${axis}).`,
    );
  }
  requireList("split", "parts", parts);
  const total = parts.reduce((sum, size) => sum + size, 0);
  if (total === whole && parts.every((size) => Number.isInteger(size) && size >= 0)) return parts;
  throw new ShapeError(
    `split: parts are ${formatShape(parts)} with sum ${total}, expected sizes that add up to all ${place}. ` +
      "Add a part for what is left, or leave that out first with slice.",
  );
}

/**
 * `x` in reverse order along axes (one, a list, or all if left out), as a view.
 *
 * @throws AxisError for an axis outside the rank or named twice.
 * @example
 * ```ts
 * await flip(tensor([[1, 2], [3, 4]]), 1).data(); // → [2, 1, 4, 3]
 * ```
 */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  requireTensors("flip", ["x"], [x]);
  const turned = normalizeAxes("flip", axes, x.rank);
  const by = (forward: (d: number) => number, backward: (d: number) => number) =>
    x.shape.map((d, i) => (turned.includes(i) ? backward(d) : forward(d)));
  // Backwards from the last element to the one before the first, which is written −(d + 1).
  const starts = by(
    () => 0,
    (d) => d - 1,
  );
  const stops = by(
    (d) => d,
    (d) => -d - 1,
  );
  const steps = by(
    () => 1,
    () => -1,
  );
  return slice(x, starts, stops, steps);
}

/**
 * `x` laid out counts[d] times along each axis d, as tiles: PyTorch's repeat, NumPy's tile (not NumPy's repeat, which
 * repeats single elements). More counts than axes add leading axes.
 *
 * @throws ShapeError for fewer counts than axes, ValueError for a count that is no whole number of at least 0.
 * @example
 * ```ts
 * await repeat(tensor([1, 2]), [2]).data(); // → [1, 2, 1, 2]
 * repeat(zeros([2, 3]), [4, 1, 2]); // → f32[4, 2, 6]
 * ```
 */
export function repeat(x: Tensor, counts: readonly number[]): Tensor {
  requireTensors("repeat", ["x"], [x]);
  requireList("repeat", "counts", counts);
  if (counts.length < x.rank) {
    throw new ShapeError(
      `repeat: counts are ${formatShape(counts)}, expected at least ${x.rank} for x ${formatSpec(x)}. ` +
        `Write a 1 for each axis that stays: repeat(x, ${formatShape(x.shape.map(() => 1))}).`,
    );
  }
  counts.forEach((count, i) => {
    if (Number.isInteger(count) && count >= 0) return;
    throw new ValueError(
      `repeat: counts[${i}] is ${count}, expected a whole number of at least 0. Pass 1 to leave the axis as it is.`,
    );
  });
  const shape = [...new Array<number>(counts.length - x.rank).fill(1), ...x.shape];
  return scope(() => {
    const tiles = expand(
      reshape(
        x,
        shape.flatMap((d) => [1, d]),
      ),
      shape.flatMap((d, i) => [counts[i], d]),
    );
    return reshape(
      tiles,
      shape.map((d, i) => d * counts[i]),
    );
  });
}

/** Elements added before and after along one axis. */
export type Padding = readonly [before: number, after: number];

/**
 * `x` with `value` around it (default 0): `pads[d] = [before, after]` for each axis d (NumPy's pad). `value` may be NaN
 * or infinite.
 *
 * @throws ShapeError unless there is one pair per axis; ValueError for a pad that is no whole number of at least 0, or a
 * value that x's dtype does not hold.
 * @example
 * ```ts
 * await pad(tensor([1, 2]), [[1, 2]], 9).data(); // → [9, 1, 2, 9, 9]
 * ```
 */
export function pad(x: Tensor, pads: readonly Padding[], value = 0): Tensor {
  requireTensors("pad", ["x"], [x]);
  requirePads(x, pads);
  requireHeld("pad", x.dtype, [value], () => "value");
  return scope(() => pads.reduce((y, pair, axis) => padAxis(y, axis, pair, value), x));
}

function requirePads(x: Tensor, pads: readonly Padding[]): void {
  const pairs = Array.isArray(pads) && pads.every((pair) => Array.isArray(pair) && pair.length === 2);
  if (!pairs || pads.length !== x.rank) {
    const example = JSON.stringify(x.shape.map(() => [0, 1]));
    throw new ShapeError(
      `pad: pads is ${Array.isArray(pads) ? JSON.stringify(pads) : describe(pads)}, expected ${x.rank} pairs [before, after] for x ${formatSpec(x)}. ` +
        `Name both sides of every axis: pad(x, ${example}).`,
    );
  }
  pads.forEach((pair, axis) => {
    const wrong = pair.find((count: number) => !Number.isInteger(count) || count < 0);
    if (wrong === undefined) return;
    throw new ValueError(
      `pad: pads[${axis}] is [${pair.join(", ")}], expected whole numbers of at least 0, received ${wrong}. ` +
        "To cut elements off, use slice(x, starts, stops).",
    );
  });
}

function padAxis(x: Tensor, axis: number, [before, after]: Padding, value: number): Tensor {
  if (before + after === 0) return x;
  const side = (n: number) => full(x.shape.with(axis, n), value, { dtype: x.dtype, device: x.device });
  return concat([side(before), x, side(after)], axis);
}
