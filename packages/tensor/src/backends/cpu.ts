/**
 * The cpu backend: runs each record's plain loops on host arrays, in f32 or f64. It is the specification that the GPU
 * is tested against, written to be read, not to be fast.
 */
import type { Program } from "../capture/program.ts";
import { allocate, type DType, type TypedArray } from "../dtype.ts";
import type { HostView, Op } from "../op.ts";
import type { Storage, Tensor } from "../tensor.ts";
import type { Backend, BackendStats, Replay } from "./backend.ts";
import { CpuReplay } from "./cpu-replay.ts";

function view(t: Tensor): HostView {
  return {
    data: t.storage.handle as TypedArray,
    shape: t.shape,
    strides: t.strides,
    offset: t.offset,
    dtype: t.dtype,
  };
}

export class CpuBackend implements Backend {
  readonly kind = "cpu";
  readonly stats: BackendStats = { pipelines: 0, dispatches: 0, submits: 0, bindGroups: 0 };
  /** 4 GiB: what every engine's typed arrays may hold. */
  readonly maxTensorBytes = 2 ** 32;
  readonly pooledBytes = 0;
  readonly arenaBytes = 0;

  supports(dtype: DType): boolean {
    return dtype !== "f16";
  }

  allocate(dtype: DType, size: number, data?: TypedArray): TypedArray {
    return data ? data.slice() : allocate(dtype, size);
  }

  holds(): boolean {
    return true;
  }

  free(_storage: Storage): void {
    // The garbage collector takes host arrays.
  }

  trim(): void {
    // Nothing is kept.
  }

  failure(): undefined {
    return undefined;
  }

  byteLength(dtype: DType, size: number): number {
    return size * (dtype === "bool" ? 1 : dtype === "f64" ? 8 : 4);
  }

  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    this.stats.dispatches++;
    op.cpu?.(inputs.map(view), outputs.map(view), attrs);
  }

  compile(program: Program): Replay {
    return new CpuReplay(program, this.stats);
  }

  zero(target: Tensor): void {
    view(target).data.fill(0);
  }

  async read(tensor: Tensor): Promise<TypedArray> {
    const { data, offset } = view(tensor);
    return data.slice(offset, offset + tensor.size);
  }

  async synchronize(): Promise<void> {
    // Every operation is done when its call returns.
  }

  destroy(): void {
    // Nothing is held.
  }
}
