/**
 * Seeded draws of shapes and numbers for property tests. fast-check draws (and prints) the seed; everything else follows
 * from it, so a failure is replayed by pasting the seed into `fc.assert(…, { seed, path })` or `new Draw(seed)`.
 */

/** Sizes that share no factor with 4 or 64, so that a swapped dimension or a forgotten edge shows. */
const primes = [1, 2, 3, 5, 7, 11];

export class Draw {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 1): mulberry32, a public-domain generator by Tommy Ettinger. */
  unit(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)];
  }

  /** A small prime, or 1. */
  size(): number {
    return this.pick(primes);
  }

  /** The length of a dimension that must lie in [low, high]. */
  length(low: number, high: number): number {
    return this.int(low, high);
  }

  /** A shape of `low` to `high` dimensions. */
  shape(low: number, high: number): number[] {
    return Array.from({ length: this.int(low, high) }, () => this.size());
  }

  /** f32-representable numbers in [low, high] at least 0.01 away from each kink, so that f64 and f32 start from equal inputs. */
  floats(count: number, low = -2, high = 2, kinks: readonly number[] = []): Float64Array {
    return Float64Array.from({ length: count }, () => {
      for (;;) {
        const value = Math.fround(low + (high - low) * this.unit());
        if (kinks.every((k) => Math.abs(value - k) >= 0.01)) return value;
      }
    });
  }

  /** Whole numbers in [low, high]. */
  ints(count: number, low: number, high: number): Float64Array {
    return Float64Array.from({ length: count }, () => this.int(low, high));
  }

  /** `items` in random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const list = [...items];
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
}

/** Draws one dimension, the `nth` of those drawn, of size `n`, and keeps the others small. */
export class SizedDraw extends Draw {
  /** Dimensions drawn so far. */
  drawn = 0;
  private readonly n: number;
  private readonly nth: number;

  constructor(seed: number, n: number, nth: number) {
    super(seed);
    this.n = n;
    this.nth = nth;
  }

  override size(): number {
    return this.sized(this.pick([1, 2, 3]), 0);
  }

  override length(low: number, high: number): number {
    return this.sized(this.int(low, high), low);
  }

  override shape(low: number, high: number): number[] {
    return super.shape(Math.min(high, Math.max(low, 1)), high);
  }

  private sized(other: number, low: number): number {
    return this.drawn++ === this.nth ? Math.max(low, this.n) : other;
  }
}
