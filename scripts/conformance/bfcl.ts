/**
 * `npm run conformance:bfcl -- --dir <folder> [--json]`: replays the ground truth of every BFCL v4 multi-turn task of a
 * folder on our simulators and compares each result text and each state change with the executed truth in
 * `derived/gold_exec_<category>.jsonl`; then scores the truth against itself (must pass) and without its last call (must
 * fail). Exits with 1 if anything differs.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import {
  BfclMachine,
  type BfclTask,
  bfclCategories,
  loadBfcl,
  scoreBfcl,
  TaskFileError,
} from "@pact/tools-sim";
// The executed truth is read with the simulators' own reader, which keeps 10 and 10.0 apart.
import { withoutMarkers } from "../../packages/tools-sim/src/bfcl/load.ts";
import { readLines } from "../../packages/tools-sim/src/jsonl.ts";
import { JsonTextError, loads } from "../../packages/tools-sim/src/python/json.ts";
import { equal, type PyDict, type PyValue, repr } from "../../packages/tools-sim/src/python/values.ts";

const usage = `npm run conformance:bfcl -- --dir <folder> [--json]

  --dir <folder>  folder of the published files, with derived/ beside them
  --skip-invalid  leave out malformed lines and list them
  --json          print one line of JSON, without the differences
  --help          this text
`;

/** What was compared, and how often it was equal. */
export interface Conformance {
  tasks: number;
  callsCompared: number;
  callsEqual: number;
  statesCompared: number;
  statesEqual: number;
  truthPasses: number;
  cutTruthFails: number;
}

/** Differences shown; the counts are complete. */
const maxDifferences = 20;

/**
 * Compares every task of `folder`; `report` receives a line per difference.
 *
 * @param skipped receives the reason for each line that is left out; without it, the first such line is an error
 */
export function compareFolder(
  folder: string,
  report: (line: string) => void,
  skipped?: string[],
): Conformance {
  const { tasks, resources, skipped: reasons } = loadBfcl(folder, { skipInvalid: skipped !== undefined });
  skipped?.push(...reasons);
  const truths = readTruths(folder);
  const totals: Conformance = {
    tasks: tasks.length,
    callsCompared: 0,
    callsEqual: 0,
    statesCompared: 0,
    statesEqual: 0,
    truthPasses: 0,
    cutTruthFails: 0,
  };
  for (const task of tasks) {
    const truth = truths.get(task.id);
    if (truth) replay(task, new BfclMachine(task, resources), truth, totals, report);
    else report(`${task.id}: no executed truth in derived/`);
    const whole = task.truth.map((calls) => [calls]);
    const passed = scoreBfcl(task, resources, whole);
    if (passed.correct) totals.truthPasses++;
    else report(`${task.id}: the truth fails against itself: ${JSON.stringify(passed.failure)}`);
    if (!scoreBfcl(task, resources, cut(task)).correct) totals.cutTruthFails++;
    else report(`${task.id}: the truth without its last call passes`);
  }
  return totals;
}

/** The truth without its last call. */
function cut({ truth }: BfclTask): string[][][] {
  const last = truth.findLastIndex((calls) => calls.length > 0);
  return truth.map((calls, turn) => [turn === last ? calls.slice(0, -1) : [...calls]]);
}

function readTruths(folder: string): Map<string, PyDict> {
  const truths = new Map<string, PyDict>();
  for (const category of bfclCategories) {
    const path = join(folder, "derived", `gold_exec_${category}.jsonl`);
    if (!existsSync(path)) continue;
    for (const { where, text } of readLines(path)) {
      const row = withoutMarkers(parsed(where, text));
      const id = row instanceof Map ? row.get("id") : undefined;
      if (!(row instanceof Map) || typeof id !== "string")
        throw new TaskFileError(`${where}: field "id" must be a string`);
      truths.set(id, row);
    }
  }
  return truths;
}

function parsed(where: string, text: string): PyValue {
  try {
    return loads(text);
  } catch (error) {
    if (error instanceof JsonTextError) throw new TaskFileError(`${where}: not valid JSON: ${error.message}`);
    throw error;
  }
}

function replay(
  task: BfclTask,
  machine: BfclMachine,
  truth: PyDict,
  totals: Conformance,
  report: (line: string) => void,
): void {
  const compareStates = (when: string, expected: PyDict, actual: ReadonlyMap<string, PyValue>) => {
    for (const name of new Set([...expected.keys(), ...actual.keys()])) {
      totals.statesCompared++;
      const [e, a] = [expected.get(name), actual.get(String(name))];
      if (e !== undefined && a !== undefined && equal(e, a)) totals.statesEqual++;
      else
        report(`${task.id} ${when}: state of ${String(name)}\n  expected ${text(e)}\n  received ${text(a)}`);
    }
  };
  let before = comparable(machine);
  const initial = truth.get("initial_state");
  if (initial instanceof Map) compareStates("at the start", initial, before);
  for (const [i, turn] of list(truth.get("turns")).entries()) {
    if (!(turn instanceof Map)) continue;
    const results = list(turn.get("results"));
    list(turn.get("calls")).forEach((call, k) => {
      const received = machine.execute(String(call));
      totals.callsCompared++;
      if (received === results[k]) totals.callsEqual++;
      else
        report(
          `${task.id} turn ${i}: ${String(call)}\n  expected ${text(results[k])}\n  received ${received}`,
        );
    });
    const after = comparable(machine);
    const changes = turn.get("state_changes");
    if (changes instanceof Map) {
      const changed = [...after].filter(([name, state]) => !equal(state, before.get(name)));
      compareStates(`turn ${i}`, changes, new Map(changed));
    }
    before = after;
  }
}

/** States in the form of the truth's file, where every key is text. */
function comparable(machine: BfclMachine): Map<string, PyDict> {
  return new Map([...machine.state()].map(([name, state]) => [name, textKeys(state) as PyDict]));
}

function textKeys(value: PyValue): PyValue {
  if (Array.isArray(value)) return value.map(textKeys);
  if (!(value instanceof Map)) return value;
  return new Map([...value].map(([key, entry]) => [String(key), textKeys(entry)]));
}

function list(value: PyValue | undefined): PyValue[] {
  return Array.isArray(value) ? value : [];
}

function text(value: PyValue | undefined): string {
  return value === undefined ? "nothing" : typeof value === "string" ? value : repr(value);
}

/** Runs the command line and returns its exit status: 0 all equal, 1 something differs, 2 wrong usage. */
export function main(args: readonly string[], print: (text: string) => void): number {
  let values: { dir?: string; "skip-invalid": boolean; json: boolean; help: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        dir: { type: "string" },
        "skip-invalid": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
    if (!values.help && !values.dir) throw new TypeError("--dir is missing");
  } catch (error) {
    print(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (values.help || !values.dir) {
    print(usage);
    return 0;
  }
  try {
    const differences: string[] = [];
    const skipped = values["skip-invalid"] ? [] : undefined;
    const totals = compareFolder(resolve(values.dir), (line) => differences.push(line), skipped);
    if (!values.json) for (const reason of skipped ?? []) print(`left out: ${reason}`);
    if (!values.json) for (const line of differences.slice(0, maxDifferences)) print(line.slice(0, 2000));
    print(
      values.json
        ? JSON.stringify({ ...totals, ...(skipped && { skipped }) })
        : JSON.stringify(totals, null, 2),
    );
    const { tasks, truthPasses, cutTruthFails } = totals;
    if (tasks === 0) throw new TaskFileError(`${values.dir}: holds no valid task, so nothing was compared`);
    return differences.length === 0 && truthPasses === tasks && cutTruthFails === tasks ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TaskFileError)) throw error;
    print(error.message);
    return 2;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = main(process.argv.slice(2), (line) => console.log(line));
}
