/**
 * Runs every example that needs no GPU, with no driver allowed; each checks its own target and fails if it misses it. Also
 * keeps the README's list and its program equal to the examples.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { examples, gpuExamples, root, runExample } from "./helpers/run-example.ts";

const textOf = (path: string) => readFileSync(new URL(path, root), "utf8");

for (const name of examples.filter((file) => !gpuExamples.includes(file))) {
  it(`examples/${name} reaches its target without a GPU`, async () => {
    expect(await runExample(name, [], { PACT_DRIVER: "none" })).not.toBe("");
  });
}

it("the examples are numbered without gaps, say what they show and how to run them", () => {
  examples.forEach((name, index) => {
    expect(name.slice(0, 4)).toBe(`${String(index + 1).padStart(3, "0")}-`);
    const head = textOf(`examples/${name}`).split("\nimport")[0];
    expect(head).toMatch(/^\/\/ [A-Z]/);
    expect(head).toContain(`--conditions=source examples/${name}`);
  });
});

it("the README lists every example, in order", () => {
  const listed = [...textOf("README.md").matchAll(/^\| `(\d{3}-[\w-]+\.ts)` \|/gm)].map(([, name]) => name);
  expect(listed).toEqual(examples);
});

it("the README shows examples/001-gradient.ts", () => {
  const shown = textOf("README.md").split("```ts\n")[1].split("```")[0];
  const squeeze = (text: string) => text.replace(/,(?=\s*[})\]])/g, "").replace(/\s+/g, "");
  const example = squeeze(textOf("examples/001-gradient.ts"));
  for (const statement of shown.split("\n\n").slice(0, 3)) expect(example).toContain(squeeze(statement));
});
