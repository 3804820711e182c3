/**
 * Element types. `f64` exists on the `cpu` device only (WGSL has no double), `f16` only on a `webgpu` device whose
 * adapter has the feature `shader-f16`. `bool` is stored as bytes on `cpu` and as `u32` words on `webgpu`, and reads back
 * as bytes from both. The host has no 16-bit floats: an `f16` tensor is made from and read back as f32 values.
 */
import { roundToOdd } from "./half.ts";

/**
 * Names of the element types: floats `f32` (everywhere), `f64` (cpu), `f16` (webgpu with shader-f16); integers `i32`, `u32`;
 * `bool`. Indices are `i32`. There is no promotion: operands must agree, `cast` converts.
 * @example
 * ```ts
 * const dtype: DType = "i32";
 * zeros([2], { dtype }); // → i32[2]
 * ```
 */
export type DType = "f32" | "f64" | "f16" | "i32" | "u32" | "bool";

/**
 * Host arrays that hold elements: Float32Array for f32 and f16, Float64Array for f64, Int32Array, Uint32Array, Uint8Array for
 * bool.
 * @example
 * ```ts
 * const values: TypedArray = await tensor([1, 0], { dtype: "bool" }).data();
 * values; // → [1, 0]
 * ```
 */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array;

const constructors = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint8Array,
} as const;

/** Names of all element types. */
export const dtypeNames = Object.keys(constructors);

/** A zeroed host array of `size` elements of `dtype`. */
export function allocate(dtype: DType, size: number): TypedArray {
  return new constructors[dtype](size);
}

/**
 * A host array of `dtype` holding `values` converted element by element (`bool`: non-zero becomes 1). For `f16` these
 * are f32 values that the device rounds once more, to the f16 number nearest to the original.
 */
export function convert(dtype: DType, values: ArrayLike<number>): TypedArray {
  if (dtype === "bool") return Uint8Array.from(values, (v) => (v ? 1 : 0));
  if (dtype === "f16") return values instanceof Float32Array ? values : roundToOdd(values);
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
  return dtype === "f32" || dtype === "f64" || dtype === "f16";
}

/** The type in which kernels compute with elements of `dtype`: `f16` is widened to `f32`, others stay. */
export function computeType(dtype: DType): DType {
  return dtype === "f16" ? "f32" : dtype;
}
