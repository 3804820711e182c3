/**
 * GPU buffers, pooled: a freed buffer serves the next allocation of its size class, because making and destroying
 * buffers costs more than most small kernels. Reuse is safe while commands run in order; only host writes jump the
 * queue of commands not yet submitted, so uploads take buffers that no pending command uses.
 *
 * Out of memory: the GPU says only later that it refused a buffer, and then rejects each submission that uses it. So
 * what those submissions were to write is marked as lost, and using it throws the `OutOfMemoryError`; all else lives on.
 */

import { DeviceError, OutOfMemoryError } from "../../errors.ts";
import { BufferUsage } from "./flags.ts";

/** A pooled buffer with what the queue must know about it. */
export interface PooledBuffer {
  readonly buffer: GPUBuffer;
  readonly id: number;
  /** Bytes. */
  readonly capacity: number;
  /** The submission that last used it; see queue.ts. */
  lastUse: number;
  /** The submission that last wrote it. */
  lastWrite: number;
  /** Why its contents are lost, if they are. */
  lost?: OutOfMemoryError;
  /** True if the GPU had no memory for it. */
  refused?: boolean;
}

/** Submissions that a refused buffer made the GPU reject, both ends included. */
interface Rejection {
  from: number;
  to: number;
}

/** Rounds up so that sizes share classes: at most a quarter is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const power = 2 ** Math.floor(Math.log2(bytes));
  const step = power / 4;
  return Math.ceil(bytes / step) * step;
}

export class BufferPool {
  /** Number of the submission being collected; the queue counts. */
  serial = 0;
  /** Bytes of the buffers that wait for their next use. */
  idleBytes = 0;
  /** True from a refusal until every error that follows from it has been reported. */
  recovering = false;
  /** The most bytes that one tensor can have. */
  readonly limit: number;
  private readonly device: GPUDevice;
  /** Submits what was collected and forgets bind groups, so that idle buffers can be destroyed. */
  private readonly letGo: () => void;
  private readonly free = new Map<number, PooledBuffer[]>();
  private readonly byHandle = new Map<GPUBuffer, PooledBuffer>();
  private readonly pending = new Set<Promise<void>>();
  private readonly rejections: Rejection[] = [];
  private nextId = 0;

  constructor(device: GPUDevice, letGo: () => void) {
    this.device = device;
    const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
    this.limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    this.letGo = letGo;
  }

  /** A buffer of at least `bytes`; with `forWrite`, one that no command waiting for submission uses. */
  acquire(bytes: number, forWrite = false): PooledBuffer {
    const capacity = Math.min(sizeClass(bytes), this.limit);
    const list = this.free.get(capacity) ?? [];
    for (let i = list.length - 1; i >= 0; i--) {
      if (forWrite && list[i].lastUse >= this.serial) continue;
      this.idleBytes -= capacity;
      const pooled = list.splice(i, 1)[0];
      pooled.lastWrite = -1;
      pooled.lost = undefined;
      return pooled;
    }
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    return this.make(capacity, usage);
  }

  /** A buffer to read results from; give it to `drop` after use. */
  acquireMappable(bytes: number): PooledBuffer {
    return this.make(sizeClass(bytes), BufferUsage.MAP_READ | BufferUsage.COPY_DST);
  }

  private make(capacity: number, usage: number): PooledBuffer {
    try {
      return this.create(capacity, usage);
    } catch {
      // NOTE: some implementations refuse at once. What the idle buffers hold may be what is missing.
      this.trim();
      try {
        return this.create(capacity, usage);
      } catch (error) {
        throw outOfMemory(capacity, String((error as Error).message), { cause: error });
      }
    }
  }

  /** Makes a buffer and watches whether the GPU takes it. */
  private create(capacity: number, usage: number): PooledBuffer {
    const from = this.serial;
    let pooled: PooledBuffer | undefined;
    this.device.pushErrorScope("out-of-memory");
    try {
      const buffer = this.device.createBuffer({ size: capacity, usage });
      pooled = { buffer, id: this.nextId++, capacity, lastUse: -1, lastWrite: -1 };
      this.byHandle.set(buffer, pooled);
      return pooled;
    } finally {
      const answer = this.device.popErrorScope().then(
        (error) => {
          this.pending.delete(answer);
          if (error && pooled) this.refuse(pooled, from, error.message);
        },
        // NOTE: only a lost device does not answer; that is reported on its own.
        () => void this.pending.delete(answer),
      );
      this.pending.add(answer);
    }
  }

  /** What was to be written since submission `from` is lost; what idle buffers hold is given back. */
  private refuse(refused: PooledBuffer, from: number, message: string): void {
    const error = outOfMemory(refused.capacity, message);
    refused.refused = true;
    refused.lost = error;
    this.recovering = true;
    for (const pooled of this.byHandle.values()) if (pooled.lastWrite >= from) pooled.lost = error;
    this.rejections.push({ from, to: this.serial });
    // Commands that waited for pipelines are submitted here and rejected too; that says nothing new.
    this.device.pushErrorScope("validation");
    this.trim();
    void this.device.popErrorScope().catch(() => null);
    void this.device.queue.onSubmittedWorkDone().finally(() => {
      this.recovering = false;
    });
  }

  /** Resolves when the GPU has said of each buffer made so far whether it has the memory. */
  async settled(): Promise<void> {
    await Promise.all(this.pending);
  }

  /** True if the GPU rejected this submission because memory ran out. Ask after `settled()`. */
  rejected(serial: number): boolean {
    return this.rejections.some(({ from, to }) => from <= serial && serial <= to);
  }

  /** The pool's entry of a buffer it made. */
  entry(buffer: GPUBuffer): PooledBuffer {
    const pooled = this.byHandle.get(buffer);
    if (!pooled) throw new DeviceError("This buffer belongs to another device. Use the device that made it.");
    return pooled;
  }

  release(buffer: GPUBuffer): void {
    const pooled = this.entry(buffer);
    if (pooled.refused) {
      this.drop(pooled);
      return;
    }
    this.idleBytes += pooled.capacity;
    const list = this.free.get(pooled.capacity);
    if (list) list.push(pooled);
    else this.free.set(pooled.capacity, [pooled]);
  }

  /** Destroys a buffer that no command waiting for submission uses. */
  drop(pooled: PooledBuffer): void {
    this.byHandle.delete(pooled.buffer);
    pooled.buffer.destroy();
  }

  /** Destroys the idle buffers. */
  trim(): void {
    this.letGo();
    for (const list of this.free.values()) for (const pooled of list) this.drop(pooled);
    this.free.clear();
    this.idleBytes = 0;
  }
}

function outOfMemory(bytes: number, message: string, options?: ErrorOptions): OutOfMemoryError {
  return new OutOfMemoryError(
    `The GPU has no memory for a buffer of ${bytes} bytes (${message || "no reason given"}); what was being computed is ` +
      "lost. Use smaller batches, or give tensors back earlier with scope(() => …) or dispose().",
    options,
  );
}
