/**
 * Joining tensors along an axis. Copies each into its window of the result.
 */
import { describe, requireTensors } from "../arguments.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { formatSpec, normalizeAxis, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { copyInto } from "./copy.ts";
import { slice, windowOf } from "./movement.ts";

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
        copyInto(x, part);
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
