/**
 * Runs every example as a user would, in a process of its own; each checks its own target and exits with 1 if it misses
 * it. Also keeps the README's program equal to the example it names.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { requireGpu } from "./helpers/require.ts";

const root = new URL("../", import.meta.url);
const run = promisify(execFile);

for (const name of readdirSync(new URL("examples/", root)).filter((file) => file.endsWith(".ts"))) {
  it(`examples/${name} reaches its target`, async ({ skip }) => {
    if (!(await requireGpu())) skip("no WebGPU adapter");
    const { stdout } = await run(
      process.execPath,
      ["--import", "tsx", "--conditions=source", `examples/${name}`],
      {
        cwd: root,
      },
    );
    expect(stdout).not.toBe("");
  });
}

it("the README shows examples/001-gradient.ts", () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const shown = readme.split("```ts\n")[1].split("```")[0];
  const example = readFileSync(new URL("examples/001-gradient.ts", root), "utf8");
  const squeeze = (text: string) => text.replace(/,(?=\s*[})\]])/g, "").replace(/\s+/g, "");
  for (const statement of shown.split("\n\n").slice(0, 3))
    expect(squeeze(example)).toContain(squeeze(statement));
});
