/**
 * The webgpu backend: allocates pooled buffers, turns records into kernel starts, and reads results back. Errors that
 * the device reports later (validation, memory, loss) surface at the next read or synchronisation.
 */

import { allocate, type DType, type TypedArray } from "../../dtype.ts";
import { DeviceError, OutOfMemoryError } from "../../errors.ts";
import { narrowF16, widenF16 } from "../../half.ts";
import type { Op } from "../../op.ts";
import { coordinates } from "../../ops/elementwise.ts";
import { coalesce } from "../../shape.ts";
import type { Storage, Tensor } from "../../tensor.ts";
import type { Backend, BackendStats } from "../backend.ts";
import { sizeClass } from "./buffers.ts";
import { BufferUsage, MapMode } from "./flags.ts";
import { bufferType, type KernelCall, u32Params } from "./kernel.ts";
import { CommandQueue } from "./queue.ts";

export class WebGpuBackend implements Backend {
  readonly kind = "webgpu";
  readonly stats: BackendStats = { pipelines: 0, dispatches: 0, submits: 0, bindGroups: 0 };
  private readonly device: GPUDevice;
  private readonly queue: CommandQueue;
  private failure: DeviceError | OutOfMemoryError | undefined;

  constructor(device: GPUDevice) {
    this.device = device;
    this.queue = new CommandQueue(device, this.stats);
    device.addEventListener("uncapturederror", (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.failure ??= isOutOfMemory(error)
        ? new OutOfMemoryError(
            `The GPU is out of memory: ${error.message}. Use smaller batches, or dispose tensors earlier.`,
          )
        : new DeviceError(
            `The GPU rejected a command: ${error.message}. This is a bug in a kernel; please report it.`,
          );
    });
    void device.lost.then((info) => {
      if (info.reason === "destroyed") return;
      this.failure ??= new DeviceError(
        `The GPU device was lost: ${info.message}. Call init() for a new device and load the last checkpoint.`,
      );
    });
  }

  supports(dtype: DType): boolean {
    if (dtype === "f16") return this.device.features.has("shader-f16");
    return dtype !== "f64";
  }

  byteLength(dtype: DType, size: number): number {
    return size * bytesPerElement(dtype);
  }

  allocate(dtype: DType, size: number, data?: TypedArray): GPUBuffer {
    const bytes = Math.max(4, wholeWords(this.byteLength(dtype, size)));
    if (!data) return this.queue.pool.acquire(bytes).buffer;
    const { buffer } = this.queue.acquireForWrite(bytes);
    const words = deviceWords(dtype, data);
    if (size > 0) this.device.queue.writeBuffer(buffer, 0, words.buffer, words.byteOffset, words.byteLength);
    return buffer;
  }

  free(storage: Storage): void {
    this.queue.pool.release(storage.handle as GPUBuffer);
  }

  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    if (!op.webgpu)
      throw new DeviceError(`${op.name} has no WebGPU kernel. Use the cpu device: init({ device: "cpu" }).`);
    for (const call of op.webgpu(inputs, outputs, attrs)) this.queue.dispatch(call);
  }

  copy(source: Tensor, target: Tensor): void {
    this.queue.dispatch(copyCall(source, target));
  }

  zero(target: Tensor): void {
    this.queue.clear(target.storage.handle as GPUBuffer);
  }

  async read(tensor: Tensor): Promise<TypedArray> {
    this.throwFailure();
    const { size, dtype } = tensor;
    if (size === 0) return allocate(dtype, 0);
    // Copies start and end on whole words; an f16 tensor may begin or end in the middle of one.
    const begin = tensor.offset * bytesPerElement(dtype);
    const start = begin - (begin % 4);
    const bytes = wholeWords(begin + this.byteLength(dtype, size)) - start;
    const usage = BufferUsage.MAP_READ | BufferUsage.COPY_DST;
    const mappable = this.device.createBuffer({ size: sizeClass(bytes), usage });
    try {
      this.queue.copyOut(tensor.storage.handle as GPUBuffer, start, mappable, bytes);
      await this.guard(mappable.mapAsync(MapMode.READ, 0, bytes));
      const copy = mappable.getMappedRange(0, bytes).slice(0);
      this.throwFailure();
      if (dtype === "bool") return Uint8Array.from(new Uint32Array(copy));
      if (dtype === "f16") return widenF16(new Uint16Array(copy, begin - start, size));
      return dtype === "i32"
        ? new Int32Array(copy)
        : dtype === "u32"
          ? new Uint32Array(copy)
          : new Float32Array(copy);
    } finally {
      mappable.destroy();
    }
  }

  async synchronize(): Promise<void> {
    this.queue.flush();
    await this.guard(this.device.queue.onSubmittedWorkDone());
    this.throwFailure();
  }

  destroy(): void {
    this.device.destroy();
  }

  /** Waits for the device; if it is lost meanwhile, throws that instead of the rejected wait. */
  private async guard(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      await Promise.resolve();
      this.throwFailure();
      throw new DeviceError(
        `Reading from the GPU failed: ${String((error as Error).message)}. Call init() for a new device.`,
        { cause: error },
      );
    }
  }

  private throwFailure(): void {
    if (this.failure) throw this.failure;
  }
}

function bytesPerElement(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

/** Bytes rounded up to whole 32-bit words, the unit of WebGPU's writes and copies. */
function wholeWords(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/** Host values as the device stores them, in whole words. */
function deviceWords(dtype: DType, data: TypedArray): TypedArray | Uint16Array {
  if (dtype === "bool") return Uint32Array.from(data);
  if (dtype !== "f16") return data;
  const bits = narrowF16(data as Float32Array);
  if (bits.length % 2 === 0) return bits;
  const even = new Uint16Array(bits.length + 1);
  even.set(bits);
  return even;
}

function isOutOfMemory(error: GPUError): boolean {
  // NOTE: under Node the error classes are not globals.
  return error.constructor.name === "GPUOutOfMemoryError";
}

/** target[…] = source[…], both through their strides. */
function copyCall(source: Tensor, target: Tensor): KernelCall {
  const merged = coalesce(source.shape, [source.strides, target.strides]);
  const rank = merged.shape.length;
  const type = bufferType(source.dtype);
  const at = (k: string) => `p.offset${k}${merged.shape.map((_, d) => ` + c${d} * p.${k}${d}`).join("")}`;
  return {
    key: `copy:${type}:${rank}`,
    source: () => ({
      buffers: [
        { name: "x", type },
        { name: "y", type, write: true },
      ],
      params: u32Params("offsetx", "offsety", ...merged.shape.flatMap((_, d) => [`d${d}`, `x${d}`, `y${d}`])),
      main: `${coordinates(rank)}\ny[${at("y")}] = x[${at("x")}];`,
    }),
    buffers: [source, target],
    params: [
      source.offset,
      target.offset,
      ...merged.shape.flatMap((d, i) => [d, merged.strides[0][i], merged.strides[1][i]]),
    ],
    count: source.size,
  };
}
