/**
 * Checks how files import each other, in the spirit of TypeGPU's circular-dependency script:
 * packages point one way (tensor ← nn ← pact → tools-sim) and meet through their public names only, no file leaves its
 * package by a relative path, npm packages are declared, and no files import each other in a circle (type-only imports
 * are erased and do not count). Left out: unused exports.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

/** Packages each package may import. */
const ALLOWED: Record<string, readonly string[]> = {
  tensor: [],
  nn: ["tensor"],
  "tools-sim": [],
  pact: ["nn", "tensor", "tools-sim"],
};

/** An import as written. */
export interface ImportStatement {
  specifier: string;
  /** Erased by the compiler: `import type …`. */
  typeOnly: boolean;
}

/** The import, export-from and dynamic import statements of a source text; comments do not count. */
export function importsOf(source: string): ImportStatement[] {
  // Strings are matched first, so that "//" and "/*" inside them start no comment; templates are never specifiers.
  const code = source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    "$1",
  );
  const found: ImportStatement[] = [];
  const statement = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*$\s{},]+?\sfrom\s*)?["']([^"'\n]+)["']/gm;
  for (const [, type, specifier] of code.matchAll(statement))
    found.push({ specifier, typeOnly: type !== undefined });
  for (const [, specifier] of code.matchAll(/\bimport\(\s*["']([^"'\n]+)["']\s*\)/g)) {
    found.push({ specifier, typeOnly: false });
  }
  return found;
}

/** Everything wrong under `root`, one line each. */
export function checkImports(root: string): string[] {
  const problems: string[] = [];
  const graph = new Map<string, string[]>();
  for (const file of sources(root)) {
    const edges: string[] = [];
    for (const { specifier, typeOnly } of importsOf(readFileSync(join(root, file), "utf8"))) {
      const problem = checkOne(root, file, specifier);
      if (problem) problems.push(`${file}: "${specifier}" ${problem}`);
      if (!typeOnly && specifier.startsWith(".")) edges.push(targetOf(root, file, specifier));
    }
    graph.set(file, edges);
  }
  return [
    ...problems,
    ...cycles(graph).map((cycle) => `files import each other in a circle: ${cycle.join(" → ")}`),
  ];
}

function sources(root: string): string[] {
  const folders = [
    ...Object.keys(ALLOWED).map((name) => join("packages", name, "src")),
    "test",
    "examples",
    "bench",
    "scripts",
  ];
  const existing = folders.filter((folder) => existsSync(join(root, folder)));
  return existing
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        join(folder, file),
      ),
    )
    .filter((file) => file.endsWith(".ts") && !file.split(sep).includes("node_modules"))
    .sort();
}

function targetOf(root: string, file: string, specifier: string): string {
  return relative(root, resolve(root, dirname(file), specifier));
}

/** What is wrong with one import, as the end of a sentence, or undefined. */
function checkOne(root: string, file: string, specifier: string): string | undefined {
  const owner = /^packages[\\/]([^\\/]+)[\\/]src[\\/]/.exec(file)?.[1];
  if (specifier.startsWith(".")) {
    const target = targetOf(root, file, specifier);
    if (!existsSync(join(root, target))) return "does not exist; relative imports carry their extension";
    if (owner && !target.startsWith(join("packages", owner, "src") + sep))
      return "leaves its package; import a public name";
    if (file.startsWith("examples") && target.startsWith("packages"))
      return "is not public; examples import @pact/* only";
    return undefined;
  }
  const [, scoped, deeper] = /^@pact\/([^/]+)(\/.*)?$/.exec(specifier) ?? [];
  if (scoped) {
    if (!(scoped in ALLOWED)) return "is no package of this repository";
    if (deeper) return `reaches inside a package; import from "@pact/${scoped}"`;
    if (owner && !ALLOWED[owner].includes(scoped))
      return `points the wrong way: ${owner} imports ${ALLOWED[owner].join(", ") || "no sibling"}`;
    return undefined;
  }
  if (!owner || isBuiltin(specifier)) return undefined;
  const manifest = JSON.parse(readFileSync(join(root, "packages", owner, "package.json"), "utf8")) as {
    dependencies?: Record<string, string>;
  };
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  return manifest.dependencies?.[name]
    ? undefined
    : `is not among the dependencies of packages/${owner}/package.json`;
}

/** Circles of a graph, each once, as the list of its nodes with the first repeated at the end. */
export function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];
  const visit = (node: string): void => {
    state.set(node, "open");
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      if (state.get(next) === "open") found.push([...path.slice(path.indexOf(next)), next]);
      else if (!state.has(next)) visit(next);
    }
    path.pop();
    state.set(node, "done");
  };
  for (const node of graph.keys()) if (!state.has(node)) visit(node);
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkImports(process.cwd());
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log("imports: one direction, public names, no circles");
}
