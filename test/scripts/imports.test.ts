/** The import checker finds each kind of mistake it is there for, on small made-up repositories. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { checkImports, cycles, importsOf } from "../../scripts/imports.ts";

let root = "";
afterEach(() => {
  if (root) rmSync(root, { recursive: true });
  root = "";
});

function check(files: Record<string, string>): string[] {
  root = mkdtempSync(join(tmpdir(), "pact-imports-"));
  const manifest = JSON.stringify({ dependencies: { webgpu: "1" } });
  for (const [path, text] of Object.entries({ "packages/tensor/package.json": manifest, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return checkImports(root);
}

test("statements of every form are read, comments and type-only imports told apart", () => {
  const source = `/** import { no } from "./comment.ts"; */
import a, { b,
  c } from "./a.ts"; // import "./also-not.ts"
import type { T } from './t.ts';
import "node:fs";
import * as n from "n";
export { x } from "./x.ts";
export * from "./y.ts";
const url = "http://z"; const lazy = await import("./lazy.ts");
export type { U } from "./u.ts";
export const from = "./value.ts";`;
  const plain = ["./a.ts", "node:fs", "n", "./x.ts", "./y.ts", "./lazy.ts"];
  const found = importsOf(source);
  expect(found.filter((i) => !i.typeOnly).map((i) => i.specifier)).toEqual(plain);
  expect(found.filter((i) => i.typeOnly).map((i) => i.specifier)).toEqual(["./t.ts", "./u.ts"]);
});

test("correct imports pass", () => {
  const found = check({
    "packages/tensor/src/a.ts": 'import { b } from "./b.ts"; import "node:fs"; await import("webgpu");',
    "packages/tensor/src/b.ts": 'import type { A } from "./a.ts";',
    "packages/nn/src/a.ts": 'import { add } from "@pact/tensor";',
    "test/a.test.ts": 'import "../packages/tensor/src/a.ts"; import "@pact/pact";',
  });
  expect(found).toEqual([]);
});

test.each([
  ["tensor must not import nn", 'import "@pact/nn";', /points the wrong way/],
  ["only public names", 'import "@pact/tensor/src/b.ts";', /reaches inside a package/],
  ["no relative path out of the package", 'import "../../nn/src/a.ts";', /leaves its package/],
  ["undeclared dependencies", 'import "left-pad";', /not among the dependencies/],
  ["missing files", 'import "./absent.ts";', /does not exist/],
  ["unknown packages", 'import "@pact/other";', /no package of this repository/],
])("%s", (_name, text, message) => {
  const found = check({ "packages/tensor/src/a.ts": text, "packages/nn/src/a.ts": "" });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(message);
});

test("a circle of files is named", () => {
  const found = check({
    "packages/tensor/src/a.ts": 'import "./b.ts";',
    "packages/tensor/src/b.ts": 'import "./c.ts";',
    "packages/tensor/src/c.ts": 'import "./a.ts";',
  });
  const src = join("packages", "tensor", "src");
  const circle = ["a.ts", "b.ts", "c.ts", "a.ts"].map((file) => join(src, file)).join(" → ");
  expect(found).toEqual([`files import each other in a circle: ${circle}`]);
});

test("a graph has a circle exactly if its nodes can not be put in an order", () => {
  const edges = fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 14 });
  fc.assert(
    fc.property(edges, (pairs) => {
      const graph = new Map<string, string[]>();
      for (let node = 0; node <= 6; node++) {
        graph.set(
          `${node}`,
          pairs.filter(([from]) => from === node).map(([, to]) => `${to}`),
        );
      }
      // Kahn: take away nodes without outgoing edges until none is left.
      const left = new Map(graph);
      for (let removed = true; removed; ) {
        const free = [...left].find(([, next]) => next.every((node) => !left.has(node)));
        removed = free !== undefined;
        if (free) left.delete(free[0]);
      }
      expect(cycles(graph).length > 0).toBe(left.size > 0);
    }),
  );
});
