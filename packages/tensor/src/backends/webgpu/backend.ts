/**
 * The webgpu backend: allocates pooled buffers, turns records into kernel starts, and reads results back. Errors that
 * the device reports later (validation, memory, loss) surface at the next read or synchronisation.
 */

import type { Program } from "../../capture/program.ts";
import type { Device } from "../../device.ts";
import { allocate, type DType, type TypedArray } from "../../dtype.ts";
import { DeviceError, DeviceLostError, OutOfMemoryError, type PactError } from "../../errors.ts";
import { narrowF16, widenF16 } from "../../half.ts";
import type { Op } from "../../op.ts";
import { copyIntoOp } from "../../ops/copy.ts";
import type { Storage, Tensor } from "../../tensor.ts";
import type { Backend, BackendStats, Replay } from "../backend.ts";
import { Arena } from "./arena.ts";
import type { PooledBuffer } from "./buffers.ts";
import { MapMode } from "./flags.ts";
import type { OnPipeline } from "./pipelines.ts";
import { CommandQueue } from "./queue.ts";
import { WebGpuReplay } from "./replay.ts";

export class WebGpuBackend implements Backend {
  readonly kind = "webgpu";
  readonly stats: BackendStats = { pipelines: 0, dispatches: 0, submits: 0, bindGroups: 0 };
  readonly maxTensorBytes: number;
  private readonly device: GPUDevice;
  private readonly queue: CommandQueue;
  private readonly arena: Arena;
  /** Why the device was lost, if it was; `destroyed` if by `destroy()`. */
  private ended: { reason: string } | "destroyed" | undefined;
  private rejection: DeviceError | OutOfMemoryError | undefined;

  /** @param onPipeline told of each pipeline that is built */
  constructor(device: GPUDevice, onPipeline?: OnPipeline) {
    this.device = device;
    this.queue = new CommandQueue(device, this.stats, onPipeline);
    this.arena = new Arena(this.queue.pool);
    this.maxTensorBytes = this.queue.pool.limit;
    device.addEventListener("uncapturederror", (event) => {
      void this.onError((event as GPUUncapturedErrorEvent).error);
    });
    void device.lost.then((info) => {
      this.ended ??= { reason: info.message || info.reason || "no reason given" };
    });
  }

  /** Buffers report their own lack of memory (buffers.ts); the errors that follow from it say nothing new. */
  private async onError(error: GPUError): Promise<void> {
    await this.queue.pool.settled();
    if (this.queue.pool.recovering) return;
    this.rejection ??= isOutOfMemory(error)
      ? new OutOfMemoryError(
          `The GPU is out of memory: ${error.message}. Use smaller batches on a new device: init().`,
        )
      : new DeviceError(
          `The GPU rejected a command: ${error.message}. What this device computed since is lost: call init() for a new ` +
            "one. If the kernel is of an operation of yours, mend its WGSL; otherwise please report it.",
        );
  }

  failure(where: string): PactError | undefined {
    if (this.ended === undefined) return undefined;
    if (this.ended === "destroyed")
      return new DeviceError(`${where}: the webgpu device was destroyed. Call init() for a new one.`);
    return new DeviceLostError(
      `${where}: the GPU device was lost (${this.ended.reason}) and its tensors with it. Call init() for a new device ` +
        "and load the last checkpoint.",
    );
  }

  get pooledBytes(): number {
    return this.queue.pool.idleBytes;
  }

  get arenaBytes(): number {
    return this.arena.bytes;
  }

  trim(): void {
    this.arena.clear();
    this.queue.pool.trim();
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

  holds({ handle }: Storage): boolean {
    return !this.queue.pool.entry(handle as GPUBuffer).lost;
  }

  free(storage: Storage): void {
    this.queue.pool.release(storage.handle as GPUBuffer);
  }

  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    if (!op.webgpu)
      throw new DeviceError(`${op.name} has no WebGPU kernel. Use the cpu device: init({ device: "cpu" }).`);
    if ((op as unknown) === copyIntoOp && this.copied(inputs[0], outputs[0])) return;
    for (const call of op.webgpu(inputs, outputs, attrs)) this.queue.dispatch(call);
  }

  /** Copies bytes without a kernel; false where elements do not lie in order, or whole words, or two buffers. */
  private copied(source: Tensor, target: Tensor): boolean {
    if (!(source.contiguous && target.contiguous) || source.storage === target.storage) return false;
    const size = bytesPerElement(source.dtype);
    const [from, to, bytes] = [source.offset, target.offset, source.size].map((n) => n * size);
    if (from % 4 !== 0 || to % 4 !== 0 || bytes % 4 !== 0) return false;
    const [a, b] = [source, target].map((t) => this.queue.pool.entry(t.storage.handle as GPUBuffer));
    this.queue.copy(a, from, b, to, bytes);
    return true;
  }

  compile(program: Program, device: Device): Replay {
    return new WebGpuReplay(this.queue, this.arena, device, program);
  }

  zero(target: Tensor): void {
    this.queue.clear(target.storage.handle as GPUBuffer);
  }

  async read(tensor: Tensor): Promise<TypedArray> {
    const { size, dtype } = tensor;
    if (size === 0) return allocate(dtype, 0);
    // Copies start and end on whole words; an f16 tensor may begin or end in the middle of one.
    const begin = tensor.offset * bytesPerElement(dtype);
    const start = begin - (begin % 4);
    const bytes = wholeWords(begin + this.byteLength(dtype, size)) - start;
    const { pool } = this.queue;
    const source = pool.entry(tensor.storage.handle as GPUBuffer);
    if (source.lost) throw source.lost;
    const target = pool.acquireMappable(bytes);
    const mappable = target.buffer;
    try {
      const serial = await this.queue.copyOut(source, start, mappable, bytes);
      for (const { lost } of [source, target]) if (lost) throw lost;
      await this.guard("read", mappable.mapAsync(MapMode.READ, 0, bytes), [source, target]);
      const copy = mappable.getMappedRange(0, bytes).slice(0);
      this.throwRejection();
      // The copy went down with a submission that ran out of memory, the tensor did not.
      if (pool.rejected(serial)) return this.read(tensor);
      if (dtype === "f16") return widenF16(new Uint16Array(copy, begin - start, size));
      if (dtype === "bool") return Uint8Array.from(new Uint32Array(copy));
      return dtype === "i32"
        ? new Int32Array(copy)
        : dtype === "u32"
          ? new Uint32Array(copy)
          : new Float32Array(copy);
    } finally {
      pool.drop(target);
    }
  }

  async synchronize(): Promise<void> {
    await this.queue.finish();
    await this.guard("synchronize", this.device.queue.onSubmittedWorkDone());
    this.throwRejection();
  }

  destroy(): void {
    this.ended ??= "destroyed";
    this.device.destroy();
  }

  /** Waits for the device and for its word on memory; if it ends meanwhile, throws that. */
  private async guard(
    where: string,
    work: Promise<unknown>,
    uses: readonly PooledBuffer[] = [],
  ): Promise<void> {
    let stopped: unknown;
    await work.catch((error: unknown) => {
      stopped = error;
    });
    await this.queue.pool.settled();
    for (const { lost } of uses) if (lost) throw lost;
    // NOTE: a lost device ends its reads before it says that it is lost.
    if (stopped) await Promise.race([this.device.lost, new Promise((done) => setTimeout(done, 100))]);
    const failure = this.failure(where);
    if (failure) throw failure;
    if (stopped)
      throw new DeviceError(
        `${where}: the GPU did not answer: ${String((stopped as Error).message)}. Call init() for a new device.`,
        { cause: stopped },
      );
  }

  private throwRejection(): void {
    if (this.rejection) throw this.rejection;
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
