/**
 * `npm run conformance:ftrl -- --data <rows.jsonl> --calls <derived_calls.jsonl> [--json]`: makes the recorded calls of every
 * FTRL row again and compares the outputs, joined on the row's index. Rows with `codes` execute them in the sandbox, the
 * others replay what was recorded. Exits with 1 if anything differs.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createRunner, ftrl, solvedGoldens } from "@pact/tools-sim";
import { readRecorded } from "../../packages/tools-sim/src/recorded.ts";
import { type Inputs, type RecordedTask, runCommand } from "./recorded.ts";

const usage = `npm run conformance:ftrl -- --data <rows.jsonl> --calls <derived_calls.jsonl> [--json]

  --data <file>   published rows, one JSON object a line
  --calls <file>  recorded calls, joined on "index"
  --probes        make the recorded calls with placeholder arguments too
  --skip-invalid  leave out malformed lines and list them
  --json          print one line of JSON, without the differences
  --help          this text
`;

/** The rows that have recorded calls, ready to be compared. */
export function loadRows({ data, calls, skipInvalid }: Inputs): { tasks: RecordedTask[]; skipped: string[] } {
  const { tasks, skipped } = ftrl.read(resolve(data), { calls: resolve(calls), skipInvalid });
  const recorded = new Map<string, ReturnType<ReturnType<typeof readRecorded>[number]>>();
  for (const line of readRecorded(resolve(calls))) {
    try {
      const read = line();
      recorded.set(String(read.row.get("index")), read);
    } catch (error) {
      // A malformed line is among those that `read` has skipped.
      if (!skipInvalid) throw error;
    }
  }
  return {
    skipped,
    tasks: tasks.map((task): RecordedTask => {
      const line = recorded.get(task.id.slice(task.id.lastIndexOf("/") + 1));
      const run = createRunner(task);
      const made = (line?.calls ?? []).flatMap(({ row, call }) =>
        call === undefined ? [] : [{ row, call, run }],
      );
      return {
        id: task.id,
        executes: task.setup.kind === "ftrl" && task.setup.codes !== undefined,
        calls: made,
        probes: (line?.probes ?? []).map((call) => ({ call, run })),
        solved(outputs) {
          const named = made.map(({ call }, i) => ({ name: call.name, output: outputs[i] }));
          return solvedGoldens(named, task.unsolved).filter(
            (golden, i) => (golden ?? null) === made[i].row.get("solves"),
          ).length;
        },
        close: async () => run.close?.(),
      };
    }),
  };
}

/** Runs the command line and returns its exit status. */
export function main(args: readonly string[], print: (text: string) => void): Promise<number> {
  return runCommand(usage, loadRows, args, print);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2), (line) => console.log(line));
}
