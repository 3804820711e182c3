/**
 * Seeded random numbers for task generation: a counter hashed with the key, so that a stream's whole state
 * is (key, counter) and any stream can be derived from labels without touching another.
 *
 * The mixer is the 32-bit finaliser of MurmurHash3 (Austin Appleby, public domain). It is not
 * cryptographic and has nothing to do with the tensor package's Threefry streams.
 */
import { OptionError } from "./errors.ts";

/** MurmurHash3's 32-bit finaliser: a bijection of uint32. */
function mix(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return x >>> 0;
}

/**
 * Hash of strings and integers to a uint32; the order and the borders of parts matter.
 *
 * @example
 * ```ts
 * hash("world", 3) === hash("world3"); // → false
 * ```
 */
export function hash(...parts: (string | number)[]): number {
  let state = 0x9e3779b9;
  for (const part of parts) {
    const text = typeof part === "number" ? `#${part}` : part;
    for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
    state = mix(state ^ (text.length + 0x51ed270b));
  }
  return state;
}

/**
 * A seeded stream of random numbers. Equal labels give equal streams.
 *
 * @example
 * ```ts
 * const draw = () => new Random("tasks", 7).int(10); // in [0, 10)
 * draw() === draw(); // → true
 * ```
 */
export class Random {
  readonly #key: number;
  #counter = 0;

  constructor(...labels: (string | number)[]) {
    this.#key = hash(...labels);
  }

  /** Uniform uint32. */
  next(): number {
    this.#counter = (this.#counter + 1) >>> 0;
    return mix((mix(this.#counter ^ this.#key) + Math.imul(this.#key, 0x9e3779b1)) >>> 0);
  }

  /** Uniform in [0, 1), 32 bits. */
  float(): number {
    return this.next() / 2 ** 32;
  }

  /** Uniform integer in [0, bound). The bias is below bound / 2³². */
  int(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1)
      throw new OptionError(`Random.int: bound must be a positive integer, got ${bound}`);
    return Math.floor(this.float() * bound);
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.float() < p;
  }

  /** A uniform element of a non-empty list. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)];
  }

  /** A shuffled copy (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }
}
