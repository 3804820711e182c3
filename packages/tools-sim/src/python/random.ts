/**
 * Python's `random.Random(seed)`: the Mersenne Twister MT19937 with Python's seeding of integers, `random`, `randint`
 * and `uniform`, number for number.
 *
 * Sources: M. Matsumoto and T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), with the authors' initialisation by
 * array (mt19937ar, 2002); the documentation of Python's `random`: `random()` takes 53 bits from two words, `randint`
 * draws as many bits as the range needs until one fits. Left out: other seeds than integers, other distributions.
 */
const size = 624;
const shift = 397;

export class PythonRandom {
  private readonly state = new Uint32Array(size);
  private index = size;

  /** @param seed any integer; its absolute value counts, as in Python */
  constructor(seed: bigint) {
    const words: number[] = [];
    for (let rest = seed < 0n ? -seed : seed; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
    this.seedByArray(words.length > 0 ? words : [0]);
  }

  private seedByArray(key: readonly number[]): void {
    const { state } = this;
    state[0] = 19650218;
    for (let i = 1; i < size; i++) {
      state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
    let i = 1;
    let j = 0;
    const wrap = () => {
      if (i < size) return;
      state[0] = state[size - 1];
      i = 1;
    };
    for (let k = Math.max(size, key.length); k > 0; k--) {
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1664525)) + key[j] + j;
      i++;
      j = (j + 1) % key.length;
      wrap();
    }
    for (let k = size - 1; k > 0; k--) {
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1566083941)) - i;
      i++;
      wrap();
    }
    state[0] = 0x80000000;
  }

  /** The next 32 bits. */
  private word(): number {
    const { state } = this;
    if (this.index === size) {
      for (let k = 0; k < size; k++) {
        const y = (state[k] & 0x80000000) | (state[(k + 1) % size] & 0x7fffffff);
        state[k] = state[(k + shift) % size] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.index = 0;
    }
    let y = state[this.index++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A float in [0, 1) with 53 random bits. */
  random(): number {
    const high = this.word() >>> 5;
    const low = this.word() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** A float between `low` and `high`. */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.random();
  }

  /** An integer from `low` to `high`, both possible. */
  randint(low: bigint, high: bigint): bigint {
    const count = high - low + 1n;
    const bits = count.toString(2).length;
    let drawn = this.bits(bits);
    while (drawn >= count) drawn = this.bits(bits);
    return low + drawn;
  }

  private bits(count: number): bigint {
    let value = 0n;
    for (let done = 0; done < count; done += 32) {
      const take = Math.min(32, count - done);
      value |= BigInt(this.word() >>> (32 - take)) << BigInt(done);
    }
    return value;
  }
}
