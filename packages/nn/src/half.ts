/**
 * 16-bit floating point numbers as bits: IEEE 754 binary16 (`f16`) and bfloat16 (`bf16`) to and from 32-bit floats.
 * Widening is exact. Narrowing rounds to the nearest value, ties to even, overflows to infinity and keeps NaN a NaN.
 * Source: IEEE 754-2019 §4.3.1. Left out: arithmetic in 16 bits.
 */

const floatScratch = new Float32Array(1);
const bitsScratch = new Uint32Array(floatScratch.buffer);

/** Widens bfloat16 bits to f32: bf16 is the upper half of an f32. */
export function widenBf16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer);
}

/** Rounds f32 values to bfloat16 bits, to nearest, ties to even. */
export function narrowBf16(values: Float32Array): Uint16Array {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const x = wide[i];
    const notANumber = (x & 0x7fffffff) > 0x7f800000;
    // Adding 0x7fff plus the lowest kept bit carries exactly when the cut-off part is above half, or half and odd.
    bits[i] = notANumber ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** Widens binary16 bits to f32. */
export function widenF16(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = bits[i] & 0x8000 ? -1 : 1;
    const exponent = (bits[i] >>> 10) & 0x1f;
    const fraction = bits[i] & 0x3ff;
    if (exponent === 0) values[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) values[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else values[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return values;
}

/** Rounds f32 values to binary16 bits, to nearest, ties to even. */
export function narrowF16(values: Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = narrowOneF16(values[i]);
  return bits;
}

function narrowOneF16(value: number): number {
  floatScratch[0] = value;
  const sign = (bitsScratch[0] >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00; // 65504 is the largest; half a step above it rounds up
  // The spacing of f16 numbers around `magnitude`: 2^-24 for subnormals, 2^(e-10) for exponent e.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const steps = roundHalfEven(magnitude / 2 ** (exponent - 10)); // [0, 2048]: the hidden bit and ten of fraction
  // A fraction that rounds up to 2048 carries into the exponent field by itself.
  return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
