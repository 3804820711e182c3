/**
 * Element types. `f64` exists on the `cpu` device only (WGSL has no double); `bool` is stored as bytes on `cpu` and
 * as `u32` words on `webgpu`, and reads back as bytes from both.
 */

/** Names of the element types. */
export type DType = "f32" | "f64" | "i32" | "u32" | "bool";

/** Host arrays that hold elements. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array;

const constructors = {
  f32: Float32Array,
  f64: Float64Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint8Array,
} as const;

/** A zeroed host array of `size` elements of `dtype`. */
export function allocate(dtype: DType, size: number): TypedArray {
  return new constructors[dtype](size);
}

/** A host array of `dtype` holding `values` converted element by element (`bool`: non-zero becomes 1). */
export function convert(dtype: DType, values: ArrayLike<number>): TypedArray {
  if (dtype === "bool") return Uint8Array.from(values, (v) => (v ? 1 : 0));
  return constructors[dtype].from(values);
}

/** The element type a host array holds when none is named: `f64` needs asking for, plain numbers are `f32`. */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Float32Array) return "f32";
  if (array instanceof Float64Array) return "f64";
  if (array instanceof Int32Array) return "i32";
  if (array instanceof Uint32Array) return "u32";
  return "bool";
}

/** True for types that carry gradients. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f64";
}
