/**
 * Makes docs/metrics.md from the tables in the code: `npx tsx --conditions=source scripts/metrics-page.ts`. A test compares
 * the page with what this gives.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { healthChecks } from "../packages/pact/src/health.ts";
import { metricTable, timeDescriptions } from "../packages/pact/src/metric-table.ts";

/** Titles of the groups, in the order of the page. */
const groups: Readonly<Record<string, string>> = {
  reward: "Rewards",
  advantage: "Advantages",
  solve: "Solve scores of the rollouts",
  rollout: "Rollouts",
  stop: "Why rollouts ended",
  policy: "Policy and updates",
  trace: "Traces",
  loss: "Losses",
  sft: "Expert tokens",
  gradient: "Gradients",
  schedule: "Schedules",
  tokens: "Tokens",
  tasks: "Tasks",
};

/** A cell of a table: "|" would end it, "<" begin a tag. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map((row) => line(row.map(cell)))].join(
    "\n",
  );
}

/** The page. */
export function metricsPage(): string {
  const sections = Object.entries(groups).map(([group, title]) => {
    const own = metricTable.filter(({ name }) => name.startsWith(`${group}/`));
    const rows = own.map(({ name, unit, meaning, reading }) => [`\`${name}\``, unit, meaning, reading]);
    return `### ${title}\n\n${table(["Metric", "Unit", "What it is", "How to read it"], rows)}`;
  });
  const times = Object.entries(timeDescriptions).map(([name, text]) => [`\`${name}\``, text]);
  const checks = healthChecks.map(({ name, advice, settings }) => [
    name,
    advice,
    settings.map((setting) => `\`${setting}\``).join(", "),
  ]);
  return `# Metrics

<!-- Made by scripts/metrics-page.ts from packages/pact/src/metric-table.ts and health.ts; change those. -->

A training run appends one line a step to \`metrics.jsonl\`: \`step\` (from 0), \`values\` (below), \`health\` (warnings that begin at
this step, only then) and \`time\`. Without \`time\` the lines of two runs of one seed on one device are equal, interrupted or not. A value that
does not apply to a step is null: no rollouts under \`sft\`, no prompt behind its trace in this step. Nothing is ever NaN: numbers that
left the floats end the run with an error that names the operation they began in.

## Values

${sections.join("\n\n")}

## Times

Seconds, under \`time\`; a part that did not happen is missing.

${table(["Name", "What it covers"], times)}

## Health checks

Each warns once in a run, at the first step at which it applies: on the terminal, in \`health\` of the line, with the values
that made it. Thresholds are in \`health.ts\`, far outside what healthy runs show.

${table(["Check", "Likely cause and what to do", "Settings"], checks)}

## Evaluations

\`evaluations.jsonl\` has a line for each evaluation on held-out tasks: before, after, and every \`--eval-every\` steps. For each decoding (sampled at
temperature 1, greedy): Solve-P, Solve-R, Solve-F1 with the standard error over tasks, by category; \`success\`, the share of attempts whose environment
counts the task as solved (avg@k for k = \`attempts\`); \`passAtK\` and \`passHatK\`, the chance that at least one of k attempts
succeeds, and that each does, estimated without bias from the \`--eval-rollouts\` attempts. Intervals are 95 %, by bootstrap over
tasks. Every evaluation of a run draws the same random numbers, so that they can be compared in pairs.

## What is not logged

The mutual information between prompts and rollouts, which RAGEN-2 proposes because entropy can look healthy while texts ignore their prompt.
An honest estimate scores every rollout behind the prompts of other tasks: a further forward for each of them. A cheap
stand-in (word overlap, entropy by prompt) would measure something else under that name. \`trace/gap\` is its nearest relative
here, and the rollouts of different tasks stand side by side in the report.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL("../docs/metrics.md", import.meta.url), metricsPage());
