import { narrowBf16, narrowF16, widenBf16, widenF16 } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { roundToOdd } from "../../packages/tensor/src/half.ts";

const every16BitPattern = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The nearest of all `candidates` (sorted, finite) with ties to the even bit pattern: the slow reference. */
function nearest(value: number, widen: (bits: Uint16Array) => Float32Array, infinityBits: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitudes = widen(Uint16Array.from({ length: infinityBits }, (_, i) => i));
  const magnitude = Math.abs(value);
  const step = magnitudes[infinityBits - 1] - magnitudes[infinityBits - 2];
  if (magnitude >= magnitudes[infinityBits - 1] + step / 2) return sign | infinityBits;
  let [low, high] = [0, infinityBits - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (magnitudes[middle] <= magnitude) low = middle;
    else high = middle - 1;
  }
  const below = magnitude - magnitudes[low];
  const above = low + 1 < infinityBits ? magnitudes[low + 1] - magnitude : Number.POSITIVE_INFINITY;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : low + 1);
}

describe.each([
  { name: "bf16", narrow: narrowBf16, widen: widenBf16, infinityBits: 0x7f80 },
  { name: "f16", narrow: narrowF16, widen: widenF16, infinityBits: 0x7c00 },
])("$name", ({ narrow, widen, infinityBits }) => {
  it("widens and narrows back every bit pattern, NaN staying NaN", () => {
    const wide = widen(every16BitPattern);
    const back = narrow(wide);
    for (const bits of every16BitPattern) {
      if ((bits & 0x7fff) > infinityBits)
        expect((back[bits] & 0x7fff) > infinityBits, `NaN ${bits}`).toBe(true);
      else expect(back[bits]).toBe(bits);
    }
  });

  it("rounds to the nearest value, ties to even", () => {
    const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
    const nearTies = fc.tuple(fc.nat(infinityBits - 2), fc.constantFrom(-1, 0, 1)).map(([bits, nudge]) => {
      const [a, b] = widen(Uint16Array.of(bits, bits + 1));
      const middle = Math.fround((a + b) / 2);
      return Math.fround(middle * (1 + nudge * 2 ** -23));
    });
    fc.assert(
      fc.property(fc.oneof(anyFloat, nearTies), (value) => {
        expect(narrow(Float32Array.of(value))[0]).toBe(nearest(value, widen, infinityBits));
      }),
      { numRuns: 300 },
    );
  });

  it("narrows a view that does not start at its buffer's beginning", () => {
    const values = Float32Array.of(9, 1, -2).subarray(1);
    expect([...widen(narrow(values))]).toEqual([1, -2]);
  });
});

describe("doubles to f16", () => {
  it("round once, not first to f32 and then to f16", () => {
    const nearTies = fc
      .tuple(fc.nat(0x7bfe), fc.constantFrom(-1, 0, 1), fc.nat(20), fc.boolean())
      .map(([bits, nudge, shift, negative]) => {
        const [a, b] = widenF16(Uint16Array.of(bits, bits + 1));
        // Nearer to the middle than an f32 can tell from it.
        const value = ((a + b) / 2) * (1 + nudge * 2 ** (-26 - shift));
        return negative ? -value : value;
      });
    const other = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(1e-60, -1e-60, 1e300, 65519.999999));
    fc.assert(
      fc.property(fc.oneof(nearTies, other), (value) => {
        expect(narrowF16(roundToOdd([value]))[0]).toBe(nearest(value, widenF16, 0x7c00));
      }),
      { numRuns: 500 },
    );
    expect(widenF16(narrowF16(roundToOdd([Number.NaN])))[0]).toBeNaN();
  });
});
