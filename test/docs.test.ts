/**
 * Runs what the documentation shows: every `@example` of @pact/tensor and @pact/nn that checks something, and the checked
 * ```ts fences of the Markdown pages, on the cpu device; and requires that every public name has documentation, every
 * public value a checked example. The examples are written as modules into test/.examples, so the compiler reads them
 * too. Their format is described in test/helpers/examples.ts.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as nnPackage from "@pact/nn";
import * as tensorPackage from "@pact/tensor";
import { beforeEach, describe, expect, test } from "vitest";
import { type Example, examplesIn, moduleOf } from "./helpers/examples.ts";
import { ownNames, type PublicName, publicNames } from "./helpers/public-names.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const folder = join(root, "test/.examples");
const names = {
  tensor: publicNames(join(root, "packages/tensor/src/index.ts")),
  nn: publicNames(join(root, "packages/nn/src/index.ts")),
};

function filesBelow(path: string, ending: string): string[] {
  const at = join(root, path);
  const all = existsSync(at) ? readdirSync(at, { recursive: true, encoding: "utf8" }) : [];
  return all.filter((f) => f.endsWith(ending)).map((f) => join(at, f));
}

/** Imports of the names in scope: the file's own exports, those of its package, and for nn those of tensor. */
function importsFor(file: string): string {
  const taken = new Set<string>();
  const line = (list: readonly PublicName[], from: string): string => {
    const free = list.filter((n) => !taken.has(n.name));
    for (const { name } of free) taken.add(name);
    return `import { ${free.map((n) => `${n.isType ? "type " : ""}${n.name}`).join(", ")} } from "${from}";`;
  };
  const isSource = file.endsWith(".ts");
  const known = new Set([...names.nn, ...names.tensor].map((n) => n.name));
  const internal = isSource ? ownNames(file).filter((n) => !known.has(n.name)) : [];
  return [
    'import { check as $check, checkThrows as $checkThrows } from "../helpers/example-check.ts";',
    ...(internal.length > 0 ? [line(internal, relative(folder, file))] : []),
    ...(file.includes("packages/tensor") ? [] : [line(names.nn, "@pact/nn")]),
    line(names.tensor, "@pact/tensor"),
  ].join("\n");
}

const sources = [...filesBelow("packages/tensor/src", ".ts"), ...filesBelow("packages/nn/src", ".ts")];
const pages = [
  ...["tensor", "nn"].map((p) => join(root, `packages/${p}/README.md`)),
  ...filesBelow("docs", ".md"),
];
const all = [...sources, ...pages].map((file) => ({ file, examples: examplesIn(file) }));

/** Writes a file of the folder, if its text is new: another run may be reading it. */
function write(name: string, text: string): string {
  const path = join(folder, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
  return path;
}

/** Writes the modules of all files with checked examples. */
function writeModules() {
  mkdirSync(folder, { recursive: true });
  const options = {
    extends: "../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false },
    include: ["./*.ts"],
  };
  write("tsconfig.json", JSON.stringify(options));
  const written = all.flatMap(({ file, examples }) => {
    const ready = examples.filter((e) => e.checks);
    if (ready.length === 0) return [];
    const shown = relative(root, file);
    const { text, origin } = moduleOf(ready, importsFor(file), shown);
    const path = write(`${shown.replace(/[^\w]+/g, "-")}.ts`, text);
    return [{ shown, path, origin, examples: ready }];
  });
  const current = new Set(written.map((m) => m.path));
  for (const name of readdirSync(folder)) {
    if (name.endsWith(".ts") && !current.has(join(folder, name))) rmSync(join(folder, name));
  }
  return written;
}

const modules = writeModules();
const cpu = await tensorPackage.createDevice({ device: "cpu" });
beforeEach(() => {
  tensorPackage.setDefaultDevice(cpu);
});

describe.each(modules)("$shown", ({ shown, path, examples }) => {
  test.each(examples.map((e: Example) => ({ line: e.line })))(`${shown}:$line`, async ({ line }) => {
    const made = (await import(/* @vite-ignore */ path)) as Record<string, () => Promise<void>>;
    await made[`at${line}`]();
  });
});

test("the compiler accepts every example", async () => {
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const run = promisify(execFile)(process.execPath, [compiler, "-p", folder, "--pretty", "false"], {
    cwd: folder,
  });
  const output = await run.then(
    () => "",
    (error: { stdout: string }) => error.stdout,
  );
  const places = new Map(modules.map((m) => [relative(folder, m.path), m]));
  // Errors outside the examples are for `npm run check` to show.
  const own = output.split("\n").filter((line) => /^[\w-]+\.ts\(/.test(line));
  const readable = own.map((text) =>
    text.replace(/^([\w-]+\.ts)\((\d+),\d+\)/, (place, file: string, line: string) => {
      return places.get(file)?.origin.get(Number(line)) ?? place;
    }),
  );
  expect(readable).toEqual([]);
});

describe("every public name is documented", () => {
  const exported = Object.entries(names).flatMap(([pkg, list]) =>
    list.map((n) => ({ ...n, title: `${pkg}: ${n.name}` })),
  );
  test("the list is that of the packages", () => {
    const values = (list: readonly PublicName[]) => list.filter((n) => !n.isType).map((n) => n.name);
    expect(values(names.tensor).sort()).toEqual(Object.keys(tensorPackage).sort());
    expect(values(names.nn).sort()).toEqual(Object.keys(nnPackage).sort());
  });
  test.each(exported.filter((n) => n.isType))("$title has JSDoc", ({ doc }) => {
    expect(doc.length).toBeGreaterThan("/** */".length);
  });
  test.each(exported.filter((n) => !n.isType))(
    "$title has JSDoc with a checked example",
    ({ doc, name, file }) => {
      expect(doc, `${name} in ${relative(root, file)}`).toMatch(
        /@example\s*\n[\s\S]*```ts\n[\s\S]*\/\/ → .+\n[\s\S]*```/,
      );
    },
  );
});

test("no @example goes unrun", () => {
  const unrun = all
    .filter(({ file }) => file.endsWith(".ts"))
    .flatMap(({ file, examples }) =>
      examples.filter((e) => !e.checks).map((e) => `${relative(root, file)}:${e.line}`),
    );
  expect(unrun).toEqual([]);
});
