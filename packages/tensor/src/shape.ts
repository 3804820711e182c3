/**
 * Shape arithmetic: strides, broadcasting (NumPy's rules), axes, and merging of dimensions so that a kernel sees the
 * fewest. Nothing here touches data.
 */
import { AxisError, ShapeError } from "./errors.ts";

/** Sizes of each dimension, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements: the product of the dimensions, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const d of shape) size *= d;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/** True if `strides` walk `shape` in row-major order without gaps (dimensions of size 1 do not count). */
export function isContiguous(shape: Shape, strides: Shape): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i];
  }
  return true;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The shape both operands broadcast to; dimensions are aligned at the right, 1 stretches. */
export function broadcastShapes(op: string, shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const shift = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const d = shape[i];
      const r = result[i + shift];
      if (d === r || d === 1) continue;
      if (r !== 1) {
        throw new ShapeError(
          `${op}: shapes ${shapes.map(formatShape).join(" and ")} do not broadcast: dimension ${i + shift} is both ${r} ` +
            `and ${d}. Aligned at the right, each pair must be equal or contain a 1; use reshape or unsqueeze to align them.`,
        );
      }
      result[i + shift] = d;
    }
  }
  return result;
}

/** Strides that read `shape` as if it had the (broadcast) shape `target`: 0 where a dimension stretches. */
export function broadcastStrides(shape: Shape, strides: Shape, target: Shape): number[] {
  const shift = target.length - shape.length;
  return target.map((d, i) => {
    const j = i - shift;
    return j < 0 || (shape[j] === 1 && d !== 1) ? 0 : strides[j];
  });
}

/** A non-negative axis; negative ones count from the end. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (rank === 0) throw new AxisError(`${op}: a scalar has no axis ${axis}; reshape it to [1] first.`);
  if (!Number.isInteger(axis) || a < 0 || a >= rank) {
    throw new AxisError(
      `${op}: axis ${axis} is outside a tensor of rank ${rank}; pass an integer from ${-rank} to ${rank - 1}.`,
    );
  }
  return a;
}

/** Sorted non-negative axes without repeats; `undefined` means all. */
export function normalizeAxes(
  op: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === "number" ? [axes] : axes).map((a) => normalizeAxis(op, a, rank));
  if (new Set(list).size !== list.length) {
    throw new AxisError(`${op}: axes [${list.join(", ")}] name one axis twice; pass each axis once.`);
  }
  return list.sort((a, b) => a - b);
}

/**
 * Merges neighbouring dimensions that all operands walk as one, and drops those of size 1. `strides[k]` belongs to
 * operand k. Fewer dimensions mean fewer divisions per element and fewer distinct kernels.
 */
export function coalesce(shape: Shape, strides: readonly Shape[]): { shape: number[]; strides: number[][] } {
  const outShape: number[] = [];
  const outStrides: number[][] = strides.map(() => []);
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 1) continue;
    const last = outShape.length - 1;
    const joins = last >= 0 && strides.every((s, k) => outStrides[k][last] === s[i] * shape[i]);
    if (joins) {
      outShape[last] *= shape[i];
      for (let k = 0; k < strides.length; k++) outStrides[k][last] = strides[k][i];
    } else {
      outShape.push(shape[i]);
      for (let k = 0; k < strides.length; k++) outStrides[k].push(strides[k][i]);
    }
  }
  if (outShape.length === 0) {
    outShape.push(1);
    for (const s of outStrides) s.push(0);
  }
  return { shape: outShape, strides: outStrides };
}
