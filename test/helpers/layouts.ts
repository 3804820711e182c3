/**
 * The same values in different memory layouts: what a tensor holds must not depend on how its storage is walked. A
 * tensor placed as `permuted`, `sliced` or `reversed` is a view with odd strides, an offset, or negative steps;
 * `expanded` repeats elements with stride 0.
 */
import { type Device, type DType, expand, permute, slice, type Tensor, tensor } from "@pact/tensor";

export const layouts = ["plain", "permuted", "sliced", "reversed", "expanded"] as const;
export type Layout = (typeof layouts)[number];

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Moves values: the result at `to(index)` in a tensor of `target` shape is the value at `index` in `shape`. */
function rearrange(
  values: Float64Array,
  shape: readonly number[],
  target: readonly number[],
  to: (index: number[]) => number[],
  fill = 0,
): Float64Array {
  const result = new Float64Array(sizeOf(target)).fill(fill);
  values.forEach((value, flat) => {
    const index: number[] = [];
    let rest = flat;
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d] = rest % shape[d];
      rest = Math.floor(rest / shape[d]);
    }
    result[to(index).reduce((at, i, d) => at * target[d] + i, 0)] = value;
  });
  return result;
}

/** The axis that an expanded layout repeats: the first longer than 1, or none. */
const repeated = (shape: readonly number[]) => shape.findIndex((d) => d > 1);

/** The values that a tensor of this layout can hold: `expanded` repeats index 0 of one axis. */
export function holdable(values: Float64Array, shape: readonly number[], layout: Layout): Float64Array {
  const axis = layout === "expanded" ? repeated(shape) : -1;
  if (axis < 0) return values;
  const inner = sizeOf(shape.slice(axis + 1));
  const block = inner * shape[axis];
  return values.map((_, i) => values[Math.floor(i / block) * block + (i % inner)]);
}

/** A tensor of `shape` holding `values` (from `holdable`), stored in the given layout. */
export function place(
  values: Float64Array,
  shape: readonly number[],
  layout: Layout,
  options: { device: Device; dtype: DType },
): Tensor {
  const rank = shape.length;
  const all = shape.map((_, d) => d);
  if (rank === 0 || layout === "plain" || values.length === 0) return tensor(values, { shape, ...options });
  if (layout === "permuted") {
    const turned = [...shape].reverse();
    const data = rearrange(values, shape, turned, (index) => [...index].reverse());
    return permute(tensor(data, { shape: turned, ...options }), [...all].reverse());
  }
  if (layout === "sliced") {
    const wide = shape.map((d) => 2 * d + 1);
    // The elements that the view skips hold 9999, so that reading one shows.
    const data = rearrange(values, shape, wide, (index) => index.map((i) => 2 * i + 1), 9999);
    const [starts, steps] = [all.map(() => 1), all.map(() => 2)];
    return slice(tensor(data, { shape: wide, ...options }), starts, wide, steps);
  }
  if (layout === "reversed") {
    const data = rearrange(values, shape, shape, (index) => index.map((i, d) => shape[d] - 1 - i));
    const [starts, stops] = [shape.map((d) => d - 1), shape.map((d) => -d - 1)];
    return slice(
      tensor(data, { shape, ...options }),
      starts,
      stops,
      all.map(() => -1),
    );
  }
  const axis = repeated(shape);
  if (axis < 0) return tensor(values, { shape, ...options });
  const thin = shape.map((d, i) => (i === axis ? 1 : d));
  const data = new Float64Array(sizeOf(thin));
  const inner = sizeOf(shape.slice(axis + 1));
  data.forEach((_, i) => {
    data[i] = values[Math.floor(i / inner) * inner * shape[axis] + (i % inner)];
  });
  return expand(tensor(data, { shape: thin, ...options }), shape);
}
