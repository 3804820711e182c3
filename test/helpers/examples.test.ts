/** The runner of documentation examples sees what is wrong with an example. */
import { createDevice, ShapeError, tensor } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { check, checkThrows, matches } from "./example-check.ts";
import { examplesIn, moduleOf } from "./examples.ts";

/** A source file whose documentation holds these example lines. */
const source = (...lines: string[]) =>
  [
    "/**",
    " * Doubles.",
    " *",
    " * @example",
    " * ```ts",
    ...lines.map((l) => ` * ${l}`),
    " * ```",
    " */",
    "",
  ].join("\n");
const generated = (...lines: string[]) => {
  const { text, origin } = moduleOf(
    examplesIn("x.ts", source(...lines)),
    'import { f } from "m";',
    "src/x.ts",
  );
  return { lines: text.trim().split("\n").slice(2), origin };
};

describe("an example becomes a function", () => {
  test("whose checked lines are compared, with their place", () => {
    const { lines, origin } = generated(
      'import { f } from "m";',
      "const x = f(1); // a remark",
      "await f(",
      "  x,",
      ").data(); // → [1, 2]",
      "const y = f(x); // → f32[2, 3]",
      'String(y); // → "f32[2, 3] on cpu"',
      "f(null); // → throws ShapeError",
    );
    expect(lines).toMatchInlineSnapshot(`
      [
        "export async function at5() {",
        "const x = f(1); // a remark",
        "await $check("src/x.ts:10", async () => (await f(",
        "  x,",
        ").data()), [1, 2]);",
        "const y = f(x);",
        "await $check("src/x.ts:11", () => y, "f32[2, 3]");",
        "await $check("src/x.ts:12", async () => (String(y)), "f32[2, 3] on cpu");",
        "await $checkThrows("src/x.ts:13", async () => (f(null)), "ShapeError");",
        "}",
      ]
    `);
    expect(origin.get(5)).toBe("src/x.ts:10");
  });

  test("and what can not be checked is an error", () => {
    expect(() => generated("const [a] = f(1); // → 1")).toThrowErrorMatchingInlineSnapshot(
      `[Error: src/x.ts:6: check one name at a time, this line declares several]`,
    );
    expect(() => generated("if (x) {", "  f(1); // → 1", "}")).toThrowErrorMatchingInlineSnapshot(
      `[Error: src/x.ts:7: a check must end a statement, "f(1); // → 1" does not]`,
    );
    expect(() => generated("f(1); // → 1", "f(")).toThrowErrorMatchingInlineSnapshot(
      `[Error: src/x.ts:5: the example ends inside a statement]`,
    );
    expect(() => generated("const x = f(); // → throws E")).toThrowErrorMatchingInlineSnapshot(
      `[Error: src/x.ts:6: a line that throws must not declare x]`,
    );
  });

  test("but one without a fence or a check is not", () => {
    expect(examplesIn("x.ts", "/**\n * @example f(1) // 2\n */")).toMatchObject([{ line: 2, checks: false }]);
    expect(examplesIn("x.ts", source("f(1);"))).toMatchObject([{ line: 5, checks: false }]);
    expect(examplesIn("x.md", "```ts\nf(1); // → 1\n```\n```sh\nls\n```")).toMatchObject([
      { line: 1, checks: true },
    ]);
  });
});

test("values are told apart", async () => {
  expect(matches(Float32Array.of(0.1, 2), [0.1, 2])).toBe(true);
  expect(matches(Float32Array.of(0.1, 2), [0.1, 2.00001])).toBe(false);
  expect(matches([[1, 2], [3]], [[1, 2], [3]])).toBe(true);
  expect(matches([1, 2], [1, 2, 3])).toBe(false);
  expect(matches({ a: Number.NaN }, { a: Number.NaN })).toBe(true);
  expect(matches({ a: 1, b: 2 }, { a: 1 })).toBe(false);
  expect(matches(1e9, 1e9 + 2000)).toBe(false);
  expect(matches(1, "1")).toBe(false);
  const x = tensor([1, 2], { device: await createDevice({ device: "cpu" }) });
  expect(matches([x], ["f32[2]"])).toBe(true);
  expect(matches(x, "f32[3]")).toBe(false);
});

test("a wrong line names its place, what came and what was said", async () => {
  await check("src/x.ts:7", () => Promise.resolve([1, 2]), [1, 2]);
  await expect(check("src/x.ts:7", () => [1, 2], [1, 3])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[Error: src/x.ts:7: received [1,2], the example says [1,3]]`,
  );
  const fails = () => {
    throw new ShapeError("no");
  };
  await checkThrows("src/x.ts:8", fails, "ShapeError");
  await expect(checkThrows("src/x.ts:8", fails, "DTypeError")).rejects.toThrowErrorMatchingInlineSnapshot(
    `[Error: src/x.ts:8: the example says DTypeError, but it threw ShapeError: no]`,
  );
  await expect(checkThrows("src/x.ts:8", () => 5, "DTypeError")).rejects.toThrowErrorMatchingInlineSnapshot(
    `[Error: src/x.ts:8: the example says DTypeError, but the line gave 5]`,
  );
});
