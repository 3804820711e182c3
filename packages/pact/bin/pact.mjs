#!/usr/bin/env node
/**
 * The `pact` command: runs src/cli.ts through tsx in a checkout, dist/cli.js when installed. Plain JavaScript, because
 * it runs before anything is built. Everything happens in this one process, so signals and exit codes need no relay.
 */
import { existsSync } from "node:fs";
import { register } from "node:module";
import { fileURLToPath } from "node:url";

const source = new URL("../src/cli.ts", import.meta.url);
const built = new URL("../dist/cli.js", import.meta.url);

/** Makes imports of .ts files work and resolves @pact/* to sources; false where tsx is not installed. */
async function runFromSource() {
  const tsx = await import("tsx/esm/api").catch((error) => {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  });
  if (!tsx) return false;
  // The same as node --conditions=source, which can not be given to a process that already runs.
  const hook = `export const resolve = (specifier, context, next) =>
    next(specifier, { ...context, conditions: [...context.conditions, "source"] });`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
  tsx.register();
  process.setSourceMapsEnabled(true);
  return true;
}

// An installed package carries its sources too, but runs what was built from them.
const checkout = !import.meta.url.includes("/node_modules/") && existsSync(source);
const entry = checkout && (await runFromSource()) ? source : built;
if (existsSync(entry)) {
  process.argv[1] = fileURLToPath(entry);
  await import(entry.href);
} else {
  console.error("pact: this checkout has neither tsx nor a build. Run `npm ci` first.");
  process.exitCode = 1;
}
