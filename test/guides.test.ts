/** The guides agree with the code: files and names they mention exist, what they quote is there, and the kernel shown is the one generated. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createDevice, tensor } from "@pact/tensor";
import { expect, test } from "vitest";
import { moduleText } from "../packages/tensor/src/backends/webgpu/codegen.ts";
import { squareOp } from "../packages/tensor/src/ops/arithmetic.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const guides = [
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((f) => `docs/${f}`),
  "CONTRIBUTING.md",
  "README.md",
].filter((f) => f.endsWith(".md") && existsSync(join(root, f)));

/** A text without its line breaks and indents. */
const squeeze = (text: string) => text.trim().split(/\s+/).join(" ");

const path = String.raw`(?:packages|test|docs|examples|bench|scripts)/[\w./-]+\.\w+`;

test.each(guides)("every file that %s names exists", (guide) => {
  const named = [...read(guide).matchAll(new RegExp(`\`(${path})\``, "g"))].map(([, file]) => file);
  expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

test.each(guides)("every name that %s places in a file is there", (guide) => {
  const placed = [...read(guide).matchAll(new RegExp(`\`([\\w]+)\` in\\s\`(${path})\``, "g"))];
  const wrong = placed.filter(([, name, file]) => !new RegExp(`\\b${name}\\b`).test(read(file)));
  expect(wrong.map(([text]) => text)).toEqual([]);
});

test("the code that guides quote is in the sources", () => {
  const quoted = ["docs/architecture.md", "CONTRIBUTING.md"].flatMap((guide) =>
    [...read(guide).matchAll(/^```\n(\/\*\*[\s\S]*?)^```$/gm)].map(([, code]) => squeeze(code)),
  );
  const folder = join(root, "packages/tensor/src/ops");
  const sources = readdirSync(folder).map((f) => squeeze(read(`packages/tensor/src/ops/${f}`)));
  expect(quoted.length).toBe(3);
  expect(quoted.filter((code) => !sources.some((s) => s.includes(code)))).toEqual([]);
});

test("docs/architecture.md shows the kernel of square as it is generated", async () => {
  const device = await createDevice({ device: "cpu" });
  const [x, y] = [0, 1].map(() =>
    tensor(
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      { device },
    ),
  );
  const [call] = squareOp.webgpu!([x], [y], null);
  const page = read("docs/architecture.md");
  expect(squeeze(page.split("```wgsl\n")[1].split("```")[0])).toBe(squeeze(moduleText(call.source())));
  expect(page).toContain(`\`${call.key}\``);
  expect(page).toContain(`\`[${call.params.join(", ")}]\` (offset, period) and the count ${call.count}`);
});
