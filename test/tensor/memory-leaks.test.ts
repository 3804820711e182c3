/** The leak report names the line and column of this file that made a tensor, however deep in the library it was made. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as t from "@pact/tensor";
import { expect, test } from "vitest";

const device = await t.createDevice({ device: "cpu" });
const file = fileURLToPath(import.meta.url);
const source = readFileSync(file, "utf8").split("\n");

/** `file:line:column` of the call written as `call` on the line of this file that ends with the comment `mark`. */
function place(mark: string, call: string): string {
  const line = source.findIndex((text) => text.endsWith(`// ${mark}`));
  return `${file}:${line + 1}:${source[line].indexOf(call) + 1}`;
}

/** What leaks while `f` runs: places with counts, in the order of the report. */
function leaksOf(f: () => unknown): string[] {
  const report = device.trackLeaks();
  f();
  return report().map(({ line, count }) => `${count} at ${line}`);
}

const x = t.tensor([1, 2, 3], { device });

test("a tensor made here", () => {
  const leaks = leaksOf(() => t.ones([2], { device })); // made here
  expect(leaks).toEqual([`1 at ${place("made here", "ones(")}`]);
});

test("the result of an operation", () => {
  const leaks = leaksOf(() => t.softmax(x)); // by an operation
  expect(leaks).toEqual([`1 at ${place("by an operation", "softmax(")}`]);
});

test("what leaves a scope in another scope", () => {
  const leaks = leaksOf(() =>
    t.scope(() => {
      return t.scope(() => t.exp(t.neg(x))); // in a scope
    }),
  );
  expect(leaks).toEqual([`1 at ${place("in a scope", "exp(")}`]);
});

test("value and gradient of a differentiated function, deep in the library", () => {
  const leaks = leaksOf(() => {
    const f = (p: t.Tensor) => t.sum(t.square(p)); // the value
    return t.valueAndGrad(f)(x); // the gradient
  });
  expect(leaks).toEqual([`1 at ${place("the value", "sum(")}`, `1 at ${place("the gradient", "(x)")}`]);
});

test("a gradient of a gradient, through more frames than a stack usually shows", () => {
  const leaks = leaksOf(() => {
    const cube = (p: t.Tensor) => t.sum(t.mul(p, t.mul(p, p)));
    const deep = t.grad((p: t.Tensor) => t.sum(t.grad((q: t.Tensor) => t.sum(t.grad(cube)(q)))(p)));
    return [1].map(() => t.scope(() => deep(x))); // deep inside
  });
  expect(leaks).toEqual([`1 at ${place("deep inside", "deep(x)")}`]);
});

test("repeats are counted, and the most frequent line comes first", () => {
  const leaks = leaksOf(() => {
    t.zeros([1], { device }); // once
    for (let i = 0; i < 3; i++) t.zeros([1], { device }); // three times
  });
  expect(leaks).toEqual([`3 at ${place("three times", "zeros(")}`, `1 at ${place("once", "zeros(")}`]);
});

test("a line in a folder called tensor/src is a user's like any other", () => {
  const make = new Function(
    "zeros",
    "device",
    "return zeros([1], { device });\n//# sourceURL=/home/me/tensor/src/train.js",
  );
  const leaks = leaksOf(() => make(t.zeros, device));
  expect(leaks[0]).toMatch(/^1 at \/home\/me\/tensor\/src\/train\.js:\d+:8$/);
});
