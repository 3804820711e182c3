/**
 * The folder of a comparison:
 *
 *   <out>/  comparison.json · comparison.html · <method>-seed<k>/ (a run folder each, run-folder.ts)
 *
 * comparison.json is written before the first run and after each, so that it always says what the folder is for.
 */
import { readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { type ComparedRun, type Comparison, type ComparisonSettings, summariseRuns } from "../comparison.ts";
import { type EvaluationRow, type Json, numberOf, objectOf, readRun, textOf } from "../report/read-run.ts";
import { absolutePaths } from "./describe-run.ts";
import { makeFolder, readIfThere } from "./disk.ts";
import { differences } from "./resume.ts";
import { RunFolderError } from "./run-folder.ts";

/** Name of a run's folder. */
export function runName(method: string, seed: number): string {
  return `${method}-seed${seed}`;
}

/**
 * Makes sure that a folder can hold this comparison, and creates it.
 *
 * @returns its absolute path
 * @throws RunFolderError naming what differs from the comparison that is there, if it holds something else, or if it can not
 *   be made
 */
export function claimComparison(path: string, settings: ComparisonSettings): string {
  const folder = resolve(path);
  try {
    makeFolder(folder);
  } catch (cause) {
    throw new RunFolderError(
      `cannot create the folder ${folder} (${(cause as Error).message}). Choose another with --out <path>.`,
      { cause },
    );
  }
  const earlier = readComparison(folder);
  if (earlier === undefined) {
    // A comparison that was killed while it wrote its first file leaves a temporary one.
    const others = readdirSync(folder).filter((name) => !name.startsWith(".comparison."));
    if (others.length === 0) return folder;
    throw new RunFolderError(
      `the folder ${folder} holds something other than a comparison. Choose another with --out <path>, or empty it.`,
    );
  }
  // Those that began before paths were kept from the root have them as typed.
  const { shared, ...others } = objectOf(earlier.settings) ?? {};
  const was = { ...others, shared: absolutePaths(objectOf(shared) ?? {}) };
  const different = differences(was, JSON.parse(JSON.stringify(settings)));
  if (different.length === 0) return folder;
  throw new RunFolderError(
    `the comparison in ${folder} has other settings: ${different.join("; ")}. ` +
      "Give its own, or choose another folder with --out <path>.",
  );
}

/**
 * `comparison.json` of a folder, or undefined if there is none that is readable.
 *
 * @example readComparison("runs/compare")?.settings
 */
export function readComparison(folder: string): Json | undefined {
  try {
    return objectOf(JSON.parse(readIfThere(join(folder, "comparison.json")) ?? ""));
  } catch {
    return undefined;
  }
}

/** Whether a run folder has begun: what it holds is then kept and gone on with. */
export function hasBegun(folder: string): boolean {
  return readIfThere(join(folder, "config.json")) !== undefined;
}

/** Empties a run folder that was killed before it began: all it can hold is a temporary file. */
export function clearUnbegun(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Reads a run of a comparison back from its folder.
 *
 * @example (await readComparedRun("runs/compare", "sft", 1)).outcome // "done"
 */
export async function readComparedRun(out: string, method: string, seed: number): Promise<ComparedRun> {
  const name = runName(method, seed);
  const waiting = { method, seed, folder: name, steps: 0, sampledTokens: 0, trainedTokens: 0, seconds: 0 };
  const folder = join(out, name);
  if (!hasBegun(folder)) return { ...waiting, outcome: "waiting" };
  const { summary, metrics, evaluations, config } = await readRun(folder);
  const last = metrics.at(-1)?.values;
  const final = evaluations.findLast(({ step }) => step === numberOf(objectOf(config.train)?.steps));
  const outcome = outcomeOf(summary);
  return {
    ...waiting,
    outcome,
    error: outcome === "failed" ? textOf(summary?.error) : undefined,
    steps: metrics.length,
    scores: outcome === "done" ? scoresOf(final) : undefined,
    sampledTokens: last?.get("tokens/sampled") ?? 0,
    trainedTokens: last?.get("tokens/trained") ?? 0,
    seconds:
      metrics.reduce((sum, { time }) => sum + (time.get("seconds") ?? 0), 0) +
      evaluations.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0),
  };
}

function scoresOf(final: EvaluationRow | undefined): ComparedRun["scores"] {
  if (final?.sampled.success === undefined || final.greedy.success === undefined) return undefined;
  const { sampled, greedy } = final;
  return {
    sampledF1: sampled.solveF1,
    greedyF1: greedy.solveF1,
    sampledSuccess: final.sampled.success.mean,
    greedySuccess: final.greedy.success.mean,
  };
}

function outcomeOf(summary: Json | undefined): ComparedRun["outcome"] {
  const outcome = summary?.outcome;
  return outcome === "done" || outcome === "stopped" || outcome === "failed" ? outcome : "running";
}

/**
 * A comparison as it stands, from the logs of its runs; undefined if the folder is none.
 *
 * Names are checked before they become paths: a method is letters and dashes, a seed a whole number.
 *
 * @example (await liveComparison("runs/compare"))?.runs.length
 */
export async function liveComparison(folder: string): Promise<Comparison | undefined> {
  const found = readComparison(folder);
  const settings = objectOf(found?.settings);
  const { methods, seeds } = settings ?? {};
  const isNamed = Array.isArray(methods) && methods.every((name) => /^[a-z][a-z-]{0,40}$/.test(String(name)));
  const isSeeded = Array.isArray(seeds) && seeds.every((seed) => Number.isInteger(seed) && seed >= 0);
  if (!isNamed || !isSeeded || methods.length * seeds.length > 2000) return undefined;
  const own: ComparisonSettings = {
    methods: methods.map(String),
    seeds: seeds.map(Number),
    shared: (objectOf(settings?.shared) ?? {}) as ComparisonSettings["shared"],
    train: (objectOf(settings?.train) ?? {}) as ComparisonSettings["train"],
  };
  const runs: ComparedRun[] = [];
  for (const seed of own.seeds)
    for (const method of own.methods) runs.push(await readComparedRun(folder, method, seed));
  return summariseRuns(own, textOf(found?.baseline) ?? own.methods[0], runs);
}
