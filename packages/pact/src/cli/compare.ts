/**
 * `pact compare`: every method with every seed under one budget, one after the other in this process, as run folders of
 * `pact train`; then one table and one report. The same command goes on where it was interrupted.
 */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { type ComparedRun, type Comparison, type ComparisonSettings, summariseRuns } from "../comparison.ts";
import { ConfigError } from "../errors.ts";
import { comparisonReport } from "../report/comparison-report.ts";
import { type CompareOptions, compareOptions } from "./compare-options.ts";
import { comparisonTable } from "./compare-table.ts";
import { claimComparison, clearUnbegun, hasBegun, readComparedRun, runName } from "./comparison-folder.ts";
import { absolutePaths } from "./describe-run.ts";
import { writeWhole } from "./disk.ts";
import { interruptedExitCode } from "./interrupt.ts";
import { givenOptions, nearest, parseOptions, UsageError } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { claimRunFolder } from "./run-folder.ts";
import { differing, type Settings, settingsOfFile, settingsOfPairs } from "./settings.ts";
import { painter } from "./terminal.ts";
import { runIn } from "./train.ts";
import { trainOptions } from "./train-options.ts";
import { requestOf } from "./train-request.ts";

const command = "pact compare";

/** A method with the arguments that `pact train` would get for it, seed and folder left out. */
interface PlannedMethod {
  readonly method: string;
  readonly args: readonly string[];
}

/** What a command line asks for, checked for every method before anything runs. */
interface Plan {
  readonly settings: ComparisonSettings;
  readonly methods: readonly PlannedMethod[];
  readonly baseline: string;
  /** What a person should know: settings that a method does without. */
  readonly notes: readonly string[];
}

/**
 * Runs the command.
 *
 * @returns 0, 1 if a run failed, 130 if Ctrl-C ended it
 * @throws UsageError for a wrong command line, RunFolderError for a folder that holds something else
 * @example process.exitCode = await compare(["--methods", "sft,pact", "--seeds", "2", "--steps", "5"]);
 */
export async function compare(args: readonly string[]): Promise<number> {
  const options = parseOptions(command, compareOptions, args);
  const plan = await planOf(options, givenOptions(args)).catch((error: unknown) => {
    // Settings are read as pact train reads them.
    if (error instanceof UsageError)
      throw new UsageError(error.message.replaceAll("pact train", command), { cause: error.cause });
    throw error;
  });
  const folder = claimComparison(options.out ?? join("runs", "compare"), plan.settings);
  const stream = options.json ? process.stderr : process.stdout;
  const progress = createProgress(stream);
  let stopped: boolean;
  try {
    for (const note of plan.notes) progress.line(note);
    await save(folder, plan);
    stopped = await runAll(folder, plan, progress);
  } finally {
    progress.close();
  }
  const comparison = await save(folder, plan);
  const shown = relative(process.cwd(), folder).startsWith("..") ? folder : relative(process.cwd(), folder);
  const lines = comparisonTable(comparison, painter(stream));
  stream.write(`\n${lines.join("\n")}\n  report    ${join(shown, "comparison.html")}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(comparison)}\n`);
  if (stopped) return interruptedExitCode;
  return comparison.runs.every(({ outcome }) => outcome === "done") ? 0 : 1;
}

/** Makes what is not done; true if Ctrl-C ended it. */
async function runAll(out: string, plan: Plan, progress: Progress): Promise<boolean> {
  const { settings, methods } = plan;
  const total = settings.seeds.length * methods.length;
  let number = 0;
  // Seed by seed, so that every method has as many seeds as any other at all times.
  for (const seed of settings.seeds)
    for (const { method, args } of methods) {
      number += 1;
      const name = runName(method, seed);
      const folder = join(out, name);
      const { outcome } = await readComparedRun(out, method, seed);
      if (outcome === "done") {
        progress.line(`run ${number}/${total} ${name}: done before, kept`);
        continue;
      }
      progress.line(`run ${number}/${total} ${name}`);
      try {
        const resume = hasBegun(folder);
        if (!resume) {
          if (existsSync(folder)) clearUnbegun(folder);
          claimRunFolder(folder);
        }
        const own = [...args, `--seed=${seed}`, `--run-dir=${folder}`, ...(resume ? ["--resume"] : [])];
        const { stopped } = await runIn(folder, await requestOf(own), progress);
        if (stopped) return true;
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        progress.line(`run ${name} failed: ${text.replace(/\s*\n\s*/g, " ")}`);
      }
      await save(out, plan);
    }
  return false;
}

/** Writes comparison.json and comparison.html as things stand. */
async function save(
  folder: string,
  { settings, baseline }: Pick<Plan, "settings" | "baseline">,
): Promise<Comparison> {
  const runs: ComparedRun[] = [];
  for (const seed of settings.seeds)
    for (const method of settings.methods) runs.push(await readComparedRun(folder, method, seed));
  const comparison = summariseRuns(settings, baseline, runs);
  writeWhole(join(folder, "comparison.json"), `${JSON.stringify(comparison, null, 2)}\n`);
  writeWhole(join(folder, "comparison.html"), await comparisonReport(folder, comparison));
  return comparison;
}

async function planOf(options: CompareOptions, given: ReadonlySet<string>): Promise<Plan> {
  const names = methodsOf(options.methods ?? "vanilla,sft,matchtir,pact");
  const baseline = options.baseline ?? names[0];
  if (!names.includes(baseline))
    throw new UsageError(
      `${command}: --baseline ${JSON.stringify(baseline)} is none of ${names.join(", ")}.`,
    );
  const { common, own } = await settingsByMethod(options, names, given);
  const passed = [
    "env",
    "data",
    "traces",
    "model",
    "device",
    "steps",
    "eval-tasks",
    "checkpoint-every",
  ] as const;
  const paths = absolutePaths(options);
  const shared = Object.fromEntries(
    passed.flatMap((name) => (paths[name] === undefined || isSetting(name) ? [] : [[name, paths[name]]])),
  ) as Record<string, string | number>;
  const train: Record<string, Settings> = {};
  const notes: string[] = [];
  const methods: PlannedMethod[] = [];
  const used = new Set<string>();
  for (const method of names) {
    const base = [
      `--method=${method}`,
      // The number of steps is every method's; an option that is not given keeps what the settings say.
      ...passed.flatMap((name) =>
        options[name] === undefined || (isSetting(name) && !given.has(name))
          ? []
          : [`--${name}=${options[name]}`],
      ),
    ];
    const { args, config, dropped } = await effective(base, common, own.get(method) ?? {});
    if (dropped.length > 0) notes.push(`${method}: without ${dropped.join(", ")}, which has no effect on it`);
    for (const name of Object.keys(common)) if (!dropped.includes(name)) used.add(name);
    const { seed: _seed, ...settings } = differing(config);
    train[method] = settings;
    methods.push({ method, args });
  }
  const useless = Object.keys(common).filter((name) => !used.has(name));
  if (useless.length > 0)
    throw new UsageError(
      `${command}: --set ${useless.join(", ")} has no effect on any of ${names.join(", ")}.`,
    );
  const seeds = Array.from({ length: options.seeds }, (_, index) => index + 1);
  return { settings: { methods: names, seeds, shared, train }, methods, baseline, notes };
}

/** Options that are training settings too: given ones win over `--config`. */
const settingOf = { steps: "steps", "checkpoint-every": "checkpointEvery" } as const;

function isSetting(name: string): boolean {
  return Object.hasOwn(settingOf, name);
}

/** The settings of a file, less those that an option gives. */
function withoutFlagged(file: Settings, given: ReadonlySet<string>): Settings {
  const flagged = Object.entries(settingOf).flatMap(([option, name]) => (given.has(option) ? [name] : []));
  return Object.fromEntries(
    Object.entries(file).filter(([name]) => !(flagged as readonly string[]).includes(name)),
  );
}

function methodsOf(text: string): string[] {
  const known: readonly string[] = trainOptions.method.choices;
  const names = text.split(",").map((name) => name.trim());
  for (const [index, name] of names.entries()) {
    const guess = nearest(name, known);
    if (!known.includes(name))
      throw new UsageError(
        `${command}: --methods has ${JSON.stringify(name.slice(0, 60))}; there are ${known.join(", ")}.` +
          (guess === undefined ? "" : ` Did you mean ${guess}?`),
      );
    if (names.indexOf(name) !== index) throw new UsageError(`${command}: --methods names ${name} twice.`);
  }
  return names;
}

/** `--config` and `--set`: for all methods, and for one (`method:key=value`). */
async function settingsByMethod(
  options: CompareOptions,
  methods: readonly string[],
  given: ReadonlySet<string>,
): Promise<{ common: Settings; own: ReadonlyMap<string, Settings> }> {
  const all: string[] = [];
  const byMethod = new Map<string, string[]>();
  for (const pair of options.set) {
    const [, method, rest] = /^([a-z-]+):(.*)$/s.exec(pair) ?? [];
    if (method === undefined) all.push(pair);
    else if (!methods.includes(method))
      throw new UsageError(`${command}: --set ${pair.slice(0, 60)} is for none of ${methods.join(", ")}.`);
    else byMethod.set(method, [...(byMethod.get(method) ?? []), rest]);
  }
  const file = options.config === undefined ? {} : await settingsOfFile(options.config);
  const common = { ...withoutFlagged(file, given), ...settingsOfPairs(all) };
  for (const name of ["method", "seed"] as const)
    if (common[name] !== undefined)
      throw new UsageError(`${command}: ${name} is not a setting of all runs. Use --methods and --seeds.`);
  const own = new Map([...byMethod].map(([method, pairs]) => [method, settingsOfPairs(pairs)]));
  for (const [method, settings] of own)
    for (const name of ["method", "seed", "steps", "promptsPerStep"] as const)
      if (settings[name] !== undefined)
        throw new UsageError(
          `${command}: --set ${method}:${name} is not one method's to set: all are compared under one budget and the same seeds.`,
        );
  return { common, own };
}

/** The arguments of a method, without the common settings that would change nothing. */
async function effective(base: readonly string[], common: Settings, own: Settings) {
  const dropped: string[] = [];
  for (;;) {
    const left = Object.entries({ ...common, ...own }).filter(([name]) => !dropped.includes(name));
    const args = [...base, ...left.map(([name, value]) => `--set=${name}=${JSON.stringify(value)}`)];
    try {
      return { args, dropped, config: (await requestOf(args)).config };
    } catch (error) {
      const cause = error instanceof UsageError ? error.cause : undefined;
      const name = cause instanceof ConfigError ? cause.withoutEffect : undefined;
      if (name === undefined || !Object.hasOwn(common, name) || Object.hasOwn(own, name)) throw error;
      dropped.push(name);
    }
  }
}
