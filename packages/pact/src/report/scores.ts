/** The report's tables: headline tiles, before/after scores by category, and why rollouts ended. */
import { madeNoCall } from "../counts.ts";
import { lineChart } from "./chart.ts";
import { type Html, html } from "./html.ts";
import type { DecodingRow, EvaluationRow, ScoresRow } from "./read-run.ts";

/** Solve scores are shown with three digits, changes with a sign. */
function percent(value: number): string {
  return value.toFixed(3);
}

function change(before: number, after: number): Html {
  const difference = after - before;
  const text = `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(3)}`;
  const direction = Math.abs(difference) < 0.0005 ? "" : difference > 0 ? "up" : "down";
  return html`<span class="${direction}">${text}</span>`;
}

/** A headline number with a line of detail below. */
export function tile(name: string, value: Html | string, detail: Html | string): Html {
  return html`<div class="tile"><div class="name">${name}</div><div class="value">${value}</div><div class="detail">${detail}</div></div>`;
}

/** Headline of one decoding: Solve-F1 before → after, the change, and the standard errors. */
export function headline(name: string, before: DecodingRow, after: DecodingRow | undefined): Html {
  const error = (row: DecodingRow): string =>
    row.solveF1Error === undefined ? "" : ` (SE ${row.solveF1Error.toFixed(3)})`;
  if (after === undefined)
    return tile(
      name,
      percent(before.solveF1),
      html`before training, on ${before.tasks} tasks${error(before)}`,
    );
  return tile(
    name,
    html`<small>${percent(before.solveF1)} → </small>${percent(after.solveF1)}`,
    html`${change(before.solveF1, after.solveF1)} on ${after.tasks} tasks${error(after)}`,
  );
}

const columns: readonly (readonly ["solveP" | "solveR" | "solveF1", string])[] = [
  ["solveP", "P"],
  ["solveR", "R"],
  ["solveF1", "F1"],
];

/** Solve-P, Solve-R and Solve-F1 before and after, overall and by category; one table per decoding. */
export function scoreTable(
  title: string,
  before: DecodingRow | undefined,
  after: DecodingRow | undefined,
): Html | undefined {
  const names = [...new Set([...(before?.categories.keys() ?? []), ...(after?.categories.keys() ?? [])])];
  const rows: [string, ScoresRow | undefined, ScoresRow | undefined, string][] = [
    ["All tasks", before, after, "total"],
    ...names.map((name): [string, ScoresRow | undefined, ScoresRow | undefined, string] => [
      name.replaceAll("_", " "),
      before?.categories.get(name),
      after?.categories.get(name),
      "",
    ]),
  ];
  const cells = (row: ScoresRow | undefined): Html[] =>
    columns.map(
      ([key], i) =>
        html`<td class="${i === 0 ? "first" : ""}">${row === undefined || (key === "solveP" && madeNoCall(row)) ? "–" : percent(row[key])}</td>`,
    );
  return html`<div class="card scroll"><table class="scores"><thead><tr><th>${title}</th><th></th><th class="first" colspan="3">before</th><th class="first" colspan="3">after</th><th class="first">change</th></tr>
<tr><th></th><th>tasks</th>${[0, 1].map(() => columns.map(([, label], i) => html`<th class="${i === 0 ? "first" : ""}">${label}</th>`))}<th class="first">F1</th></tr></thead>
<tbody>${rows.map(
    ([name, a, b, style]) =>
      html`<tr class="${style}"><th scope="row">${name}</th><td>${(a ?? b)?.tasks ?? "–"}</td>${cells(a)}${cells(b)}<td class="first">${a !== undefined && b !== undefined ? change(a.solveF1, b.solveF1) : "–"}</td></tr>`,
  )}</tbody></table></div>`;
}

/** Why rollouts ended, before and after training (sampled decoding), as bars. */
export function stopReasons(
  before: EvaluationRow | undefined,
  after: EvaluationRow | undefined,
): Html | undefined {
  const evaluations: [string, ReadonlyMap<string, number>][] = [];
  if (before !== undefined) evaluations.push(["before", before.sampled.stops]);
  if (after !== undefined) evaluations.push(["after", after.sampled.stops]);
  const reasons = [...new Set(evaluations.flatMap(([, stops]) => [...stops.keys()]))].filter((reason) =>
    evaluations.some(([, stops]) => (stops.get(reason) ?? 0) > 0),
  );
  if (reasons.length === 0) return undefined;
  const share = (stops: ReadonlyMap<string, number>, reason: string): number => {
    const total = [...stops.values()].reduce((a, b) => a + b, 0);
    return total > 0 ? (stops.get(reason) ?? 0) / total : 0;
  };
  return html`<section><h2>Why rollouts ended</h2><p class="lead">Held-out tasks, sampled at temperature 1; every rollout has exactly one reason.</p>
<div class="card reasons">${reasons.map((reason) =>
    evaluations.map(
      ([when, stops], i) =>
        html`<div class="reason"><span>${i === 0 ? reason.replaceAll("_", " ") : ""}</span><div class="track"><div class="fill ${when}" style="width:${(100 * share(stops, reason)).toFixed(1)}%"></div></div><span class="n">${when} ${(100 * share(stops, reason)).toFixed(0)} %</span></div>`,
    ),
  )}</div></section>`;
}

/** Every evaluation of the run: Solve-F1 with its standard error, success with its interval over tasks. */
export function evaluationSection(rows: readonly EvaluationRow[]): Html | undefined {
  if (rows.length === 0) return undefined;
  const cells = ({ solveF1, solveF1Error, success }: DecodingRow): Html =>
    html`<td class="first">${percent(solveF1)}${solveF1Error === undefined ? undefined : html` <small>SE ${percent(solveF1Error)}</small>`}</td><td>${success === undefined ? "–" : html`${percent(success.mean)} <small>${percent(success.low)} to ${percent(success.high)}</small>`}</td>`;
  const x = rows.map(({ step }) => step);
  const series = [
    { label: "F1 sampled", values: rows.map(({ sampled }) => sampled.solveF1) },
    { label: "F1 greedy", values: rows.map(({ greedy }) => greedy.solveF1) },
    { label: "success sampled", values: rows.map(({ sampled }) => sampled.success?.mean) },
    { label: "success greedy", values: rows.map(({ greedy }) => greedy.success?.mean) },
  ];
  const chart =
    rows.length > 2
      ? lineChart({ title: "Evaluations", note: "On held-out tasks, after so many steps.", x, series })
      : undefined;
  return html`<section><h2>Evaluations</h2><p class="lead">On held-out tasks. Success is the environment's own verdict, with a 95 % interval over tasks.</p>
<div class="stack"><div class="card scroll"><table class="scores"><thead><tr><th></th><th class="first" colspan="2">sampled</th><th class="first" colspan="2">greedy</th></tr><tr><th>steps done</th><th class="first">Solve-F1</th><th>success</th><th class="first">Solve-F1</th><th>success</th></tr></thead>
<tbody>${rows.map(({ step, sampled, greedy }) => html`<tr><th scope="row">${step}</th>${cells(sampled)}${cells(greedy)}</tr>`)}</tbody></table></div>${chart}</div></section>`;
}
