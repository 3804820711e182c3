/**
 * The guides agree with the code: files, names, links, metrics and commands they mention exist, what they quote is there, the
 * pages of methods have one shape, and the kernel shown is the one generated.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { methods, metricDescriptions } from "@pact/pact";
import { createDevice, tensor } from "@pact/tensor";
import { expect, test } from "vitest";
import { main } from "../packages/pact/src/cli.ts";
import { moduleText } from "../packages/tensor/src/backends/webgpu/codegen.ts";
import { squareOp } from "../packages/tensor/src/ops/arithmetic.ts";
import { ownNames } from "./helpers/public-names.ts";

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

/** Relative links of a guide: their text, and the file they lead to from the repository's root. */
const linksOf = (guide: string) =>
  [...read(guide).matchAll(/\[([^\]]+)\]\((?!https?:)([^)#\s]+)[^)]*\)/g)].map(([, text, target]) => ({
    text,
    file: join(dirname(guide), target),
  }));

test.each(guides)("every link of %s leads to a file", (guide) => {
  expect(linksOf(guide).filter(({ file }) => !existsSync(join(root, file)))).toEqual([]);
});

const methodPages = guides.filter((f) => f.startsWith("docs/algorithms/") && !f.endsWith("objectives.md"));

test.each(methodPages)(
  "%s has the shape of a method's page, and its functions are exported by the files it links to",
  (guide) => {
    const headings = [...read(guide).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    const shape = ["Quick facts", "Notation", "Metrics to watch", "Details", "Command", "Result"];
    expect(shape.filter((heading) => !headings.includes(heading))).toEqual([]);
    const functions = linksOf(guide).filter(({ file }) => file.endsWith(".ts"));
    expect(functions.length).toBeGreaterThan(3);
    const isExported = ({ text, file }: (typeof functions)[number]) =>
      ownNames(join(root, file)).some(({ name, isType }) => !isType && `\`${name}\`` === text);
    expect(functions.filter((link) => !isExported(link))).toEqual([]);
  },
);

test.each(methodPages)("every equation of %s stands beside its function", (guide) => {
  const tables = [...read(guide).matchAll(/^\|.*\| Function \|\n\|[-|]+\|\n((?:\|.*\n)+)/gm)];
  const rows = tables.flatMap(([, body]) => body.trim().split("\n"));
  expect(rows.length).toBeGreaterThan(3);
  expect(rows.filter((row) => !/\[`\w+`\]\([^)]+\.ts\)/.test(row))).toEqual([]);
});

test("every method has a page, or its row on PACT's", () => {
  const own = Object.keys(methods).filter((name) => methodPages.includes(`docs/algorithms/${name}.md`));
  expect(own.sort()).toEqual(["chord", "ftrl", "grpo", "matchtir", "pact", "sft", "toolrl"]);
  const rows = Object.keys(methods).filter(
    (name) => !read("docs/algorithms/pact.md").includes(`\`${name}\``),
  );
  expect(rows).toEqual([]);
});

test.each(methodPages)("every metric that %s names is measured", (guide) => {
  const groups = [...new Set(Object.keys(metricDescriptions).map((name) => name.split("/")[0]))].join("|");
  const named = [...read(guide).matchAll(new RegExp(`\`((?:${groups})/[a-z_]+)\``, "g"))].map(
    ([, name]) => name,
  );
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((name) => !Object.hasOwn(metricDescriptions, name))).toEqual([]);
});

test.each(guides)("every command that %s shows is one of the program", async (guide) => {
  let help = "";
  await main(["--help"], { out: (text) => (help += text), error: (text) => (help += text) });
  const commands = [...help.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name);
  const shown = [...read(guide).matchAll(/npx pact (\w+)/g)].map(([, name]) => name);
  expect(commands).toContain("train");
  expect(shown.filter((name) => !commands.includes(name))).toEqual([]);
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
