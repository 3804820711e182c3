/**
 * The buffers that temporaries of captured functions lie in. All captures of a device share them: commands run in order, and
 * no temporary outlives its replay. Kept between replays, so that bind groups stay valid.
 */
import type { BufferPool, PooledBuffer } from "./buffers.ts";

export class Arena {
  private readonly pool: BufferPool;
  private slots: PooledBuffer[] = [];

  constructor(pool: BufferPool) {
    this.pool = pool;
  }

  /** Bytes it holds. */
  get bytes(): number {
    return this.slots.reduce((sum, { capacity }) => sum + capacity, 0);
  }

  /** Buffers of at least these sizes, which come largest first. */
  take(sizes: readonly number[]): readonly PooledBuffer[] {
    sizes.forEach((bytes, i) => {
      const slot = this.slots.at(i);
      if (slot && slot.capacity >= bytes && !slot.lost) return;
      // Out of the list before another is asked for, which may fail: the pool has it then.
      for (const { buffer } of this.slots.splice(i, 1)) this.pool.release(buffer);
      this.slots.splice(i, 0, this.pool.acquire(bytes));
    });
    return this.slots;
  }

  /** Gives the buffers back. */
  clear(): void {
    for (const { buffer } of this.slots) this.pool.release(buffer);
    this.slots = [];
  }
}
