/**
 * `npm run mutants [-- --only <text>] [--json]`: plants one gradient mistake at a time (scripts/mutants/) and asks whether
 * the tests named beside it notice. The text is replaced while Vitest loads the module: no file is changed. Exits with 1
 * if a mistake survives, if its text does not stand exactly once in its file, or if the tests fail without it. Runs on
 * the cpu device.
 */
import { readFile, realpath } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createVitest, type Vitest } from "vitest/node";
import { mutants } from "./mutants/list.ts";
import { type Mutant, plantingProblem, type TestChoice } from "./mutants/mutant.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What became of a mistake: the first test that failed, or none. */
export type Verdict = { readonly name: string; readonly caughtBy?: string; readonly problem?: string };

/** A Vitest that loads `planted.mutant` in place of its file's text, and stays alive between runs. */
async function startVitest(planted: { mutant: Mutant | undefined }): Promise<Vitest> {
  return createVitest(
    "test",
    {
      config: false,
      root,
      include: ["test/**/*.test.ts"],
      exclude: ["test/**/*.gpu.test.ts"],
      watch: false,
      pool: "forks",
      maxWorkers: 1,
      bail: 1,
      testTimeout: 60_000,
      reporters: [{}],
    },
    {
      resolve: { conditions: ["source"] },
      ssr: { resolve: { conditions: ["source"], externalConditions: ["source"] } },
      plugins: [
        {
          name: "planted-mistake",
          enforce: "pre",
          transform(code, id) {
            const { mutant } = planted;
            if (mutant === undefined || id !== root + mutant.file) return undefined;
            // A function, because a plain replacement gives `$` a meaning.
            return code.replace(mutant.find, () => mutant.replace);
          },
        },
      ],
    },
  );
}

/** What the chosen tests say: the first failure, whether a module or a test broke off, and how many passed. */
type Run = { readonly failed?: string; readonly broken?: string; readonly passed: number };

async function runTests(vitest: Vitest, { file, pattern }: TestChoice): Promise<Run> {
  const specifications = await vitest.globTestSpecifications([file]);
  vitest.setGlobalTestNamePattern(pattern);
  const run = await vitest.runTestSpecifications(specifications, false);
  // Vitest also hands back what it knows of files that ran before.
  const testModules = run.testModules.filter((m) => specifications.some((s) => s.moduleId === m.moduleId));
  const [unloaded] = [...run.unhandledErrors, ...testModules.flatMap((m) => m.errors())];
  if (unloaded) return { broken: rootOf(unloaded).message, passed: 0 };
  const tests = testModules.flatMap((m) => [...m.children.allTests()]);
  const failed = tests.find((test) => test.result().state === "failed");
  const passed = tests.filter((test) => test.result().state === "passed").length;
  if (!failed) return { passed };
  const { name, message } = rootOf(failed.result().errors?.[0]);
  const text = `${failed.fullName}: ${message}`;
  return name === "ReferenceError" || name === "TypeError"
    ? { broken: text, passed }
    : { failed: text, passed };
}

/** The innermost cause of an error: fast-check tells the seed and keeps what went wrong as the cause. */
function rootOf(error: unknown): { name: string; message: string } {
  if (!(error instanceof Object)) return { name: "", message: String(error) };
  if ("cause" in error && error.cause !== undefined) return rootOf(error.cause);
  const { name = "", message = "" } = error as { name?: string; message?: string };
  return { name, message: message.split("\n")[0] };
}

/** Runs the tests that should notice `mutant`. A mistake that breaks the program off is no wrong derivative. */
async function judge(vitest: Vitest, { name, tests }: Mutant): Promise<Verdict> {
  const { failed, broken, passed } = await runTests(vitest, tests);
  if (broken !== undefined) return { name, problem: `the tests break off: ${broken}` };
  if (failed !== undefined) return { name, caughtBy: failed };
  return passed > 0 ? { name } : { name, problem: `no test of ${tests.file} is called ${tests.pattern}` };
}

/** All tests that the mutants name, one choice per file. */
function allTests(chosen: readonly Mutant[]): TestChoice[] {
  const files = [...new Set(chosen.map((m) => m.tests.file))];
  return files.map((file) => {
    const patterns = chosen.filter((m) => m.tests.file === file).map((m) => m.tests.pattern.source);
    return { file, pattern: new RegExp([...new Set(patterns)].join("|")) };
  });
}

/** Runs the command line and returns its exit status: 0 all caught, 1 not, 2 wrong usage. */
export async function main(args: readonly string[], print: (text: string) => void): Promise<number> {
  let values: { only?: string; json: boolean };
  try {
    const options = { only: { type: "string" }, json: { type: "boolean", default: false } } as const;
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    print(`${(error as Error).message}\n\nnpm run mutants [-- --only <text in the name or file>] [--json]`);
    return 2;
  }
  const { only = "", json } = values;
  const chosen = mutants.filter((m) => `${m.file} ${m.name}`.includes(only));
  const planted: { mutant: Mutant | undefined } = { mutant: undefined };
  const vitest = await startVitest(planted);
  const verdicts: Verdict[] = [];
  try {
    // A test that fails anyway catches nothing.
    for (const tests of allTests(chosen)) {
      const { failed, broken } = await runTests(vitest, tests);
      if (failed === undefined && broken === undefined) continue;
      print(`Without any mistake ${tests.file} fails: ${failed ?? broken}`);
      return 1;
    }
    for (const mutant of chosen) {
      const path = await realpath(root + mutant.file);
      const problem = plantingProblem(mutant, await readFile(path, "utf8"));
      planted.mutant = mutant;
      vitest.invalidateFile(path);
      const verdict = problem ? { name: mutant.name, problem } : await judge(vitest, mutant);
      vitest.invalidateFile(path);
      verdicts.push(verdict);
      if (!json) print(`${verdicts.length}/${chosen.length} ${sentence(verdict)}`);
    }
  } finally {
    await vitest.close();
  }
  const caught = verdicts.filter((v) => v.caughtBy !== undefined).length;
  print(json ? JSON.stringify(verdicts) : `${caught} of ${chosen.length} caught`);
  return caught === chosen.length && caught > 0 ? 0 : 1;
}

function sentence({ name, caughtBy, problem }: Verdict): string {
  if (problem) return `ERROR ${name}: ${problem}`;
  return caughtBy ? `caught ${name} | ${caughtBy}` : `SURVIVED ${name}`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await main(process.argv.slice(2), (text) => console.log(text));
