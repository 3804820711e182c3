/**
 * What the operations of indexing.ts and one-hot.ts ask of an index.
 */
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import type { HostView, Spec } from "../op.ts";
import { formatShape, formatSpec, normalizeAxis, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Checks an index into an axis of `size`; `argument` is the parameter's name. */
export function checkIndex(name: string, index: Spec, size: number, argument = "index"): void {
  if (index.dtype !== "i32")
    throw new DTypeError(
      `${name}: ${argument} is ${formatSpec(index)}, expected i32. Convert it: cast(${argument}, "i32").`,
    );
  if (size === 0 && sizeOf(index.shape) > 0)
    throw new ValueError(
      `${name}: ${argument} is ${formatSpec(index)} into an axis of size 0, expected an empty index. There is nothing to take: zeros(shape).`,
    );
}

/** Sums need numbers of one type. */
export function checkSummed(name: string, x: Spec, source: Spec): void {
  if (x.dtype === "bool" || source.dtype !== x.dtype) {
    throw new DTypeError(
      `${name}: x is ${formatSpec(x)}, source is ${formatSpec(source)}; expected numbers of one dtype. ` +
        `Convert: cast(source, "${x.dtype === "bool" ? "i32" : x.dtype}").`,
    );
  }
}

/** Reads index `i`; the reference rejects what the host can not know of an index on a GPU. */
export function indexAt(name: string, index: HostView, i: number, size: number): number {
  const v = index.data[index.offset + i];
  if (v < 0 || v >= size)
    throw new ValueError(
      `${name}: index holds ${v} at position ${i}, expected 0 … ${size - 1} for an axis of size ${size}. ` +
        (v < 0
          ? `Count from 0, or add the size: add(index, ${size}).`
          : `Bound it: minimum(index, ${size - 1}).`),
    );
  return v;
}

/** The axis, for an index that matches x in every other dimension. */
export function checkAlong(name: string, x: Tensor, axis: number, index: Tensor): number {
  const a = normalizeAxis(name, axis, x.rank);
  if (index.rank !== x.rank || index.shape.some((d, i) => i !== a && d !== x.shape[i])) {
    throw new ShapeError(
      `${name}: x is ${formatShape(x.shape)}, index is ${formatShape(index.shape)}; expected equal sizes except along axis ${a}. ` +
        `For one index per slice of x use take(x, index, ${a}); to align axes, unsqueeze(index, ${a}).`,
    );
  }
  return a;
}
