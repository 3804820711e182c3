/**
 * Runs what the documentation shows: every `@example` of the packages that checks something, and the checked
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
import * as pactPackage from "@pact/pact";
import * as tensorPackage from "@pact/tensor";
import { beforeEach, describe, expect, test } from "vitest";
import { type Example, examplesIn, moduleOf } from "./helpers/examples.ts";
import { ownNames, type PublicName, publicNames } from "./helpers/public-names.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const folder = join(root, "test/.examples");
const names = {
  tensor: publicNames(join(root, "packages/tensor/src/index.ts")),
  nn: publicNames(join(root, "packages/nn/src/index.ts")),
  pact: publicNames(join(root, "packages/pact/src/index.ts")),
};
const toolsSim = publicNames(join(root, "packages/tools-sim/src/index.ts"));

function filesBelow(path: string, ending: string): string[] {
  const at = join(root, path);
  const all = existsSync(at) ? readdirSync(at, { recursive: true, encoding: "utf8" }) : [];
  return all.filter((f) => f.endsWith(ending)).map((f) => join(at, f));
}

/** Imports of the names in scope: the file's own exports, those of its package, and those of the packages below it. */
function importsFor(file: string): string {
  const taken = new Set<string>();
  const line = (list: readonly PublicName[], from: string): string => {
    const free = list.filter((n) => !taken.has(n.name));
    for (const { name } of free) taken.add(name);
    return `import { ${free.map((n) => `${n.isType ? "type " : ""}${n.name}`).join(", ")} } from "${from}";`;
  };
  const isSource = file.endsWith(".ts");
  const below: [readonly PublicName[], string][] = file.includes("packages/tools-sim")
    ? [[toolsSim, "@pact/tools-sim"]]
    : aboveTensor(file);
  const known = new Set(below.flatMap(([list]) => list.map((n) => n.name)));
  const internal = isSource ? ownNames(file).filter((n) => !known.has(n.name)) : [];
  return [
    'import { check as $check, checkThrows as $checkThrows } from "../helpers/example-check.ts";',
    ...(internal.length > 0 ? [line(internal, relative(folder, file))] : []),
    ...below.map(([list, from]) => line(list, from)),
  ].join("\n");
}

/** The packages whose names an example of @pact/tensor, or of a package above it, sees. */
function aboveTensor(file: string): [readonly PublicName[], string][] {
  const [isPact, isTensor] = [file.includes("packages/pact"), file.includes("packages/tensor")];
  return [
    ...(isPact ? ([[names.pact, "@pact/pact"]] as [PublicName[], string][]) : []),
    ...(isTensor ? [] : ([[names.nn, "@pact/nn"]] as [PublicName[], string][])),
    [names.tensor, "@pact/tensor"],
    ...(isPact ? ([[toolsSim, "@pact/tools-sim"]] as [PublicName[], string][]) : []),
  ];
}

const sources = ["tensor", "nn", "pact", "tools-sim"].flatMap((name) =>
  filesBelow(`packages/${name}/src`, ".ts"),
);
const pages = [
  ...["tensor", "nn", "pact"].map((p) => join(root, `packages/${p}/README.md`)),
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
    // What @pact/pact passes on of @pact/tools-sim is documented there.
    const passedOn = new Set(toolsSim.map((n) => n.name));
    const own = Object.keys(pactPackage).filter((name) => !passedOn.has(name));
    expect(values(names.pact).sort()).toEqual(own.sort());
  });
  test.each(exported.filter((n) => n.isType))("$title has JSDoc", ({ doc }) => {
    expect(doc.length).toBeGreaterThan("/** */".length);
  });
  const checked = /@example\s*\n[\s\S]*```ts\n[\s\S]*\/\/ → .+\n[\s\S]*```/;
  test.each(exported.filter((n) => !n.isType))(
    "$title has JSDoc with a checked example",
    ({ doc, name, file }) => {
      expect(doc, `${name} in ${relative(root, file)}`).toMatch(checked);
    },
  );
});

/** Files whose examples need what a test has not: published data, a server, or a schema library of the user's. */
const needsMore = [
  "packages/tools-sim/src/bfcl/environment.ts",
  "packages/tools-sim/src/bfcl/load.ts",
  "packages/tools-sim/src/bfcl/score.ts",
  "packages/tools-sim/src/bfcl/simulator.ts",
  "packages/tools-sim/src/endpoint/client.ts",
  "packages/tools-sim/src/endpoint/policy.ts",
  "packages/tools-sim/src/ftrl.ts",
  "packages/tools-sim/src/tool.ts",
  "packages/tools-sim/src/toolhop/environment.ts",
  "packages/tools-sim/src/toolhop/load.ts",
  "packages/tools-sim/src/traces/file.ts",
];

test("no @example goes unrun", () => {
  // What @pact/pact keeps to itself (the command line, the report) may show its use in a line that is not run.
  const unrun = all
    .map(({ file, examples }) => ({ shown: relative(root, file), examples }))
    .filter(({ shown }) => shown.endsWith(".ts") && !shown.includes("packages/pact"))
    .filter(({ shown }) => !needsMore.includes(shown))
    .flatMap(({ shown, examples }) => examples.filter((e) => !e.checks).map((e) => `${shown}:${e.line}`));
  expect(unrun).toEqual([]);
});
