/**
 * 16-bit floating point numbers as bits: IEEE 754 binary16 (`f16`) and bfloat16 (`bf16`) to and from 32-bit floats.
 * Widening is exact. Narrowing rounds to the nearest value, ties to even, overflows to infinity and keeps NaN a NaN.
 * Source: IEEE 754-2019 §4.3.1. Left out: arithmetic in 16 bits.
 */

/**
 * Widens bfloat16 bits to f32: bf16 is the upper half of an f32. Exact.
 *
 * @param bits - one bfloat16 number per element.
 * @returns as many f32 values.
 * @example
 * ```ts
 * widenBf16(Uint16Array.of(0x3f80, 0xc000)); // → [1, -2]
 * ```
 */
export function widenBf16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer);
}

/**
 * Rounds f32 values to bfloat16 bits: to the nearest, ties to even; NaN stays NaN.
 *
 * @param values - any f32 values.
 * @returns one bfloat16 number per element.
 * @example
 * ```ts
 * widenBf16(narrowBf16(Float32Array.of(1.001, 257))); // → [1, 256]
 * ```
 */
export function narrowBf16(values: Float32Array): Uint16Array {
  const wide = bitsOf(values);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const x = wide[i];
    const notANumber = (x & 0x7fffffff) > 0x7f800000;
    // Adding 0x7fff plus the lowest kept bit carries exactly when the cut-off part is above half, or half and odd.
    bits[i] = notANumber ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** The f32 bits of all 65,536 binary16 patterns, made at the first use: 256 KiB, one look-up per element. */
let widened: Uint32Array | undefined;

function widenedF16(): Uint32Array {
  if (widened) return widened;
  const values = new Float32Array(0x10000);
  const bits = bitsOf(values);
  for (let half = 0; half < 0x10000; half++) {
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) values[half] = fraction * 2 ** -24;
    else if (exponent === 31) bits[half] = 0x7f800000 | (fraction << 13);
    else values[half] = (1 + fraction / 1024) * 2 ** (exponent - 15);
    bits[half] |= (half & 0x8000) << 16;
  }
  widened = bits;
  return bits;
}

/**
 * Widens binary16 bits to f32. Exact.
 *
 * @param bits - one binary16 number per element.
 * @returns as many f32 values.
 * @example
 * ```ts
 * widenF16(Uint16Array.of(0x3c00, 0xc000, 0x7bff)); // → [1, -2, 65504]
 * ```
 */
export function widenF16(bits: Uint16Array): Float32Array {
  const table = widenedF16();
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = table[bits[i]];
  return new Float32Array(wide.buffer);
}

/**
 * Rounds f32 values to binary16 bits: to the nearest, ties to even; 65520 and more become infinity, NaN stays NaN.
 *
 * @param values - any f32 values.
 * @returns one binary16 number per element.
 * @example
 * ```ts
 * widenF16(narrowF16(Float32Array.of(0.1, 2049))); // → [0.0999755859375, 2048]
 * ```
 */
export function narrowF16(values: Float32Array): Uint16Array {
  const wide = bitsOf(values);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const sign = (wide[i] >>> 16) & 0x8000;
    const magnitude = wide[i] & 0x7fffffff;
    let rounded: number;
    if (magnitude > 0x7f800000) rounded = 0x7e00;
    else if (magnitude >= 0x477ff000)
      rounded = 0x7c00; // 65520, half a step above the largest number
    else if (magnitude >= 0x38800000)
      // 2⁻¹⁴ and more: the exponent moves from bias 127 to 15; the rest rounds as in narrowBf16.
      rounded = (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
    // Below, numbers are whole multiples of 2⁻²⁴; a double of 2⁵² and more has no room for a fraction and rounds to even.
    else rounded = Math.abs(values[i]) * 2 ** 24 + 2 ** 52 - 2 ** 52;
    bits[i] = sign | rounded;
  }
  return bits;
}

/**
 * Doubles as f32 values that narrow to the same 16 bits as the doubles themselves: cut off, with the last bit set where
 * something was lost ("rounding to odd"), so that rounding twice is rounding once.
 * Source: Boldo & Melquiond, "When double rounding is odd", 2005.
 */
export function roundToOdd(values: ArrayLike<number>): Float32Array {
  const floats = Float32Array.from(values);
  const bits = bitsOf(floats);
  for (let i = 0; i < floats.length; i++) {
    const exact = values[i];
    if (floats[i] === exact || Number.isNaN(exact)) continue;
    if (Math.abs(floats[i]) > Math.abs(exact)) bits[i]--;
    bits[i] |= 1;
  }
  return floats;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
