/**
 * `npm run conformance:toolhop -- --data <file> --calls <derived_calls.jsonl> [--json]`: makes the recorded calls of every
 * ToolHop task again and compares the outputs, joined on `id`. Tasks with `functions` execute them in the sandbox, the
 * others replay what was recorded. Exits with 1 if anything differs.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { loadToolHop, match, type ToolHopTask, type ToolRunner } from "@pact/tools-sim";
import { pythonRunner } from "../../packages/tools-sim/src/python-tools.ts";
import { type RecordedLine, readRecorded } from "../../packages/tools-sim/src/recorded.ts";
import { replayRunner } from "../../packages/tools-sim/src/tools.ts";
import { type Inputs, type RecordedTask, runCommand } from "./recorded.ts";

const usage = `npm run conformance:toolhop -- --data <file> --calls <derived_calls.jsonl> [--json]

  --data <file>   published tasks, a JSON array, or one JSON object a line
  --calls <file>  recorded calls, joined on "id"
  --probes        make the recorded calls with placeholder arguments too
  --skip-invalid  leave out malformed rows and list them
  --json          print one line of JSON, without the differences
  --help          this text
`;

/** The tasks, ready to be compared. */
export function loadTasks({ data, calls, skipInvalid }: Inputs): {
  tasks: RecordedTask[];
  skipped: string[];
} {
  const { tasks, skipped } = loadToolHop(resolve(data), { calls: resolve(calls), skipInvalid });
  const recorded = new Map<string, RecordedLine>();
  for (const line of readRecorded(resolve(calls))) {
    try {
      const read = line();
      recorded.set(String(read.row.get("id")), read);
    } catch (error) {
      // A malformed line is among those that the loader has skipped.
      if (!skipInvalid) throw error;
    }
  }
  return { skipped, tasks: tasks.map((task) => recordedTask(task, recorded.get(task.id))) };
}

function recordedTask(task: ToolHopTask, line: RecordedLine | undefined): RecordedTask {
  const replay = replayRunner(
    task.hops.map(({ tool }) => tool),
    task.calls,
  );
  const made = (line?.calls ?? []).flatMap(({ row, call }) => (call === undefined ? [] : [{ row, call }]));
  const runners = new Map<string, ToolRunner>();
  // Two hops may have tools of one name: a recorded call ran that of its own hop.
  const runnerOf = (name: string, question?: string): ToolRunner => {
    if (task.codes === undefined) return replay;
    const named = task.hops.filter(({ tool, code }) => tool.function.name === name && code !== undefined);
    const { code } = named.find((hop) => hop.question === question) ?? named.at(-1) ?? {};
    const layer = code === undefined || task.codes[name] === code ? "" : code;
    const known = runners.get(layer);
    if (known) return known;
    const run = pythonRunner(layer === "" ? task.codes : { [name]: layer });
    runners.set(layer, run);
    return run;
  };
  return {
    id: `toolhop/${task.id}`,
    executes: task.codes !== undefined,
    calls: made.map(({ row, call }) => ({ call, run: runnerOf(call.name, row.string("sub_question")) })),
    probes: (line?.probes ?? []).map((call) => ({ call, run: runnerOf(call.name) })),
    solved: (outputs) => made.filter(({ row }, i) => match(outputs[i], row.string("sub_answer"))).length,
    close: async () => {
      for (const run of runners.values()) await run.close?.();
    },
  };
}

/** Runs the command line and returns its exit status. */
export function main(args: readonly string[], print: (text: string) => void): Promise<number> {
  return runCommand(usage, loadTasks, args, print);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2), (line) => console.log(line));
}
