/** Runs the programs of examples/ as a user would, in processes of their own. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { promisify } from "node:util";

export const root = new URL("../../", import.meta.url);

/** File names in examples/, in the order of their numbers. */
export const examples = readdirSync(new URL("examples/", root))
  .filter((file) => file.endsWith(".ts"))
  .sort();

/** Examples about the GPU; every other one runs without. */
export const gpuExamples: readonly string[] = ["001-gradient.ts", "002-custom-op.ts"];

/** What the example prints; rejects if it misses its target. */
export async function runExample(
  name: string,
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--conditions=source", `examples/${name}`, ...args],
    { cwd: root, env: { ...process.env, ...environment } },
  );
  return stdout;
}
