/** Texts, equality and arithmetic are Python's; the expected texts below are what CPython 3.11 prints. */

import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { dumps, JsonTextError, loads } from "../../../packages/tools-sim/src/python/json.ts";
import {
  add,
  divide,
  fixed,
  multiply,
  power,
  round,
} from "../../../packages/tools-sim/src/python/numbers.ts";
import { PythonRandom } from "../../../packages/tools-sim/src/python/random.ts";
import {
  deepCopy,
  equal,
  floatText,
  PyObject,
  type PyValue,
  repr,
  str,
  truthy,
} from "../../../packages/tools-sim/src/python/values.ts";

describe("repr", () => {
  test.each([
    [0.1, "0.1"],
    [10, "10.0"],
    [-0, "-0.0"],
    [1e16, "1e+16"],
    [123456789012345680, "1.2345678901234568e+17"],
    [9999999999999998, "9999999999999998.0"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [1.5e-7, "1.5e-07"],
    [5e-324, "5e-324"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [Number.NaN, "nan"],
    [Number.NEGATIVE_INFINITY, "-inf"],
  ])("of the float %s is %s", (x, text) => {
    expect(floatText(x)).toBe(text);
  });

  test.each<[PyValue, string]>([
    [null, "None"],
    [true, "True"],
    [10n, "10"],
    ["it's", `"it's"`],
    [`it's "x"`, `'it\\'s "x"'`],
    ["a\n\t\\\x00\x7f\u200bé", "'a\\n\\t\\\\\\x00\\x7f\\u200bé'"],
    [[1n, [2.5, "a"]], "[1, [2.5, 'a']]"],
    [
      new Map<string | bigint, PyValue>([
        ["a", 1n],
        [2n, null],
      ]),
      "{'a': 1, 2: None}",
    ],
    [new Set([1n]), "{1}"],
    [new Set(), "set()"],
    [new PyObject("mpf('2.0')"), "mpf('2.0')"],
  ])("%#: %s", (value, text) => {
    expect(repr(value)).toBe(text);
    expect(str(value)).toBe(typeof value === "string" ? value : text);
  });

  it("reads back as the same float", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (x) =>
        Object.is(Number(floatText(x).replace("inf", "Infinity")), x),
      ),
    );
  });
});

describe("JSON", () => {
  it("keeps int and float apart, and the order of keys", () => {
    const text = '{"z": 10, "a": 10.0, "n": [null, true, -0.5, 1e+22], "__proto__": {"x": "\\u00e9\\n"}}';
    expect(dumps(loads(text))).toBe(text);
  });

  it("reads every text that JavaScript writes, and writes one it can read", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        // NOTE: JavaScript writes -0 as 0.
        expect(JSON.parse(dumps(loads(JSON.stringify(value)))!)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test.each([
    ['{"a": 1,}', "expected a string at character 8"],
    ["[1 2]", 'expected "," or "]" at character 3'],
    ["01", "expected the end at character 1"],
    ['"\u0001"', "expected a string at character 0"],
    ["", "expected a value at character 0"],
    ["{} x", "expected the end at character 3"],
    ["[".repeat(1000), "expected nesting of at most 200 at character 201"],
  ])("refuses %s", (text, message) => {
    expect(() => loads(text)).toThrow(
      new JsonTextError(message.replace(/ at character \d+$/, ""), Number(message.split(" ").at(-1))),
    );
  });

  it("writes no sets and objects", () => {
    expect(dumps(new Map([["a", new Set([1n])]]))).toBeUndefined();
    expect(dumps([new PyObject("x")])).toBeUndefined();
  });
});

describe("equality", () => {
  test.each<[PyValue, PyValue, boolean]>([
    [10n, 10, true],
    [1n, true, true],
    [2n ** 53n + 1n, 2 ** 53, false],
    [Number.NaN, Number.NaN, false],
    ["1", 1n, false],
    [null, 0n, false],
    [[1n, 2n], [1, 2], true],
    [[1n], [1n, 2n], false],
    [new Set([1n, 2n]), new Set([2, 1]), true],
  ])("%#: %s and %s: %s", (a, b, same) => {
    expect(equal(a, b)).toBe(same);
    expect(equal(b, a)).toBe(same);
  });

  it("of dicts ignores order, and tells keys 1 and '1' apart", () => {
    const a = new Map<string | bigint, PyValue>([
      ["x", 1n],
      [1n, [2n]],
    ]);
    const b = new Map<string | bigint, PyValue>([
      [1n, [2]],
      ["x", 1],
    ]);
    expect(equal(a, b)).toBe(true);
    expect(equal(a, new Map([...b, ["y", null]]))).toBe(false);
    expect(equal(new Map([[1n, 0n]]), new Map([["1", 0n]]))).toBe(false);
  });

  it("of a deep copy holds, and the copy is its own", () => {
    const value = new Map<string, PyValue>([["a", [new Set([1n]), new Map([["b", 2.5]])]]]);
    const copy = deepCopy(value);
    expect(equal(copy, value)).toBe(true);
    (copy.get("a") as PyValue[]).push(null);
    expect(equal(copy, value)).toBe(false);
  });

  it("of nothing and empty is not truth", () => {
    for (const value of [null, false, 0n, 0, "", [], new Map(), new Set<PyValue>()])
      expect(truthy(value)).toBe(false);
    for (const value of [true, 2n, Number.NaN, "0", [null]]) expect(truthy(value)).toBe(true);
  });
});

describe("arithmetic", () => {
  it("is of ints an int, else a float", () => {
    expect(add(1n, 2n)).toBe(3n);
    expect(add(1n, 2)).toBe(3);
    expect(multiply(3n, 0.5)).toBe(1.5);
    expect(divide(6n, 3n)).toBe(2);
    expect(power(2n, 10n)).toBe(1024n);
    expect(power(2n, -1n)).toBe(0.5);
    expect(() => divide(1n, 0n)).toThrow("division by zero");
    expect(() => divide(1, 0n)).toThrow("float division by zero");
    expect(() => power(10n, 100_000n)).toThrow("too many digits");
    expect(() => power(0, -1n)).toThrow("negative power");
  });

  test.each([
    [0.125, 2, "0.12"],
    [2.675, 2, "2.67"],
    [0.5, 0, "0"],
    [1.5, 0, "2"],
    [-0.125, 2, "-0.12"],
    [9.995, 2, "9.99"],
    [205, 2, "205.00"],
    [1e22, 1, "10000000000000000000000.0"],
  ])("%s with %s decimals is %s", (x, digits, text) => {
    expect(fixed(x, digits)).toBe(text);
  });

  it("rounds ties to even, on either side of the point", () => {
    expect([25n, 35n, -25n, -15n].map((x) => round(x, -1n))).toEqual([20n, 40n, -20n, -20n]);
    expect(round(1250, -2n)).toBe(1200);
    expect(round(2.5, 0n)).toBe(2);
    expect(round(7n, 3n)).toBe(7n);
  });
});

describe("random", () => {
  // Computed with CPython: random.Random(seed).
  test.each([
    [141053n, [0.932697140758107, 0.8259937857399504], [3426812n, 5431449n, 7223063n], 36.63485703790535],
    [1053520n, [0.5265434537333772, 0.49429354619675814], [9833933n, 1895349n, 9292869n], 16.32717268666886],
    [200191n, [0.43800645502214086, 0.11098638043221865], [8348528n, 5066896n, 2862042n], 11.900322751107044],
  ])("of seed %s", (seed, floats, ints, uniform) => {
    const first = new PythonRandom(seed);
    expect(floats.map(() => first.random())).toEqual(floats);
    const second = new PythonRandom(seed);
    expect(ints.map(() => second.randint(1_000_000n, 9_999_999n))).toEqual(ints);
    expect(new PythonRandom(seed).uniform(-10, 40)).toBe(uniform);
  });

  it("takes large and negative seeds, and goes on past one block of words", () => {
    expect(new PythonRandom(2n ** 70n).random()).toBe(0.2327882718301838);
    expect(new PythonRandom(-5n).random()).toBe(0.6229016948897019);
    expect(new PythonRandom(7n).randint(0n, 10n ** 12n)).toBe(434439589175n);
    const random = new PythonRandom(1n);
    const drawn = Array.from({ length: 2000 }, () => random.randint(0n, 9n));
    expect(drawn.slice(-6)).toEqual([2n, 6n, 6n, 0n, 1n, 5n]);
  });
});
