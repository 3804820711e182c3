/** What `pact plan` prints for people. */
import type { TrainingPlan } from "../plan.ts";
import type { PlanPart } from "../plan-parts.ts";
import type { PlanSuggestion } from "../plan-suggestions.ts";
import { bytesText } from "./bytes.ts";
import type { Bindings, Fit, PlanReport } from "./plan.ts";
import type { Paint } from "./terminal.ts";

const columns: readonly (readonly [part: PlanPart, title: string])[] = [
  ["parameters", "weights"],
  ["optimizer", "optimiser"],
  ["gradients", "gradients"],
  ["cache", "KV cache"],
  ["logits", "logits"],
  ["activations", "activations"],
];

const phaseNames: Readonly<Record<string, string>> = {
  start: "start",
  evaluation: "evaluation",
  rollouts: "rollouts",
  frozen: "old log-probs",
  gradients: "forward, backward",
  update: "update",
};

/** A plan as lines. */
export function planLines(report: PlanReport, paint: Paint): string[] {
  const { plan, adapter, bindings, memory, missing, suggestions } = report;
  const trained = plan.trainable === plan.parameters ? "all trained" : `${count(plan.trainable)} trained`;
  return [
    `model     ${report.model}: ${count(plan.parameters)} parameters, ${trained}`,
    `run       ${report.settings}`,
    `adapter   ${adapter.name} (${adapter.driver})`,
    "",
    `peak      ${paint("bold", bytesText(plan.peakBytes))} of tensors, in ${phaseNames[plan.peakPhase]}`,
    ...rolloutLines(report),
    `buffers   ${bytesText(plan.pooledPeakBytes)} with those that are kept for the next tensors`,
    ...bindingLines(plan, bindings, paint),
    ...memoryLines(memory, paint),
    ...missing.map((feature) =>
      paint("bad", `missing   this adapter has no ${feature}, which precision f16 needs`),
    ),
    "",
    ...phaseTable(plan, paint),
    ...(suggestions.length > 0 ? ["", ...suggestionLines(suggestions, plan, paint)] : []),
  ];
}

function rolloutLines({ rolloutTokens, expert, longest }: PlanReport): string[] {
  if (!expert || !longest) return [];
  const others = `${bytesText(expert.peakBytes)} with the experts', ${bytesText(longest.peakBytes)} if all ran to their limit`;
  return [`          with rollouts of ${rolloutTokens} sampled tokens; ${others}`];
}

function bindingLines(
  { largestTensor }: TrainingPlan,
  { limitBytes, fits }: Bindings,
  paint: Paint,
): string[] {
  const { op, shape, dtype, bytes, phase } = largestTensor;
  const what = `largest tensor ${bytesText(bytes)}, ${dtype}[${shape.join(", ")}] of ${op} in ${phaseNames[phase]}`;
  if (limitBytes === null) return [`binding   ${what}; no adapter here to bind it on`];
  const verdict = fits
    ? paint("good", "fits")
    : paint("bad", "does not fit: the run would end with OutOfMemoryError");
  return [
    `binding   ${what}`,
    `          one binding of this adapter takes ${bytesText(limitBytes)}: ${verdict}`,
  ];
}

const verdicts: Readonly<Record<Fit, string>> = {
  yes: "fits, with the buffers that are kept",
  tight: "tensors fit, but not with the buffers that are kept for the next ones",
  no: "does not fit",
};

function memoryLines(memory: PlanReport["memory"], paint: Paint): string[] {
  if (memory === null) return [];
  const text = paint(memory.fits === "yes" ? "good" : "bad", verdicts[memory.fits]);
  return [`memory    ${bytesText(memory.bytes)}: ${text}`];
}

function phaseTable(plan: TrainingPlan, paint: Paint): string[] {
  const shown = columns.filter(([part]) => plan.phases.some(({ parts }) => parts[part] > 0));
  const width = 12;
  const cell = (text: string): string => text.padStart(width);
  const head = ["peak", ...shown.map(([, title]) => title)].map(cell).join("");
  return [
    paint("dim", `${"phase".padEnd(18)}${head}`),
    ...plan.phases.map(({ phase, peakBytes, parts }) => {
      const cells = shown.map(([part]) => cell(parts[part] === 0 ? "–" : bytesText(parts[part])));
      const row = `${phaseNames[phase].padEnd(18)}${cell(bytesText(peakBytes))}${cells.join("")}`;
      return phase === plan.peakPhase ? paint("bold", row) : row;
    }),
  ];
}

function suggestionLines(
  suggestions: readonly PlanSuggestion[],
  { peakBytes }: TrainingPlan,
  paint: Paint,
): string[] {
  const rows = suggestions.map((suggestion): [string, TrainingPlan] => [
    optionsOf(suggestion),
    suggestion.plan,
  ]);
  return [
    "less memory with",
    ...rows.flatMap(([text, plan]) => {
      const saved = `${Math.round(100 * (1 - plan.peakBytes / peakBytes))} % less`;
      return [`  ${bytesText(plan.peakBytes).padStart(9)}  ${paint("good", saved.padStart(9))}  ${text}`];
    }),
  ];
}

/** A suggestion as the options that ask for it. */
export function optionsOf({ settings, heldOut }: Pick<PlanSuggestion, "settings" | "heldOut">): string {
  const pairs = Object.entries(settings).map(([name, value]) => `--set ${name}=${value}`);
  return [...pairs, ...(heldOut === undefined ? [] : [`--eval-tasks ${heldOut}`])].join(" ");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
