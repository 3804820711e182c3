/**
 * How a record describes a WebGPU kernel. The text is written once per key; sizes and strides are run-time parameters,
 * so a new shape builds no pipeline. The generated frame (codegen.ts) declares the buffers and the parameter struct
 * `p`, and runs `main` once for each `i` from 0 to `count` − 1.
 */
import { computeType, type DType } from "../../dtype.ts";
import type { LiveScalar } from "../../live.ts";
import type { Tensor } from "../../tensor.ts";

/** WGSL types of buffer elements; a vec4 needs sizes and offsets that are multiples of 4. */
export type BufferType = "f32" | "f16" | "i32" | "u32" | "vec4<f32>" | "vec4<f16>";
/** WGSL types of a kernel's scalar parameters. */
export type ParamType = "u32" | "i32" | "f32";

/**
 * A kernel's text: what the generated frame declares, and the statements that it runs for each `i`.
 *
 * A kernel binds its buffers and one buffer of parameters; a record should stay at 8 buffers, the least that WebGPU
 * grants. Tensors whose `offset` is not 0 need it as a parameter.
 */
export interface KernelSource {
  /** Name and type of each buffer, in binding order. */
  buffers: readonly { name: string; type: BufferType; write?: boolean }[];
  /** Name and type of each scalar parameter, in order. */
  params: readonly { name: string; type: ParamType }[];
  /** True if lanes of a subgroup hand values to each other; then the count is a multiple of its size. */
  subgroups?: boolean;
  /**
   * True if the invocations of a workgroup share memory (declared in `helpers`) and wait for each other. Then the count is a
   * multiple of 64, and `main` finds its workgroup's number as `group` and its own place there as `gridLane`.
   */
  workgroup?: boolean;
  /** Functions that `main` calls. */
  helpers?: string;
  /**
   * `fn put(at: u32, value: …)`, by which `main` stores each element of the last buffer, `at` in its order, exactly once; the
   * value is of `valueType`, or four of them. Fusion puts another in its place, which goes on computing with the value.
   */
  put?: string;
  /** Statements run for each `i: u32` below the count; `p.name` are the parameters. */
  main: string;
}

/** One start of a kernel: its text by key, the tensors it binds, the numbers it gets, how often it runs. */
export interface KernelCall {
  /** Unique name of the text: operation, element types and layout class, never sizes. */
  key: string;
  source: () => KernelSource;
  buffers: readonly Tensor[];
  /** Live scalars are read anew at each start. */
  params: readonly (number | LiveScalar)[];
  /** Invocations. */
  count: number;
}

/**
 * The WGSL type in which elements of `dtype` are stored: the type itself, `u32` (0 or 1) for bool.
 *
 * @example
 * ```ts
 * [bufferType("f32"), bufferType("bool")]; // → ["f32", "u32"]
 * ```
 */
export function bufferType(dtype: DType): BufferType {
  return dtype === "bool" ? "u32" : (dtype as BufferType);
}

/** The WGSL type in which kernels compute with elements of `dtype`: f16 is widened when read, rounded when written. */
export function valueType(dtype: DType): BufferType {
  return bufferType(computeType(dtype));
}

/**
 * Shorthand for kernel parameters of type `u32`.
 *
 * @example
 * ```ts
 * u32Params("width"); // → [{ name: "width", type: "u32" }]
 * ```
 */
export function u32Params(...names: string[]): { name: string; type: "u32" }[] {
  return names.map((name) => ({ name, type: "u32" }));
}
