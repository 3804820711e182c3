/**
 * Shape arithmetic: strides, broadcasting (NumPy's rules), axes, and merging of dimensions so that a kernel sees the
 * fewest. Nothing here touches data.
 */
import { AxisError, ShapeError, ValueError } from "./errors.ts";

/**
 * Sizes of each axis, outermost first; `[]` is a scalar.
 * @example
 * ```ts
 * const shape: Shape = [2, 3];
 * zeros(shape).size; // → 6
 * ```
 */
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

/** `f32[2, 3]`: how messages show a tensor. */
export function formatSpec(x: { dtype: string; shape: Shape }): string {
  return x.dtype + formatShape(x.shape);
}

/** What messages call the arguments of an operation that does not name them: `x`, or `a`, `b`, `c`, …. */
export function argumentNames(count: number): readonly string[] {
  return count === 1 ? onlyName : letters.slice(0, count);
}

const onlyName = ["x"];
const letters = [..."abcdefghijklmnopqrstuvwxyz"];

/** The shape both operands broadcast to; dimensions are aligned at the right, 1 stretches. */
export function broadcastShapes(
  op: string,
  shapes: readonly Shape[],
  names: readonly string[] = argumentNames(shapes.length),
): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const shift = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const d = shape[i];
      const r = result[i + shift];
      if (d === r || d === 1) continue;
      if (r !== 1) {
        const list = shapes.map((s, k) => `${names[k]} is ${formatShape(s)}`).join(", ");
        throw new ShapeError(
          `${op}: shapes do not broadcast: ${list}; counted from the right, expected equal sizes or a 1 along axis ` +
            `${i - shape.length}, received ${r} and ${d}. ${alignment(shapes, names)}`,
        );
      }
      result[i + shift] = d;
    }
  }
  return result;
}

/**
 * The call that aligns shapes. The usual mistake is one number per row, [B], beside rows, [B, C]: NumPy's rules align
 * it with C, and a trailing 1 is missing.
 */
function alignment(shapes: readonly Shape[], names: readonly string[]): string {
  const longest = shapes.reduce((a, b) => (b.length > a.length ? b : a));
  const k = shapes.findIndex((s) => s.length === longest.length - 1 && s.every((d, i) => d === longest[i]));
  if (k >= 0) return `Add the missing last axis: unsqueeze(${names[k]}, -1).`;
  const last = names.length - 1;
  return `Put a 1 where a size should stretch, for example unsqueeze(${names[last]}, 0), or reshape(${names[last]}, shape).`;
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
  // Without types anything can stand where a tensor belongs; what it lacks first is a rank.
  if (rank === undefined)
    throw new ValueError(`${op}: x has no rank, expected a Tensor. Wrap numbers: tensor(x).`);
  if (rank === 0) {
    throw new AxisError(
      `${op}: axis ${axis} does not exist, x is a scalar (shape []). Give it one: reshape(x, [1]).`,
    );
  }
  if (!Number.isInteger(axis) || a < 0 || a >= rank) {
    const received = typeof axis === "number" ? String(axis) : JSON.stringify(axis);
    throw new AxisError(
      `${op}: axis is ${received}, expected an integer from ${-rank} to ${rank - 1} for rank ${rank}. ` +
        "Count from 0, or from the end: -1 is the last one.",
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
  const list = (Array.isArray(axes) ? axes : [axes]).map((a) => normalizeAxis(op, a, rank));
  if (new Set(list).size !== list.length) {
    const once = [...new Set(list)];
    throw new AxisError(
      `${op}: axes are ${formatShape(list)}, expected each axis once. Leave out the repeated one: axes: ${formatShape(once)}.`,
    );
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

/** The axes of a tensor of `rank` with two of them exchanged, for `permute`. */
export function exchange(rank: number, axis: number, target: number): number[] {
  return Array.from({ length: rank }, (_, i) => (i === axis ? target : i === target ? axis : i));
}
