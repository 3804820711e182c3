/**
 * GPU buffers, pooled: a freed buffer serves the next allocation of its size class, because making and destroying
 * buffers costs more than most small kernels. Reuse is safe while commands run in order; only host writes jump the
 * queue of commands not yet submitted, so uploads take buffers that no pending command uses.
 */

import { OutOfMemoryError } from "../../errors.ts";
import { BufferUsage } from "./flags.ts";

/** A pooled buffer with what the queue must know about it. */
export interface PooledBuffer {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly capacity: number;
  /** The submission that last used it; see queue.ts. */
  lastUse: number;
}

/** Rounds up so that sizes share classes: at most a quarter is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const power = 2 ** Math.floor(Math.log2(bytes));
  const step = power / 4;
  return Math.ceil(bytes / step) * step;
}

export class BufferPool {
  private readonly device: GPUDevice;
  private readonly free = new Map<number, PooledBuffer[]>();
  private readonly byHandle = new Map<GPUBuffer, PooledBuffer>();
  private nextId = 0;

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** A buffer of at least `bytes`; with `idleSince`, one that no submission from that number on uses. */
  acquire(bytes: number, idleSince?: number): PooledBuffer {
    const capacity = sizeClass(bytes);
    const limit = Math.min(this.device.limits.maxStorageBufferBindingSize, this.device.limits.maxBufferSize);
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `A tensor of ${bytes} bytes exceeds this adapter's limit of ${limit} bytes for one binding. Split it, for example into smaller batches.`,
      );
    }
    const list = this.free.get(capacity) ?? [];
    for (let i = list.length - 1; i >= 0; i--) {
      if (idleSince !== undefined && list[i].lastUse >= idleSince) continue;
      return list.splice(i, 1)[0];
    }
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    const buffer = this.device.createBuffer({ size: Math.min(capacity, limit), usage });
    const pooled = { buffer, id: this.nextId++, capacity, lastUse: -1 };
    this.byHandle.set(buffer, pooled);
    return pooled;
  }

  /** The pool's entry of a buffer it made. */
  entry(buffer: GPUBuffer): PooledBuffer {
    const pooled = this.byHandle.get(buffer);
    if (!pooled)
      throw new OutOfMemoryError(
        "This buffer belongs to another device. Make tensors on the device that uses them.",
      );
    return pooled;
  }

  release(buffer: GPUBuffer): void {
    const pooled = this.entry(buffer);
    const list = this.free.get(pooled.capacity);
    if (list) list.push(pooled);
    else this.free.set(pooled.capacity, [pooled]);
  }
}
