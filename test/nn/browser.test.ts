/** @pact/nn can be imported in a browser: what index.ts imports at once names no module of Node. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../../packages/nn/src/", import.meta.url));

/** What a module imports when it is loaded: no types, no `import()`. */
function staticImports(path: string): string[] {
  const code = readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  const statement = /^\s*(?:import|export)\s+(?!type\s)(?:[\w*$\s{},]+?\sfrom\s*)?"([^"\n]+)"/gm;
  return [...code.matchAll(statement)].map(([, specifier]) => specifier);
}

test("index.ts reaches node: only through import()", () => {
  const reached = new Map<string, string[]>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.set(path, staticImports(path));
    for (const specifier of reached.get(path)!)
      if (specifier.startsWith(".")) visit(join(dirname(path), specifier));
  };
  visit(join(source, "index.ts"));
  const files = [...reached.keys()].map((path) => relative(source, path));
  expect(files).toContain("model-folder.ts");
  expect(files).toContain("tokenizer/load.ts");
  const found = [...reached].flatMap(([path, list]) =>
    list.filter((s) => s.startsWith("node:")).map((s) => `${relative(source, path)}: ${s}`),
  );
  expect(found).toEqual([]);
  // The test would see one: the readers and writers of folders do name them.
  expect(staticImports(join(source, "folder/read.ts"))).toContain("node:fs/promises");
  expect(files).not.toContain("folder/read.ts");
  expect(files).not.toContain("folder/write.ts");
});
