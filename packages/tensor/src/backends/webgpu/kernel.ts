/**
 * How a record describes a WebGPU kernel. The text is written once per key; sizes and strides are run-time parameters,
 * so a new shape builds no pipeline. The generated frame (codegen.ts) declares the buffers and the parameter struct
 * `p`, and runs `main` once for each `i` from 0 to `count` − 1.
 */
import type { DType } from "../../dtype.ts";
import type { Tensor } from "../../tensor.ts";

/** WGSL types of buffer elements. */
export type BufferType = "f32" | "f16" | "i32" | "u32" | "vec4<f32>" | "vec4<f16>";
/** WGSL types of parameters. */
export type ParamType = "u32" | "i32" | "f32";

/** A kernel's text. */
export interface KernelSource {
  /** Name and type of each buffer, in binding order. */
  buffers: readonly { name: string; type: BufferType; write?: boolean }[];
  /** Name and type of each scalar parameter, in order. */
  params: readonly { name: string; type: ParamType }[];
  /** Functions that `main` calls. */
  helpers?: string;
  /** Statements run for each `i: u32` below the count; `p.name` are the parameters. */
  main: string;
}

/** One start of a kernel. */
export interface KernelCall {
  /** Unique name of the text: operation, element types and layout class, never sizes. */
  key: string;
  source: () => KernelSource;
  buffers: readonly Tensor[];
  params: readonly number[];
  /** Invocations. */
  count: number;
}

/** The WGSL type in which elements of `dtype` are stored. */
export function bufferType(dtype: DType): BufferType {
  return dtype === "bool" ? "u32" : (dtype as BufferType);
}

/** Shorthand for parameters of type `u32`. */
export function u32Params(...names: string[]): { name: string; type: "u32" }[] {
  return names.map((name) => ({ name, type: "u32" }));
}
