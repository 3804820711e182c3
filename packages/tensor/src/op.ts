/**
 * One operation, one record: its shape rule, the plain-loop reference that is its specification, its WebGPU kernel,
 * and its derivative. `apply` runs a record on the device of its inputs and tells the recording gradients (autodiff).
 */
import { requireTensors } from "./arguments.ts";
import type { KernelCall } from "./backends/webgpu/kernel.ts";
import { computeType, type DType, isFloat, type TypedArray } from "./dtype.ts";
import { cast } from "./ops/cast.ts";
import { run } from "./run.ts";
import { scope } from "./scope.ts";
import { argumentNames, type Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Shape and element type of an input or output. */
export interface Spec {
  shape: Shape;
  dtype: DType;
}

/** A tensor as the CPU reference sees it: element (i, j, …) is `data[offset + i·strides[0] + j·strides[1] + …]`. */
export interface HostView extends Spec {
  /** The whole storage, which other tensors may share: write to outputs only. */
  data: TypedArray;
  /** Steps in elements; row-major without gaps in outputs, and in inputs unless the record is `strided`. */
  strides: Shape;
  /** Place of the first element. */
  offset: number;
}

/** What a derivative may use: `inputs` and `outputs` as in the call (any layout), and its attributes. */
export interface VjpContext<A> {
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  attrs: A;
  /** Which inputs need a gradient; skip work for the others. */
  needs: readonly boolean[];
}

/** A gradient per input, of its dtype and of its shape or one it broadcasts to; null where there is none. */
export type Gradients = readonly (Tensor | null)[];

/**
 * One operation. `A` is the type of its attributes: whatever else a call needs beside tensors (axes, a width), or `null`.
 * Run a record with `apply`; `elementwise` makes one from a scalar function. Give `cpu` and `webgpu`, or `view`, or
 * `assemble`. Records need no registration: an operation defined outside this package is like those inside
 * (examples/002-custom-op.ts).
 */
export interface Op<A> {
  /** Unique name, also the kernel's name. */
  name: string;
  /** Names of the inputs in error messages; default `x` for one, `a`, `b`, … for more. */
  arguments?: readonly string[];
  /** Shape rule: throws a typed error for inputs that do not fit. */
  infer(inputs: readonly Spec[], attrs: A): Spec[];
  /** True if `cpu` and `webgpu` read inputs through their strides; otherwise inputs arrive contiguous. */
  strided?: boolean;
  /** True if `webgpu` takes and gives f16 itself. Otherwise it is given f16 inputs as f32, and its outputs are rounded. */
  half?: boolean;
  /** Plain loops. Outputs are contiguous and zeroed. Absent for views. */
  cpu?(inputs: readonly HostView[], outputs: readonly HostView[], attrs: A): void;
  /** The kernel calls that compute the outputs. Outputs are contiguous, their contents undefined. */
  webgpu?(inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): readonly KernelCall[];
  /** Instead of a kernel: fills the output by copying inputs (read through their strides) into windows of it. */
  assemble?(inputs: readonly Tensor[], output: Tensor, attrs: A): void;
  /** Instead of computing: a window onto the first input's storage. */
  view?(input: Tensor, attrs: A): { shape: Shape; strides: Shape; offset: number };
  /** Gradients of the inputs from those of the outputs, written with operations so that it can be differentiated again. */
  vjp?(context: VjpContext<A>, dys: readonly (Tensor | null)[]): Gradients;
}

/**
 * Runs a record that has no kernels for f16: inputs are widened to f32, outputs that should be f16 rounded once at the
 * end. The casts are recorded like any operation, so the derivative and what it keeps are f32 too.
 */
function widened<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const specs = op.infer(inputs, attrs);
  return scope(() => {
    const wide = inputs.map((x) => cast(x, computeType(x.dtype)));
    return applyAll(op, wide, attrs).map((y, k) => cast(y, specs[k].dtype));
  });
}

/**
 * Runs an operation with several outputs on the device of its inputs, and returns them all. Gradients see it: `vjp` gets
 * one upstream gradient per output, null for those that the differentiated value does not depend on.
 *
 * @throws DeviceError if the inputs are on several devices, DisposedError for a disposed one, and what `op.infer` throws.
 * @example
 * ```ts
 * const minMax: Op<null> = {
 *   name: "minMax", // of all elements
 *   infer: ([x]) => [{ shape: [], dtype: x.dtype }, { shape: [], dtype: x.dtype }],
 *   cpu([x], [low, high]) {
 *     const values = x.data.slice(x.offset, x.offset + x.shape.reduce((a, b) => a * b, 1));
 *     low.data[0] = Math.min(...values);
 *     high.data[0] = Math.max(...values);
 *   },
 * };
 * const [low, high] = applyAll(minMax, [tensor([3, 1, 2])], null);
 * [await low.item(), await high.item()]; // → [1, 3]
 * ```
 */
export function applyAll<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const device = requireTensors(op.name, op.arguments ?? argumentNames(inputs.length), inputs);
  // Views and assembled outputs only move elements: any dtype.
  const native = op.half || op.view || op.assemble;
  if (!native && inputs.some((x) => x.dtype === "f16")) return widened(op, inputs, attrs);
  return run(device, op, inputs, attrs);
}

/**
 * Runs an operation with one output on the device of its inputs. Gradients see it.
 *
 * @throws DeviceError if the inputs are on several devices, DisposedError for a disposed one, and what `op.infer` throws.
 * @example
 * ```ts
 * // y = 2x;  dx = 2·dy
 * const twice: Op<null> = {
 *   name: "twice",
 *   infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
 *   cpu: ([x], [y]) => {
 *     for (let i = 0; i < y.data.length; i++) y.data[i] = 2 * x.data[x.offset + i];
 *   },
 *   vjp: (_context, [dy]) => [dy && mul(dy, 2)],
 * };
 * await apply(twice, [tensor([1, 2])], null).data(); // → [2, 4]
 * await grad((x: Tensor) => sum(apply(twice, [x], null)))(tensor([1, 2])).data(); // → [2, 2]
 * ```
 */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  return applyAll(op, inputs, attrs)[0];
}

/** True if a gradient can flow through `t`. */
export function differentiable(t: Tensor): boolean {
  return isFloat(t.dtype);
}
