/** `pact traces show`: one trace for the eye, chunk by chunk, with what a reasoning-prefix level supervises. */
import {
  activeChunks,
  type Chunk,
  type PrefixLevel,
  prefixLevels,
  readTraces,
  spacedJson,
  type TraceRecord,
} from "@pact/tools-sim";
import { parseOptions, UsageError } from "./options.ts";
import { type Paint, painter, printable, type TextStream } from "./terminal.ts";
import { showOptions } from "./traces-options.ts";

/** Most characters of one text, and most turns, that are shown. */
const shown = { characters: 1500, turns: 40, ids: 5 };

/** Runs `pact traces show`; resolves to the exit code. */
export async function showCommand(
  args: readonly string[],
  output: TextStream = process.stdout,
): Promise<number> {
  const options = parseOptions("pact traces show", showOptions, args);
  if (options.traces === undefined) throw new UsageError("pact traces show: --traces <path> is missing.");
  const traces = readTraces(options.traces, { skipInvalid: true }).traces.map(({ trace }) => trace);
  const trace = options.id === undefined ? traces[0] : traces.find(({ id }) => id === options.id);
  if (trace === undefined) {
    const some = traces.slice(0, shown.ids).map(({ id }) => printable(id));
    const which = options.id === undefined ? "no valid trace" : `no trace of ${printable(options.id)}`;
    throw new UsageError(
      `pact traces show: ${options.traces} has ${which}${some.length > 0 ? `; it begins with ${some.join(", ")}` : ""}. ` +
        "See `pact traces check` for its faults.",
    );
  }
  const level = prefixLevels.find((known) => known === options.level) ?? 4;
  output.write(`${traceLines(trace, level, painter(output)).join("\n")}\n`);
  return 0;
}

/** The lines of one trace; nothing in them but text, bounded and without control characters, and our colours. */
export function traceLines(trace: TraceRecord, level: PrefixLevel, paint: Paint): string[] {
  const { turns, final } = trace;
  const lines = [
    paint("bold", text(trace.id, "")),
    `  ${text(`${trace.environment}, ${trace.category}, by ${trace.teacher}, verified by ${trace.verifiedBy}`, "  ")}`,
    `  ${text(trace.question, "  ")}`,
    paint("dim", `  level ${level}: ● is supervised, ○ is context alone, ✗ previews the call`),
  ];
  for (const [index, turn] of turns.slice(0, shown.turns).entries()) {
    lines.push(
      "",
      paint("bold", `turn ${index + 1}  ${turn.pattern}`) + paint("dim", `  cut by ${turn.segmentedBy}`),
    );
    lines.push(...chunkLines(turn.chunks, activeChunks(turn.chunks, level), paint));
    for (const [c, call] of turn.calls.entries()) {
      lines.push(paint("accent", `  → ${text(`${call.name} ${spacedJson(call.arguments)}`, "    ")}`));
      lines.push(`  ← ${text(turn.observations[c] ?? "", "    ")}`);
    }
  }
  if (turns.length > shown.turns) lines.push("", `… and ${turns.length - shown.turns} more turns`);
  lines.push("", paint("bold", "final turn") + paint("dim", "  part of no context"));
  lines.push(...chunkLines(final.chunks, [], paint));
  lines.push(paint("dim", `  = ${text(final.answer, "    ")}`));
  if (trace.answerInObservations)
    lines.push(paint("dim", "  the observations above hold the reference answer"));
  return lines;
}

function chunkLines(chunks: readonly Chunk[], active: readonly boolean[], paint: Paint): string[] {
  const width = Math.max(0, ...chunks.map(({ type }) => type.length));
  return chunks.map(({ type, text: content, keep }, index) => {
    const isPreview = type === "explicit_call_preview";
    const style = active[index] ? "good" : isPreview ? "bad" : "dim";
    const mark = active[index] ? "●" : isPreview ? "✗" : "○";
    const label = `${mark} ${type.padEnd(width)}`;
    const body = text(content.trim(), " ".repeat(width + 6));
    return `  ${paint(style, label)}  ${active[index] ? body : paint("dim", body)}${keep === false ? paint("dim", " (not kept)") : ""}`;
  });
}

/** Untrusted text: cut, its line breaks kept and indented, control characters removed. */
function text(source: string, margin: string): string {
  const cut =
    source.length > shown.characters
      ? `${source.slice(0, shown.characters)}… (${source.length} characters)`
      : source;
  return cut.split("\n").map(printable).join(`\n${margin}`);
}
