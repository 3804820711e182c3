/**
 * Python's arithmetic on int (bigint) and float (number): an operation on two ints is an int, anything else a float,
 * `/` is always a float. Source: the Python language reference, "Binary arithmetic operations"; `round` goes to the even
 * neighbour on ties. Left out: complex results, ints too large for a float.
 */
import { powerFloat } from "./precise.ts";
import { isNumber, PyError, type PyValue, toFloat, typeName } from "./values.ts";

/** An int or float; bool counts as an int. */
export type PyNumber = bigint | number;

/** The argument as a number. @throws PyError for anything else */
export function number(value: PyValue | undefined): PyNumber {
  if (value === true || value === false) return BigInt(value);
  if (value !== undefined && isNumber(value)) return value;
  throw new PyError(`must be real number, not ${typeName(value ?? null)}`);
}

/** Bits of a result, beyond which Python would not print it either (4,300 digits): calls nest, and sizes multiply. */
const maxBits = 14_284;

function bounded(x: bigint): bigint {
  if (BigInt.asIntN(maxBits + 1, x) !== x) throw new PyError("the result has too many digits");
  return x;
}

/** a + b. @throws PyError for a result of too many digits, as `multiply` and `power` do */
export function add(a: PyNumber, b: PyNumber): PyNumber {
  return typeof a === "bigint" && typeof b === "bigint" ? bounded(a + b) : toFloat(a) + toFloat(b);
}

/** a − b. */
export function subtract(a: PyNumber, b: PyNumber): PyNumber {
  return typeof a === "bigint" && typeof b === "bigint" ? a - b : toFloat(a) - toFloat(b);
}

/** a·b. */
export function multiply(a: PyNumber, b: PyNumber): PyNumber {
  return typeof a === "bigint" && typeof b === "bigint" ? bounded(a * b) : toFloat(a) * toFloat(b);
}

/** a/b as a float. @throws PyError for b = 0 */
export function divide(a: PyNumber, b: PyNumber): number {
  if (toFloat(b) === 0) {
    const ints = typeof a === "bigint" && typeof b === "bigint";
    throw new PyError(ints ? "division by zero" : "float division by zero");
  }
  return toFloat(a) / toFloat(b);
}

/** aᵇ: an int for ints with b ≥ 0. @throws PyError for 0 to a negative power and for results out of range */
export function power(a: PyNumber, b: PyNumber): PyNumber {
  if (typeof a === "bigint" && typeof b === "bigint" && b >= 0n) {
    // The power of an int below 2^k has at most k·b bits; what that bound lets through is quickly worked out.
    const bits = BigInt((a < 0n ? -a : a).toString(2).length);
    if (bits > 1n && (bits - 1n) * b > maxBits) throw new PyError("the result has too many digits");
    return bounded(a ** b);
  }
  if (toFloat(a) === 0 && toFloat(b) < 0) throw new PyError("0.0 cannot be raised to a negative power");
  const result = powerFloat(toFloat(a), toFloat(b));
  if (Number.isFinite(toFloat(a)) && Number.isFinite(toFloat(b)) && !Number.isFinite(result)) {
    throw new PyError("(34, 'Numerical result out of range')");
  }
  return result;
}

/** −a. */
export function negate(a: PyNumber): PyNumber {
  return -a;
}

/** Σ values, from the int 0. */
export function sum(values: readonly PyNumber[]): PyNumber {
  return values.reduce(add, 0n);
}

/** `round(x, digits)`: of a float a float, of an int an int, ties to even. */
export function round(x: PyNumber, digits: bigint): PyNumber {
  if (typeof x === "bigint") {
    if (digits >= 0n) return x;
    const unit = 10n ** -digits;
    const half = ((x % unit) + unit) % unit;
    const below = x - half;
    if (half * 2n !== unit) return half * 2n > unit ? below + unit : below;
    return (below / unit) % 2n === 0n ? below : below + unit;
  }
  return roundFloat(x, Number(digits));
}

/**
 * Correctly rounded: Python rounds the exact binary value, so 2.675 becomes 2.67. `toFixed` is exact too (ECMAScript
 * 21.1.3.3) but sends ties, where the binary value is half-way, up: those are found by their digits.
 */
export function roundFloat(x: number, digits: number): number {
  if (!Number.isFinite(x) || digits > 100) return x;
  if (digits < 0) return Number(round(BigInt(Math.trunc(x)), BigInt(digits)));
  return Number(fixed(x, digits));
}

/**
 * `f"{x:.{digits}f}"`.
 *
 * @example
 * ```ts
 * fixed(0.125, 2); // → "0.12"
 * ```
 */
export function fixed(x: number, digits: number): string {
  if (Math.abs(x) >= 1e21) return BigInt(x).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "");
  const rounded = x.toFixed(digits);
  // The exact value of a double has at most 1074 decimals; a tie at `digits` ends in a 5 one place further.
  const longer = x.toFixed(Math.min(100, digits + 25));
  const tail = longer.slice(rounded.length + (digits === 0 ? 1 : 0));
  if (!/^50*$/.test(tail)) return rounded;
  const truncated = longer.slice(0, rounded.length);
  return Number(truncated.at(-1)) % 2 === 0 ? truncated : rounded;
}
