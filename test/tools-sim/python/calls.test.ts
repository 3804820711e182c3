/** Calls in Python syntax: what is read, what is refused, and that nothing makes the parser throw or linger. */

import { parsePythonCalls } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { evaluate, type PyCall } from "../../../packages/tools-sim/src/python/expression.ts";
import type { PyValue } from "../../../packages/tools-sim/src/python/values.ts";
import { repr } from "../../../packages/tools-sim/src/python/values.ts";

const noCalls = (): never => {
  throw new Error("a call was evaluated");
};
const valueOf = (text: string): PyValue => {
  const [call] = parsePythonCalls(`f(${text})`).calls;
  return evaluate(call.positional[0], noCalls);
};
const show = (call: PyCall) =>
  `${call.name}(${[...call.positional.map((x) => repr(evaluate(x, noCalls))), ...call.named.map(({ name, value }) => `${name}=${repr(evaluate(value, noCalls))}`)].join(", ")})`;

describe("literals", () => {
  test.each<[string, PyValue]>([
    ["10", 10n],
    ["-10", -10n],
    ["10.0", 10],
    ["1_000", 1000n],
    ["0x1F", 31n],
    ["1e3", 1000],
    [".5", 0.5],
    ["5.", 5],
    ["+2", 2n],
    ["True", true],
    ["None", null],
    ["true", true],
    ["'a' 'b'", "ab"],
    ['"it\'s"', "it's"],
    ["'a\\n\\x41\\u00e9\\q'", "a\nAé\\q"],
    ["r'\\n'", "\\n"],
    ["'''two\nlines'''", "two\nlines"],
    ["[1, 2.0, 'x',]", [1n, 2, "x"]],
    ["(1, 2)", [1n, 2n]],
    ["(3)", 3n],
    ["()", []],
    ["{1, 2}", new Set([1n, 2n])],
    [
      "{'a': [1], 2: {}}",
      new Map<string | bigint, PyValue>([
        ["a", [1n]],
        [2n, new Map()],
      ]),
    ],
  ])("%s", (text, value) => {
    expect(valueOf(text)).toEqual(value);
  });
});

describe("calls", () => {
  test.each([
    ["[f(a=1), g('x')]", ["f(a=1)", "g('x')"]],
    ["f(a=1)", ["f(a=1)"]],
    ["  [ A.b( 1 , c = [ ] ) ]  ", ["A.b(1, c=[])"]],
    ["```python\n[f()]\n```", ["f()"]],
    ["[f(x=','), g(y=']')]", ["f(x=',')", "g(y=']')"]],
    ["[]", []],
    ["I can not do that (sorry).", []],
    ["", []],
  ])("%j", (text, calls) => {
    expect(parsePythonCalls(text).calls.map(show)).toEqual(calls);
    expect(parsePythonCalls(text).blocks.every((block) => block.error === undefined)).toBe(true);
  });

  it("nest, and run inside out", () => {
    const [call] = parsePythonCalls("[f(a=[g(1), {'k': h()}])]").calls;
    const ran: string[] = [];
    const value = evaluate(call.named[0].value, (inner) => {
      ran.push(inner.name);
      return inner.name;
    });
    expect(ran).toEqual(["g", "h"]);
    expect(value).toEqual(["g", new Map([["k", "h"]])]);
  });

  test.each([
    ["[f(a=1), g(b=), h(c=3)]", ["f(a=1)", "h(c=3)"], 'expected a value, found "), h(c=3)]"'],
    ["[f(a=1), g(a=1, a=2), h()]", ["f(a=1)", "h()"], "expected a only once"],
    ["[f(1 + 2), h()]", ["h()"], 'expected ")", found "+ 2), h()]"'],
    ["[f('open), h()]", ["h()"], "expected a string that ends with '"],
    ["[f(a=1, 2), h()]", ["h()"], "expected a named argument after a named one"],
    ["[f({[]: 1}), h()]", ["h()"], "expected a string or a whole number as key"],
  ])("%s keeps what is right", (text, kept, message) => {
    const { calls, blocks } = parsePythonCalls(text);
    expect(calls.map(show)).toEqual(kept);
    expect(blocks.flatMap(({ error }) => (error ? [error.message] : []))[0]).toContain(message);
  });

  it("with hostile names and keys make plain data", () => {
    const [call] = parsePythonCalls("[f(__proto__={'__proto__': 1, 'constructor': 2})]").calls;
    const value = evaluate(call.named[0].value, noCalls) as Map<string, PyValue>;
    expect([...value.keys()]).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>).constructor).toBe(Object);
  });
});

describe("fuzzing", () => {
  it("never throws, whatever is cut, doubled or replaced in a valid list", () => {
    const valid = "[cd(folder='a b'), mv(x=[1, -2.5, {'k': None}], y=f(\"z\\u00e9\")), ls(a=True)]";
    const edit = fc.tuple(fc.nat(valid.length), fc.nat(12), fc.string({ unit: "binary", maxLength: 6 }));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 4 }), (edits) => {
        const text = edits.reduce(
          (t, [at, count, insert]) => t.slice(0, at) + insert + t.slice(at + count),
          valid,
        );
        const { calls, blocks } = parsePythonCalls(text);
        expect(calls.length).toBeLessThanOrEqual(blocks.length);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["a megabyte of brackets", `[f(${"[".repeat(1_000_000)}`],
    ["a megabyte of openings", "f(".repeat(500_000)],
    ["a megabyte of commas", `[f(1)${",".repeat(1_000_000)}`],
    ["a megabyte of quotes", `[f('${"\\'".repeat(500_000)}`],
    ["a megabyte of broken calls", `[${"f(=), ".repeat(170_000)}`],
    ["a number of a megabyte", `[f(${"9".repeat(1_000_000)})]`],
    ["lone surrogates", `[f('${"\ud800".repeat(1000)}')]`],
  ])("%s takes no longer than its length asks for", (_name, text) => {
    const start = process.cpuUsage();
    parsePythonCalls(text);
    // Generous: a quadratic pass over a million characters would take minutes of processor time.
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(5);
  });
});
