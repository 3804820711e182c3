/**
 * What the conformance commands of FTRL and ToolHop have in common: the recorded calls of every task are made again, by
 * executing the task's Python tools or, where it has none, by replaying, and the outputs compared.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type Observation, type RecordedCall, TaskFileError, type ToolRunner } from "@pact/tools-sim";
import { observe } from "../../packages/tools-sim/src/guard.ts";

/** What was called, and how it came out. */
export interface Conformance {
  /** Tasks of the data. */
  rows: number;
  /** Recorded calls made again: `executed` + `replayed`. */
  calls: number;
  executed: number;
  replayed: number;
  /** Executed calls whose output equals the recorded one. */
  equal: number;
  /** Calls whose output solves what the recording says it solves. */
  solvedAsRecorded: number;
}

/** One task with its recorded calls. */
export interface RecordedTask {
  id: string;
  /** The task has source, which is executed. */
  executes: boolean;
  calls: readonly { call: RecordedCall; run: ToolRunner }[];
  /** Which of the calls solve what the recording says, given all outputs in order; probes are not asked about. */
  solved(outputs: readonly string[]): number;
  /** Calls with placeholder arguments, which solve nothing. */
  probes: readonly { call: RecordedCall; run: ToolRunner }[];
  close(): Promise<void>;
}

/** Tasks at work at a time: as many as the sandboxes have processes, or they would take them from one another. */
const concurrency = Math.max(2, availableParallelism());

/** Makes the recorded calls of every task; `report` receives a line per difference. */
export async function compareTasks(
  tasks: readonly RecordedTask[],
  withProbes: boolean,
  report: (line: string) => void,
): Promise<Conformance> {
  const totals = { rows: tasks.length, calls: 0, executed: 0, replayed: 0, equal: 0, solvedAsRecorded: 0 };
  const waiting = [...tasks];
  const work = async () => {
    for (let task = waiting.shift(); task; task = waiting.shift())
      await compare(task, withProbes, totals, report);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return totals;
}

async function compare(
  task: RecordedTask,
  withProbes: boolean,
  totals: Conformance,
  report: (line: string) => void,
): Promise<void> {
  try {
    const outputs: string[] = [];
    for (const { call, run } of [...task.calls, ...(withProbes ? task.probes : [])]) {
      const { content } = await makeCall(call, run);
      outputs.push(content);
      totals.calls++;
      if (!task.executes) totals.replayed++;
      else {
        totals.executed++;
        if (content === call.output) totals.equal++;
        else
          report(
            `${task.id}: ${call.name}(${call.argumentsText ?? JSON.stringify(call.arguments)})\n  recorded ${call.output}\n  received ${content}`,
          );
      }
    }
    const solved = task.solved(outputs.slice(0, task.calls.length));
    totals.solvedAsRecorded += solved;
    if (solved < task.calls.length)
      report(`${task.id}: ${solved} of ${task.calls.length} calls solve what was recorded`);
  } finally {
    await task.close();
  }
}

function makeCall(call: RecordedCall, run: ToolRunner): Promise<Observation> {
  const { name, arguments: args, argumentsText } = call;
  return observe(run, { type: "function", function: { name, arguments: args, argumentsText } });
}

/** Files that a command reads. */
export interface Inputs {
  data: string;
  calls: string;
  /** Leave out malformed lines; the reasons are printed, with --json as a list `skipped`. */
  skipInvalid: boolean;
}

/** Differences shown; the counts are complete. */
const maxDifferences = 20;

/**
 * Runs a conformance command and returns its exit status: 0 all as recorded, 1 something differs, 2 wrong usage or data.
 */
export async function runCommand(
  usage: string,
  load: (inputs: Inputs) => { tasks: RecordedTask[]; skipped: string[] },
  args: readonly string[],
  print: (text: string) => void,
): Promise<number> {
  let values: {
    data?: string;
    calls?: string;
    probes: boolean;
    "skip-invalid": boolean;
    json: boolean;
    help: boolean;
  };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        data: { type: "string" },
        calls: { type: "string" },
        probes: { type: "boolean", default: false },
        "skip-invalid": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
    if (!values.help && (!values.data || !values.calls)) throw new TypeError("--data and --calls are needed");
  } catch (error) {
    print(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  const { data, calls, json } = values;
  if (values.help || !data || !calls) {
    print(usage);
    return 0;
  }
  try {
    const skipInvalid = values["skip-invalid"];
    const { tasks, skipped } = load({ data, calls, skipInvalid });
    if (!json) for (const reason of skipped) print(`left out: ${reason}`);
    if (tasks.length === 0)
      throw new TaskFileError(`${data}: holds no valid task, so there is nothing to compare`);
    const differences: string[] = [];
    const totals = await compareTasks(tasks, values.probes, (line) => differences.push(line));
    if (!json) for (const line of differences.slice(0, maxDifferences)) print(line.slice(0, 2000));
    print(
      json ? JSON.stringify({ ...totals, ...(skipInvalid && { skipped }) }) : JSON.stringify(totals, null, 2),
    );
    return differences.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TaskFileError)) throw error;
    print(error.message);
    return 2;
  }
}
