/**
 * One order for every number type on the device: bits become u32 keys that compare as the numbers do, so that argmax
 * and topk need integer comparisons only and NaN, which WGSL lets compilers ignore, has a defined place. The mapping is
 * the one radix sorts use for floats (Herf 2001, "Radix tricks"), with −0 made equal to 0.
 */
import type { DType } from "../dtype.ts";

/**
 * WGSL function `key(bits)`. The kernel's parameters `flip` (0, or all ones to turn the order round) and `nan` (the key
 * of every NaN) must be u32s; its buffers hold the elements as u32 bits.
 */
export function orderKey(dtype: DType): string {
  if (dtype !== "f32") {
    const shifted = dtype === "i32" ? "(bits ^ 0x80000000u)" : "bits";
    return `fn key(bits: u32) -> u32 { return ${shifted} ^ p.flip; }`;
  }
  return `fn key(bits: u32) -> u32 {
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return p.nan; }
  return select(0x80000000u + size, 0x80000000u - size, bits != size) ^ p.flip;
}`;
}

/** The largest u32: turns the order round, or stands for an index that is none. */
export const ones = 2 ** 32 - 1;
