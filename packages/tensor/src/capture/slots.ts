/**
 * Where the temporaries of a recording lie: in slots, each a buffer of its own that serves several whose uses do not
 * overlap. One arena for all is not possible on WebGPU, where a kernel must not read and write one buffer.
 */

/** A temporary: its bytes and the commands, both ends included, between which it is in use. */
export interface Lifetime {
  readonly memory: number;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/** Sizes of the slots in bytes, largest first, and the slot of each memory. */
export interface SlotPlan {
  readonly slots: readonly number[];
  readonly slotOf: ReadonlyMap<number, number>;
}

/**
 * Shared objects, greedy by size (Pisarchyk and Lee, arXiv 2001.03288): the largest memory first, each into the smallest
 * slot that is free throughout its life. So a slot has the size of its first guest, and slots come in order of size.
 */
export function planSlots(lifetimes: readonly Lifetime[]): SlotPlan {
  const slots: { bytes: number; guests: Lifetime[] }[] = [];
  const slotOf = new Map<number, number>();
  const bySize = [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  for (const life of bySize) {
    const free = slots.findLastIndex(({ guests }) =>
      guests.every(({ first, last }) => last < life.first || first > life.last),
    );
    const slot = free >= 0 ? free : slots.push({ bytes: life.bytes, guests: [] }) - 1;
    slots[slot].guests.push(life);
    slotOf.set(life.memory, slot);
  }
  return { slots: slots.map(({ bytes }) => bytes), slotOf };
}
