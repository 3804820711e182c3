/**
 * Builds every package: JavaScript modules, declarations and source maps in packages/<name>/dist, in the order in which they import
 * each other (the `workspaces` of package.json). Nothing here is needed for tests or examples, which run the sources.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const { workspaces } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  workspaces: string[];
};
const compiler = join(
  dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
  "bin",
  "tsc",
);

for (const folder of workspaces) {
  rmSync(join(root, folder, "dist"), { recursive: true, force: true });
  const { status } = spawnSync(
    process.execPath,
    [compiler, "-p", join(root, folder, "tsconfig.build.json")],
    { stdio: "inherit" },
  );
  if (status !== 0) {
    console.error(`build: ${folder} failed`);
    process.exit(status ?? 1);
  }
  console.log(`built ${folder}/dist`);
}
