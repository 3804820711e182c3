/** The numbers of a trace file as lines of text, for `pact traces build` and `check`. */
import type { TraceSummary } from "@pact/tools-sim";
import type { Paint } from "./terminal.ts";

/** Lines of at most 80 columns. */
export function summaryLines(summary: TraceSummary, paint: Paint): string[] {
  const { traces, turns, calls, levelChunks, levelCharacters, answerShare } = summary;
  const levels = levelChunks.map(
    (chunks, level) =>
      `  L${level}        ${chunks.toFixed(2)} chunks, ${levelCharacters[level].toFixed(0)} characters a turn`,
  );
  return [
    paint("bold", `${traces} traces, ${turns} turns, ${calls} calls`),
    `  verified  ${listed(summary.verifiedBy)}`,
    `  cut by    ${listed(summary.segmentedBy)}`,
    "  chunks",
    ...Object.entries(summary.chunkTypes)
      .filter(([, count]) => count > 0)
      .map(([type, count]) => `    ${type.padEnd(26)}${count}`),
    ...levels,
    `  answers   ${(100 * answerShare).toFixed(1)} % of the contexts hold the answer in an observation`,
  ];
}

function listed(counts: Readonly<Record<string, number>>): string {
  const named = Object.entries(counts).filter(([, count]) => count > 0);
  return named.map(([name, count]) => `${name} ${count}`).join(", ") || "none";
}
