/**
 * Numbers of adjustable precision, as MathAPI's documents ask for: a logarithm as mpmath computes and prints it, a square
 * root as Python's `decimal` does; and powers of floats, which Python leaves to the C library and JavaScript's `**` misses by
 * a last bit in one of twenty cases. Sources: mpmath's documentation ("Basics", `mp.dps`, 1.3) and its rule that every
 * operation is rounded to the working precision, to nearest, ties to even; the General Decimal Arithmetic Specification
 * 1.70 (square-root). Everything is computed in big integers.
 */
import { PyError } from "./values.ts";

/** m·2^e. */
interface Binary {
  m: bigint;
  e: number;
}

/** Bits per decimal digit. */
const bitsPerDigit = Math.log2(10);
/** Digits beyond which a result only costs time. */
const maxDigits = 1000;

function bitLength(m: bigint): number {
  return m === 0n ? 0 : (m < 0n ? -m : m).toString(2).length;
}

/** Python's `round` of a positive number to a whole one. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** n/2^shift to the nearest integer, ties to even. */
function shiftRound(n: bigint, shift: number): bigint {
  if (shift <= 0) return n << BigInt(-shift);
  const s = BigInt(shift);
  const below = n >> s;
  const rest = n - (below << s);
  const half = 1n << (s - 1n);
  return rest > half || (rest === half && (below & 1n) === 1n) ? below + 1n : below;
}

function rounded({ m, e }: Binary, precision: number): Binary {
  const extra = bitLength(m) - precision;
  return extra <= 0 ? { m, e } : { m: shiftRound(m, extra), e: e + extra };
}

/** The exact value of a double. */
function fromFloat(x: number): Binary {
  if (x === 0) return { m: 0n, e: 0 };
  let e = 0;
  let scaled = x;
  // Powers of two are exact factors; a double has 53 bits.
  while (!Number.isSafeInteger(scaled)) {
    scaled *= 2;
    e--;
  }
  return { m: BigInt(scaled), e };
}

/** ln(m·2^e)·2^bits, rounded down by a few units; bits beyond the wanted precision absorb that. */
function lnFixed({ m, e }: Binary, bits: number): bigint {
  const length = bitLength(m);
  // x = y·2^k with y in [1, 2); ln x = ln y + k ln 2, both by artanh: ln y = 2 artanh((y − 1)/(y + 1)).
  const one = 1n << BigInt(bits);
  const y = length - 1 > bits ? m >> BigInt(length - 1 - bits) : m << BigInt(bits - length + 1);
  const k = BigInt(e + length - 1);
  return artanh2(y - one, y + one, bits) + k * artanh2(1n, 3n, bits);
}

/** 2·artanh(a/b)·2^bits = 2 Σ (a/b)^(2j+1)/(2j+1). */
function artanh2(a: bigint, b: bigint, bits: number): bigint {
  const t = (a << BigInt(bits)) / b;
  const square = (t * t) >> BigInt(bits);
  let power = t;
  let total = 0n;
  for (let j = 1n; power !== 0n; j += 2n) {
    total += power / j;
    power = (power * square) >> BigInt(bits);
  }
  return 2n * total;
}

function ln(x: number, precision: number): Binary {
  const value = fromFloat(x);
  // Near 1 the logarithm is small: bits are added until enough are left.
  for (let bits = precision + 32; ; bits += precision + 32) {
    const fixed = lnFixed(value, bits);
    if (x === 1) return { m: 0n, e: 0 };
    if (bitLength(fixed) >= precision + 16) return rounded({ m: fixed, e: -bits }, precision);
  }
}

function quotient(a: Binary, b: Binary, precision: number): Binary {
  if (a.m === 0n) return a;
  const shift = Math.max(0, precision + 8 + bitLength(b.m) - bitLength(a.m));
  const sign = a.m < 0n !== b.m < 0n ? -1n : 1n;
  const [p, q] = [(a.m < 0n ? -a.m : a.m) << BigInt(shift), b.m < 0n ? -b.m : b.m];
  // A last bit that stands for the remainder keeps a tie from being seen where there is none.
  const m = ((p / q) << 1n) | (p % q === 0n ? 0n : 1n);
  const result = rounded({ m, e: a.e - b.e - shift - 1 }, precision);
  return { m: sign * result.m, e: result.e };
}

/** Bits that a power is worked out with: 53 of the result, 11 that the exponent takes off, and a margin. */
const powerBits = 160;

/**
 * xʸ rounded to the nearest float, as good C libraries give it: exact for whole exponents up to 1024. Where the result is
 * no ordinary number (0, infinite, subnormal, NaN), what JavaScript's `**` gives.
 *
 * @example
 * ```ts
 * powerFloat(43.99, 3) === 43.99 ** 3; // → false
 * ```
 */
export function powerFloat(x: number, y: number): number {
  const plain = x ** y;
  const size = Math.abs(plain);
  if (!(size > 1e-300 && size < 1e300) || !Number.isFinite(y)) return plain;
  const sign = plain < 0 ? -1 : 1;
  const base = fromFloat(Math.abs(x));
  if (!Number.isInteger(y) || Math.abs(y) > 1024) return sign * toNumber(exponential(base, y));
  const whole = { m: base.m ** BigInt(Math.abs(y)), e: base.e * Math.abs(y) };
  return sign * toNumber(y < 0 ? quotient({ m: 1n, e: 0 }, whole, 53) : rounded(whole, 53));
}

function toNumber({ m, e }: Binary): number {
  // Two factors: 2^e alone may be subnormal where the product is not.
  const half = Math.trunc(e / 2);
  return Number(m) * 2 ** half * 2 ** (e - half);
}

/** baseʸ = 2ᵏ·exp(r) with y·ln base = k·ln 2 + r, rounded to 53 bits. */
function exponential(base: Binary, y: number): Binary {
  const exponent = fromFloat(Math.abs(y));
  const product = exponent.m * lnFixed(base, powerBits) * (y < 0 ? -1n : 1n);
  const argument = exponent.e < 0 ? product >> BigInt(-exponent.e) : product << BigInt(exponent.e);
  const ln2 = artanh2(1n, 3n, powerBits);
  const k = argument / ln2;
  const r = argument - k * ln2;
  let term = 1n << BigInt(powerBits);
  let total = 0n;
  for (let j = 1n; term !== 0n && term !== -1n; j++) {
    total += term;
    term = ((term * r) >> BigInt(powerBits)) / j;
  }
  return rounded({ m: total, e: Number(k) - powerBits }, 53);
}

function positiveDigits(where: string, digits: number): number {
  if (digits < 1 || digits > maxDigits) {
    throw new PyError(`${where}: the precision must be from 1 to ${maxDigits} digits`);
  }
  return digits;
}

/**
 * `repr` of mpmath's log(value)/log(base) at `digits` decimal digits, for positive numbers.
 *
 * @throws PyError for a base of 1 or a precision out of range
 * @example
 * ```ts
 * logarithmText(36, 6, 4); // → "mpf('2.0')"
 * ```
 */
export function logarithmText(value: number, base: number, digits: number): string {
  const precision = Math.max(1, roundHalfEven((positiveDigits("logarithm", digits) + 1) * bitsPerDigit));
  const denominator = ln(base, precision);
  if (denominator.m === 0n) throw new PyError("division by zero");
  const shown = Math.max(1, roundHalfEven(precision / bitsPerDigit) - 1);
  return `mpf('${binaryText(quotient(ln(value, precision), denominator, precision), shown === 15 ? 17 : shown + 3)}')`;
}

/** Decimal text with at most `digits` significant digits, no trailing zeros but one after the point. */
function binaryText({ m, e }: Binary, digits: number): string {
  if (m === 0n) return "0.0";
  const sign = m < 0n ? "-" : "";
  const absolute = m < 0n ? -m : m;
  let exponent = Math.floor((bitLength(absolute) - 1 + e) / bitsPerDigit);
  let scaled = scaledDigits(absolute, e, digits - 1 - exponent);
  while (scaled >= 10n ** BigInt(digits)) scaled = scaledDigits(absolute, e, digits - 1 - ++exponent);
  while (scaled < 10n ** BigInt(digits - 1)) scaled = scaledDigits(absolute, e, digits - 1 - --exponent);
  const text = scaled.toString().replace(/0+$/, "");
  if (exponent <= -Math.max(5, Math.floor(digits / 3)) || exponent >= digits) {
    return `${sign}${text[0]}.${text.slice(1) || "0"}e${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${text}`;
  return `${sign}${text.slice(0, exponent + 1).padEnd(exponent + 1, "0")}.${text.slice(exponent + 1) || "0"}`;
}

/** m·2^e·10^power to the nearest integer. */
function scaledDigits(m: bigint, e: number, power: number): bigint {
  const top = m * (power > 0 ? 10n ** BigInt(power) : 1n) * (e > 0 ? 1n << BigInt(e) : 1n);
  const bottom = (power < 0 ? 10n ** BigInt(-power) : 1n) * (e < 0 ? 1n << BigInt(-e) : 1n);
  return (2n * top + bottom) / (2n * bottom);
}

/**
 * `repr(Decimal(x).sqrt())` with `digits` significant digits, for x ≥ 0.
 *
 * @throws PyError for a precision out of range
 * @example
 * ```ts
 * squareRootText(2, 5); // → "Decimal('1.4142')"
 * ```
 */
export function squareRootText(x: bigint | number, digits: number): string {
  const precision = positiveDigits("square_root", digits) + 1;
  // The exact decimal value of x is c·10^e.
  const { m, e: twos } = typeof x === "bigint" ? { m: x, e: 0 } : fromFloat(x);
  let c = twos < 0 ? m * 5n ** BigInt(-twos) : m << BigInt(twos);
  let e = Math.min(0, twos);
  if (c === 0n) return "Decimal('0')";
  let length = c.toString().length;
  if (e % 2 !== 0) {
    c *= 10n;
    e -= 1;
    length += 1;
  }
  e /= 2;
  const shift = precision - ((length + 1) >> 1);
  let exact = true;
  if (shift >= 0) c *= 100n ** BigInt(shift);
  else {
    const unit = 100n ** BigInt(-shift);
    exact = c % unit === 0n;
    c /= unit;
  }
  e -= shift;
  let root = integerRoot(c);
  if (exact && root * root === c) {
    root = shift >= 0 ? root / 10n ** BigInt(shift) : root * 10n ** BigInt(-shift);
    e += shift;
  } else if (root % 5n === 0n) root += 1n; // never mistaken for a tie
  return `Decimal('${decimalText(root, e, precision - 1)}')`;
}

function integerRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << BigInt((bitLength(n) + 1) >> 1);
  for (;;) {
    const next = (x + n / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

/** c·10^e rounded to `digits` significant digits, ties to even, in the specification's to-scientific-string. */
function decimalText(c: bigint, e: number, digits: number): string {
  let [coefficient, exponent] = [c, e];
  for (let extra = c.toString().length - digits; extra > 0; extra = coefficient.toString().length - digits) {
    const unit = 10n ** BigInt(extra);
    const [below, rest] = [coefficient / unit, coefficient % unit];
    const up = rest * 2n > unit || (rest * 2n === unit && below % 2n === 1n);
    coefficient = up ? below + 1n : below;
    exponent += extra;
  }
  const text = coefficient.toString();
  const adjusted = exponent + text.length - 1;
  if (exponent > 0 || adjusted < -6) {
    const mantissa = text.length > 1 ? `${text[0]}.${text.slice(1)}` : text;
    return `${mantissa}E${adjusted < 0 ? "-" : "+"}${Math.abs(adjusted)}`;
  }
  if (exponent === 0) return text;
  const padded = text.padStart(1 - exponent, "0");
  return `${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}
