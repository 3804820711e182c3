/** Digits and layout are mpmath's (1.3) and the decimal module's (CPython 3.11); both computed the texts below. */
import { describe, expect, it, test } from "vitest";
import { logarithmText, powerFloat, squareRootText } from "../../../packages/tools-sim/src/python/precise.ts";

describe("logarithm", () => {
  test.each([
    [1348.7745776677982, 2.0, 28, "mpf('10.39743353372209634567245475604')"],
    [2882.969829428481, 16.8187370046868, 15, "mpf('2.8225312317875781')"],
    [1.0000002325078736, 6.0, 40, "mpf('0.0000001297650999389813925779080442114742757214397')"],
    [0.9999994670048991, 10.0, 9, "mpf('-2.31476892903e-7')"],
    [1.0000009845397262, 10.0, 6, "mpf('4.27579891e-7')"],
    [9447.0, 5.77857039054859, 28, "mpf('5.218150989428230038319040282285')"],
    [2098.0358200493224, 49.55014566942434, 16, "mpf('1.959719668172094448')"],
    [1.000000092907345, 10.0, 27, "mpf('0.0000000403491453563661009062839587595')"],
    [2228.2960165387694, 19.47747766512843, 18, "mpf('2.59626827991301716361')"],
    [1.0000000017873432, 2.0, 26, "mpf('2.5785911144030960007730755116e-9')"],
    [1.0000007125542778, 6.0, 28, "mpf('0.0000003976839727513516489896658849422')"],
    [5190.0, 2.0, 35, "mpf('12.341518823245243162045447453537320286')"],
    [954358.4749694535, 9.608367771129133, 32, "mpf('6.0852937059605672978736501350542587')"],
    [36.0, 6.0, 4, "mpf('2.0')"],
    [20, 10, 2, "mpf('1.3027')"],
    [630.0, 10, 5, "mpf('2.7993393')"],
    [3287.0, 6.0, 4, "mpf('4.51947')"],
  ])("of %s to base %s with %s digits is %s", (value, base, digits, text) => {
    expect(logarithmText(value, base, digits)).toBe(text);
  });

  it("refuses base 1 and a precision out of range", () => {
    expect(() => logarithmText(2, 1, 5)).toThrow("division by zero");
    expect(() => logarithmText(2, 10, 0)).toThrow("precision must be from 1 to 1000");
    expect(() => logarithmText(2, 10, 1e9)).toThrow("precision must be from 1 to 1000");
  });
});

describe("square root", () => {
  test.each<[number | bigint, number, string]>([
    [90468916542490n, 19, "Decimal('9511514.944659972514')"],
    [4285583n, 1, "Decimal('2E+3')"],
    [1e-9, 29, "Decimal('0.000031622776601683794304747361978')"],
    [0.25, 12, "Decimal('0.5')"],
    [0.25, 29, "Decimal('0.5')"],
    [33328345523182n, 21, "Decimal('5773070.71870612026716')"],
    [16.0, 14, "Decimal('4')"],
    [16.0, 14, "Decimal('4')"],
    [0.25, 30, "Decimal('0.5')"],
    [0.25, 2, "Decimal('0.5')"],
    [79113112526974n, 26, "Decimal('8894555.2180518841276137945')"],
    [2.25, 19, "Decimal('1.5')"],
    [0n, 5, "Decimal('0')"],
    [16, 3, "Decimal('4')"],
    [2.25, 9, "Decimal('1.5')"],
  ])("of %s with %s digits is %s", (x, digits, text) => {
    expect(squareRootText(x, digits)).toBe(text);
  });
});

describe("power of floats", () => {
  // CPython's `**` gave these; JavaScript's gives another last digit for the first five.
  test.each([
    [43.99, 3, 85125.933199],
    [98.9, 3, 967361.6690000001],
    [23.5, 1.57, 142.09426298499633],
    [29.5, 5.07, 28313764.859619413],
    [124.84, 10, 9.194700763603763e20],
    [-1.5, 3, -3.375],
    [2.5, -2, 0.16],
    [0.1, 2, 0.010000000000000002],
    [0, 0, 1],
    [2, -1074, 5e-324],
    [10, 400, Number.POSITIVE_INFINITY],
    [-8, 1 / 3, Number.NaN],
  ])("%s to the power %s is %s", (x, y, result) => {
    expect(powerFloat(x, y)).toBe(result);
  });
});
