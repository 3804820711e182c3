/** `pact traces check`: validates a trace file, line by line. */
import { checkTrace, readTraces, summariseTraces } from "@pact/tools-sim";
import { parseOptions, UsageError } from "./options.ts";
import { painter, printable, type TextStream } from "./terminal.ts";
import { checkOptions } from "./traces-options.ts";
import { summaryLines } from "./traces-summary.ts";

/** Most faults that are printed; all are counted. */
const shownFaults = 50;

/** Runs `pact traces check`; resolves to 0, or 1 if there are faults. */
export async function checkCommand(
  args: readonly string[],
  output: TextStream = process.stdout,
): Promise<number> {
  const options = parseOptions("pact traces check", checkOptions, args);
  if (options.traces === undefined) throw new UsageError("pact traces check: --traces <path> is missing.");
  // Malformed lines are faults like any other: all are found in one go, and they count unless they are to be skipped.
  const { traces, skipped } = readTraces(options.traces, { skipInvalid: true });
  const faults = options["skip-invalid"] ? [] : [...skipped];
  const warnings: string[] = [];
  for (const { where, trace } of traces) {
    const found = await checkTrace(trace);
    for (const { field, problem } of found.faults) faults.push(`${where}: field "${field}" ${problem}`);
    for (const { field, problem } of found.warnings) warnings.push(`${where}: field "${field}" ${problem}`);
  }
  if (traces.length === 0 && faults.length === 0) faults.push(`${options.traces}: there is no trace in it`);
  const summary = summariseTraces(traces.map(({ trace }) => trace));
  const left = options["skip-invalid"] ? skipped : [];
  if (options.json)
    output.write(
      `${JSON.stringify({ ok: faults.length === 0, ...summary, faults, warnings, skipped: left })}\n`,
    );
  else {
    const paint = painter(output);
    const some = (lines: readonly string[], style: "bad" | "dim") => {
      const shown = lines.slice(0, shownFaults).map((line) => paint(style, printable(line)));
      return lines.length > shownFaults ? [...shown, `… and ${lines.length - shownFaults} more`] : shown;
    };
    const lines = [...some(faults, "bad"), ...some(left, "dim"), ...summaryLines(summary, paint)];
    if (left.length > 0) lines.push(`  left out  ${left.length} malformed lines`);
    if (warnings.length > 0)
      lines.push(`  warnings  ${warnings.length} arguments that do not fit a schema (listed by --json)`);
    lines.push(faults.length === 0 ? paint("good", "no faults") : paint("bad", `${faults.length} faults`));
    output.write(`${lines.join("\n")}\n`);
  }
  return faults.length === 0 ? 0 : 1;
}
