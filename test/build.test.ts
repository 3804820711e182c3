/**
 * The published packages: built, packed, installed from their tarballs into an empty folder (install scripts off),
 * type-checked by a strict consumer and run there.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const compiler = join(
  dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
  "bin",
  "tsc",
);
const folder = mkdtempSync(join(tmpdir(), "pact-consumer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const consumer = `
import * as nn from "@pact/nn";
import * as pact from "@pact/pact";
import { init, mul, square, sum, tensor, type Tensor, valueAndGrad } from "@pact/tensor";
import * as simulation from "@pact/tools-sim";

await init({ device: "cpu" });
const f = valueAndGrad((x: Tensor) => sum(mul(3, square(x)))); // 3 Σ x², gradient 6 x
const { value, grads } = f(tensor([1, -2, 5]));
const exported: Record<string, number> = {};
for (const [name, module] of Object.entries({ nn, pact, simulation })) exported[name] = Object.keys(module).length;
console.log(JSON.stringify({ value: await value.item(), gradient: [...(await grads.data())], exported }));
`;

const configuration = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable", "dom"],
    module: "nodenext",
    strict: true,
    skipLibCheck: false,
    types: [],
    outDir: "out",
  },
  files: ["main.ts"],
};

/** Runs a program and returns what it printed; its output is the message if it fails. */
function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error ?? `code ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

beforeAll(() => {
  run(process.execPath, ["--import", "tsx", join(root, "scripts/build.ts")], root);
  run("npm", ["pack", "--workspaces", "--ignore-scripts", "--pack-destination", folder], root);
  const tarballs = readdirSync(folder).map((file) => [
    file.replace(/^pact-(.*)-[\d.]+\.tgz$/, "@pact/$1"),
    `file:${file}`,
  ]);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies: Object.fromEntries(tarballs) }),
  );
  run("npm", ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration));
  writeFileSync(join(folder, "main.ts"), consumer);
}, 300_000);

test("a strict consumer type-checks against the declarations and differentiates on cpu", () => {
  run(process.execPath, [compiler, "-p", folder], folder);
  const printed = JSON.parse(run(process.execPath, [join(folder, "out/main.js")], folder));
  expect(printed.value).toBe(90);
  expect(printed.gradient).toEqual([6, -12, 30]);
  for (const count of Object.values(printed.exported)) expect(count).toBeGreaterThan(3);
});

test("the installed pact command runs the built files", () => {
  const printed = run(process.execPath, [join(folder, "node_modules/.bin/pact"), "doctor", "--json"], folder);
  const report = JSON.parse(printed);
  expect(["hardware", "lavapipe", "swiftshader", "none"]).toContain(report.driver);
  expect(report.node).toBe(process.version);
});
