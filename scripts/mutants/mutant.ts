/** What a planted mistake is, and the tests that are to notice it. */

/** A text in a source file, put in place of another that stands there exactly once. */
export type Mutant = {
  /** What is wrong with it, for people. */
  readonly name: string;
  /** Path below the repository's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly tests: TestChoice;
};

/** Tests of one file whose full name (its `describe` and its own) matches a pattern. */
export type TestChoice = { readonly file: string; readonly pattern: RegExp };

/** One mistake of a list: its name, the right text, the wrong one, and the tests. */
export type Mistake = readonly [name: string, find: string, replace: string, tests: TestChoice];

/** What stops `mutant` from being planted in `source`, if anything. */
export function plantingProblem({ file, find, replace }: Mutant, source: string): string | undefined {
  const times = source.split(find).length - 1;
  if (times !== 1) return `its text stands ${times} times in ${file}, expected once: ${find}`;
  if (find === replace) return "it changes nothing";
  return undefined;
}

/** Mistakes in one file of packages/tensor/src. */
export function inFile(file: string, mistakes: readonly Mistake[]): Mutant[] {
  return mistakes.map(([name, find, replace, tests]) => ({
    name,
    file: `packages/tensor/src/${file}`,
    find,
    replace,
    tests,
  }));
}

/** First derivatives of an elementwise record, held to central differences. */
export const elementwise = (op: string): TestChoice => ({
  file: "test/tensor/elementwise.test.ts",
  pattern: new RegExp(`^'${op}' the derivative`),
});

/** First derivatives of any other case of test/helpers. */
export const operation = (name: string): TestChoice => ({
  file: "test/tensor/operations.test.ts",
  pattern: new RegExp(`^'${name}' the derivative`),
});

/** Second derivatives of any case. */
export const second = (name: string): TestChoice => ({
  file: "test/tensor/second.test.ts",
  pattern: new RegExp(`of the derivative of '${name}' matches`),
});

/** Every golden operation, PyTorch's numbers. */
export const golden: TestChoice = { file: "test/tensor/golden.test.ts", pattern: /./ };

/** Tests of another file, by a piece of their name. */
export const named = (file: string, pattern: RegExp): TestChoice => ({ file, pattern });
