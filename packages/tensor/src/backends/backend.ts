/**
 * What a device must be able to do. Two backends implement it: `cpu` (plain loops, the specification) and `webgpu`.
 */
import type { Program } from "../capture/program.ts";
import type { Device } from "../device.ts";
import type { DType, TypedArray } from "../dtype.ts";
import type { PactError } from "../errors.ts";
import type { Op } from "../op.ts";
import type { Storage, Tensor } from "../tensor.ts";

/** Counters of work done, for benchmarks and for the tests that forbid recompiling. */
export interface BackendStats {
  /** Compute pipelines built since start. */
  pipelines: number;
  /** Kernels started. */
  dispatches: number;
  /** Command buffers handed to the device. */
  submits: number;
  /** Bind groups made (cached ones are not made again). */
  bindGroups: number;
}

/** What runs operations. */
export interface Runner {
  /** Runs an operation; inputs and outputs are on this device. */
  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void;
  /** Sets every element of a contiguous tensor that owns its storage to 0. */
  zero(target: Tensor): void;
}

export interface Backend extends Runner {
  readonly kind: "cpu" | "webgpu";
  readonly stats: BackendStats;
  /** True if elements of `dtype` can be stored. */
  supports(dtype: DType): boolean;
  /** Memory for `size` elements; the contents are undefined unless `data` is given. */
  allocate(dtype: DType, size: number, data?: TypedArray): TypedArray | GPUBuffer;
  /** False if what a tensor held is lost: the GPU had no memory for it. */
  holds(storage: Storage): boolean;
  free(storage: Storage): void;
  /** The most bytes that one tensor can have. */
  readonly maxTensorBytes: number;
  /** Bytes of freed buffers kept for the next tensors. */
  readonly pooledBytes: number;
  /** Bytes held for the temporaries of captured functions. */
  readonly arenaBytes: number;
  /** Gives the kept buffers back. */
  trim(): void;
  /** Why nothing can run any more, said of `where`; undefined while all is well. */
  failure(where: string): PactError | undefined;
  /** Bytes that `size` elements take on this device. */
  byteLength(dtype: DType, size: number): number;
  /** The elements of a contiguous tensor. */
  read(tensor: Tensor): Promise<TypedArray>;
  /** Waits until all work handed over so far is done. */
  synchronize(): Promise<void>;
  destroy(): void;
  /** Makes a recording ready to run again and again. Absent where nothing is computed (planning.ts). */
  compile?(program: Program, device: Device): Replay;
}

/** Where memories of a recording lie: one handle for each that is no temporary. */
export type Bindings = readonly (TypedArray | GPUBuffer | undefined)[];

/** A recording as a backend runs it. */
export interface Replay {
  /** Runs it; `bindings` hold inputs, constants and new results. */
  run(bindings: Bindings): void;
}
