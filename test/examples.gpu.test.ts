/** The examples that are about the GPU, and the training of another one on it. Those that need none: examples.test.ts. */
import { expect, it } from "vitest";
import { requireGpu } from "./helpers/require.ts";
import { gpuExamples, runExample } from "./helpers/run-example.ts";

for (const name of gpuExamples) {
  it(`examples/${name} reaches its target`, async ({ skip }) => {
    if (!(await requireGpu())) skip("no WebGPU adapter");
    expect(await runExample(name)).not.toBe("");
  });
}

it("examples/004-character-gpt.ts auto trains on the adapter", async ({ skip }) => {
  if (!(await requireGpu())) skip("no WebGPU adapter");
  const output = await runExample("004-character-gpt.ts", ["auto"]);
  expect(output).not.toMatch(/^cpu/);
  expect(output).toContain("It stops when the answer is there.");
});
