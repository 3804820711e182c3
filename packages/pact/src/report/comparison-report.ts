/**
 * `comparison.html`: the runs of `pact compare` on one self-contained page, as report.ts makes that of one run. Table of
 * means with intervals, every run's score as a dot, and the curves of all methods: seeds thin, their mean thick.
 */
import { join } from "node:path";
import { type ComparedScore, type Comparison, comparedScores } from "../comparison.ts";
import type { MeanOverRuns } from "../statistics.ts";
import { colourOf, lineChart, shortNumber, ticks } from "./chart.ts";
import { comparedCurves, describeMetric } from "./curves.ts";
import { type Html, html } from "./html.ts";
import { pageOf } from "./page.ts";
import { type MetricsRow, readRun } from "./read-run.ts";

/** How a page is served: reloading itself while runs go on, with links to the runs. */
export interface ServedPage {
  readonly reloadSeconds?: number;
  /** Address of a run's report. */
  readonly linkOf?: (folder: string) => string;
}

/**
 * The report of a comparison, as a complete HTML document.
 *
 * @param folder that holds the run folders
 * @example writeFileSync("runs/compare/comparison.html", await comparisonReport("runs/compare", comparison));
 */
export async function comparisonReport(
  folder: string,
  comparison: Comparison,
  served: ServedPage = {},
): Promise<string> {
  const metrics = new Map<string, readonly MetricsRow[]>();
  for (const run of comparison.runs)
    if (run.outcome !== "waiting") metrics.set(run.folder, (await readRun(join(folder, run.folder))).metrics);
  const { settings, baseline, runs, methods } = comparison;
  const done = runs.filter(({ outcome }) => outcome === "done").length;
  const environment = settings.shared.env ?? "tasks";
  const lead = `${plural(methods.length, "method")} · ${plural(settings.seeds.length, "seed")} · ${done} of ${runs.length} runs done · ${settings.shared["eval-tasks"] ?? "?"} held-out tasks, the same for every run`;
  const body = html`<header><h1>${methods.length === 1 ? "One method" : "Methods compared"} on ${String(environment)}</h1><p class="lead">${lead}</p></header>
${unfinished(comparison)}
<section><h2>After training, on held-out tasks</h2><p class="lead">Means over seeds with 95 % intervals by Student's t, n finished runs each; differences to ${baseline}, paired by seed. The tasks are the same for all runs: an interval tells how much training varies with the seed, not how much the tasks do.</p>
<div class="stack">${(Object.keys(comparedScores) as ComparedScore[]).map((score) => scoreCard(comparison, score))}</div></section>
<section><h2>Cost of a run</h2>${costTable(comparison)}</section>
<section><h2>Training</h2><p class="lead">Each seed thin, the mean of a method's runs thick. The x axis is the training step.</p><div class="charts">${charts(comparison, metrics)}</div></section>
${settingsSection(comparison)}
${runList(comparison, served)}
<footer>Made from comparison.json and the run folders beside it. Methods: docs/algorithms/pact.md; PACT is arXiv 2606.16215.</footer>`;
  return pageOf(`Methods compared on ${environment}`, body, served.reloadSeconds).text;
}

function unfinished({ runs }: Comparison): Html | undefined {
  const open = runs.filter(({ outcome }) => outcome !== "done");
  if (open.length === 0) return undefined;
  const count = (name: string) => open.filter(({ outcome }) => outcome === name).length;
  const parts = ["running", "stopped", "failed", "waiting"].flatMap((name) =>
    count(name) > 0 ? [`${count(name)} ${name}`] : [],
  );
  return html`<p class="card warning">${plural(open.length, "run")} of ${runs.length} not finished: ${parts.join(", ")}. The scores below are of the finished ones alone.</p>`;
}

function scoreCard(comparison: Comparison, score: ComparedScore): Html {
  const { methods, baseline } = comparison;
  return html`<div class="card scroll"><table class="scores"><thead><tr><th>${capital(comparedScores[score])}</th><th>n</th><th class="first">mean</th><th>95 % interval</th><th class="first">to ${baseline}</th><th>95 % interval</th></tr></thead>
<tbody>${methods.map(({ method, runs, scores, differences }, index) => {
    const change = differences?.[score] ?? undefined;
    return html`<tr><th scope="row"><span class="swatch ${colourOf(index)}"></span>${method}</th><td>${runs}</td>${cells(scores[score] ?? undefined, false)}${
      method === baseline ? html`<td class="first">baseline</td><td></td>` : cells(change, true)
    }</tr>`;
  })}</tbody></table>${spread(comparison, score)}</div>`;
}

function cells(value: MeanOverRuns | undefined, signed: boolean): Html {
  if (value === undefined) return html`<td class="first">–</td><td></td>`;
  const { mean, interval, runs } = value;
  const clear = signed && interval !== null && (interval.low > 0 || interval.high < 0);
  const style = clear ? (mean > 0 ? "up" : "down") : "";
  const reach = interval ? `${digits(interval.low, signed)} to ${digits(interval.high, signed)}` : "one run";
  return html`<td class="first"><span class="${style}">${digits(mean, signed)}</span></td><td><small>${reach}${signed ? ` (n ${runs})` : ""}</small></td>`;
}

function digits(value: number, signed = false): string {
  return `${value < 0 ? "−" : signed ? "+" : ""}${Math.abs(value).toFixed(3)}`;
}

/**
 * Every finished run as a dot, the mean as a bar, its interval as a line; one row per method. Scores are shares: the part of
 * an interval outside 0 to 1, which a t interval of few runs may have, is not drawn.
 */
function spread({ methods, runs }: Comparison, score: ComparedScore): Html | undefined {
  const of = (method: string) =>
    runs.flatMap((run) => (run.method === method && run.scores ? [run.scores[score]] : []));
  const ends = methods.flatMap(({ method, scores }) => {
    const interval = scores[score]?.interval;
    return [...of(method), ...(interval ? [share(interval.low), share(interval.high)] : [])];
  });
  if (ends.length === 0) return undefined;
  const marks = ticks(Math.min(...ends), Math.max(...ends), 6);
  const [low, high] = [marks[0], marks[marks.length - 1]];
  const box = { left: 110, right: 20, row: 24, width: 720 };
  const x = (value: number) =>
    (box.left + ((value - low) / (high - low)) * (box.width - box.left - box.right)).toFixed(1);
  const height = methods.length * box.row + 26;
  return html`<svg class="spread" viewBox="0 0 ${box.width} ${height}" role="img" aria-label="${comparedScores[score]} of every run">
${marks.map((mark) => html`<line class="grid" x1="${x(mark)}" x2="${x(mark)}" y1="4" y2="${height - 20}"/><text class="tick" text-anchor="middle" x="${x(mark)}" y="${height - 6}">${shortNumber(mark)}</text>`)}
${methods.map(({ method, scores }, index) => {
  const y = 4 + (index + 0.5) * box.row;
  const own = scores[score];
  const interval = own?.interval;
  return html`<g class="${colourOf(index)}"><text x="${box.left - 10}" y="${y + 4}" text-anchor="end">${method}</text>${
    interval
      ? html`<line class="reach" x1="${x(share(interval.low))}" x2="${x(share(interval.high))}" y1="${y}" y2="${y}"/>`
      : undefined
  }${own ? html`<line class="mean" x1="${x(own.mean)}" x2="${x(own.mean)}" y1="${y - 7}" y2="${y + 7}"/>` : undefined}${of(method).map((value) => html`<circle cx="${x(value)}" cy="${y}" r="3.5"/>`)}</g>`;
})}</svg>`;
}

function share(value: number): number {
  return Math.max(0, Math.min(1, value));
}

function costTable({ methods }: Comparison): Html {
  const whole = (value: number | null) => (value === null ? "–" : Math.round(value).toLocaleString("en-US"));
  return html`<div class="card scroll"><table class="scores"><thead><tr><th>Mean over finished runs</th><th>tokens sampled in training</th><th>tokens trained on</th><th>seconds</th></tr></thead>
<tbody>${methods.map(
    ({ method, sampledTokens, trainedTokens, seconds }, index) =>
      html`<tr><th scope="row"><span class="swatch ${colourOf(index)}"></span>${method}</th><td>${whole(sampledTokens)}</td><td>${whole(trainedTokens)}</td><td>${seconds === null ? "–" : seconds.toFixed(1)}</td></tr>`,
  )}</tbody></table></div>`;
}

function charts({ methods, runs }: Comparison, metrics: ReadonlyMap<string, readonly MetricsRow[]>): Html[] {
  const steps = Math.max(0, ...[...metrics.values()].flat().map(({ step }) => step + 1));
  const x = Array.from({ length: steps }, (_, step) => step + 1);
  return comparedCurves.flatMap(({ title, metric }) => {
    const series = methods.map(({ method }) => {
      const members = runs
        .filter((run) => run.method === method)
        .map(({ folder }) => {
          const values: (number | undefined)[] = Array(steps).fill(undefined);
          for (const row of metrics.get(folder) ?? []) values[row.step] = row.values.get(metric);
          return values;
        });
      const mean = x.map((_, step) => {
        const there = members.flatMap((values) => (values[step] === undefined ? [] : [values[step]]));
        return there.length === 0 ? undefined : there.reduce((sum, value) => sum + value, 0) / there.length;
      });
      return { label: method, values: mean, members };
    });
    const chart = lineChart({ title, note: describeMetric(metric), x, series, keepColours: true });
    return chart === undefined ? [] : [chart];
  });
}

function settingsSection({ settings }: Comparison): Html {
  const shared = Object.entries(settings.shared).map(([name, value]) => [name, String(value)] as const);
  const own = settings.methods.map((method) => {
    const given = Object.entries(settings.train[method] ?? {}).filter(([name]) => name !== "method");
    const text = given.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");
    return [method, text === "" ? "defaults" : text] as const;
  });
  return html`<section><h2>Settings</h2><p class="lead">What all runs share, and where each method differs from the defaults.</p><dl class="card settings single">${[
    ...shared,
    ...own,
  ].map(([name, value]) => html`<div><dt>${name}</dt><dd class="mono">${value}</dd></div>`)}</dl></section>`;
}

function runList({ runs }: Comparison, { linkOf }: ServedPage): Html {
  const name = (folder: string) => {
    const address = linkOf ? linkOf(folder) : `${folder}/report.html`;
    return html`<a href="${address}">${folder}</a>`;
  };
  return html`<section><h2>Runs</h2><div class="card scroll"><table class="scores"><thead><tr><th>folder</th><th>outcome</th><th>steps</th><th>seconds</th></tr></thead>
<tbody>${runs.map(
    ({ folder, outcome, steps, seconds, error }) =>
      html`<tr><th scope="row">${outcome === "waiting" ? folder : name(folder)}${error === undefined ? undefined : html`<br><small class="down">${error}</small>`}</th><td>${outcome}</td><td>${steps}</td><td>${seconds.toFixed(1)}</td></tr>`,
  )}</tbody></table></div></section>`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function capital(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}`;
}
