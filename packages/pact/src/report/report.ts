/**
 * `report.html`: one self-contained page made from the files of a run folder alone, so it can be made again.
 *
 * Style, script and curves are inline, nothing is requested from anywhere (a Content-Security-Policy says so to the
 * browser too), and every text from the run is escaped.
 */
import { defaultConfig } from "../config.ts";
import { curveCharts, metricGroups } from "./curves.ts";
import { type Html, html } from "./html.ts";
import { pageOf } from "./page.ts";
import {
  type EvaluationRow,
  type Json,
  numberOf,
  objectOf,
  type RunData,
  readRun,
  textOf,
} from "./read-run.ts";
import { chooseExhibits, rolloutSection } from "./rollouts.ts";
import { evaluationSection, headline, scoreTable, stopReasons, tile } from "./scores.ts";

/**
 * The report of a run folder, as a complete HTML document.
 *
 * @param reloadSeconds the page reloads itself after so many: for a run that is going on and a page that is served
 * @throws Error if the folder holds no run
 * @example writeFileSync("runs/first/report.html", await runReport("runs/first"));
 */
export async function runReport(folder: string, reloadSeconds?: number): Promise<string> {
  return reportHtml(await readRun(folder), reloadSeconds);
}

/** The report of run data already read. */
function reportHtml(run: RunData, reloadSeconds: number | undefined): string {
  const train = objectOf(run.config.train) ?? {};
  const environment = textOf(objectOf(run.config.environment)?.id) ?? "unknown tasks";
  const method = textOf(train.method) ?? "training";
  const { before, after } = beforeAndAfter(run.evaluations);
  const title = `${method.toUpperCase()} on ${environment}`;
  const charts = curveCharts(run.metrics);
  const groups = metricGroups(run.metrics);
  const body = html`<header><h1>${title}</h1><p class="lead">${subtitle(run, train)}</p></header>
${warning(run, train)}
${healthWarnings(run)}
<div class="tiles">${before === undefined ? undefined : [headline("Solve-F1, sampled", before.sampled, after?.sampled), headline("Solve-F1, greedy", before.greedy, after?.greedy)]}${progressTiles(run, train)}</div>
${
  before === undefined && after === undefined
    ? undefined
    : html`<section><h2>Before and after, on held-out tasks</h2><p class="lead">Solve-P, Solve-R and Solve-F1 as FTRL defines them, 0 to 1, means over tasks; P is – where no call was made (its definition has 1 there); SE is the standard error of that mean.</p>
<div class="stack">${scoreTable("Sampled, temperature 1", before?.sampled, after?.sampled)}${scoreTable("Greedy", before?.greedy, after?.greedy)}</div></section>`
}
${evaluationSection(run.evaluations)}
${charts.length > 0 ? html`<section><h2>Training</h2><div class="charts">${charts}</div></section>` : undefined}
${
  groups.length > 0
    ? html`<section><h2>Every metric</h2><p class="lead">All that metrics.jsonl holds, by group; each with its meaning.</p>${groups.map(
        ({ group, charts: own }) =>
          html`<details class="group"><summary>${group} <small>${own.length}</small></summary><div class="charts">${own}</div></details>`,
      )}</section>`
    : undefined
}
${stopReasons(before, after)}
${rolloutSection(chooseExhibits(run.rollouts))}
${settings(run)}
<footer>${run.badLines > 0 ? `${run.badLines} lines of the run folder could not be read and were left out. ` : ""}${run.rolloutsLeftOut > 0 ? `${run.rolloutsLeftOut.toLocaleString("en-US")} evaluation rollouts were left out of the choice of rollouts shown. ` : ""}Method: PACT, arXiv 2606.16215. Made from config.json, metrics.jsonl, evaluations.jsonl, rollouts.jsonl and summary.json of the run folder.</footer>`;
  return pageOf(title, body, reloadSeconds).text;
}

/** The evaluation at step 0, and the last one after at least one step. */
function beforeAndAfter(rows: readonly EvaluationRow[]): { before?: EvaluationRow; after?: EvaluationRow } {
  return { before: rows.find((row) => row.step === 0), after: rows.findLast((row) => row.step > 0) };
}

function subtitle(run: RunData, train: Json): string {
  const device = objectOf(run.config.device);
  const parts = [
    textOf(device?.kind) && `${textOf(device?.kind)}: ${textOf(device?.description) ?? ""}`,
    numberOf(run.config.parameters) &&
      `${numberOf(run.config.parameters)?.toLocaleString("en-US")} parameters`,
    numberOf(train.seed) !== undefined && `seed ${numberOf(train.seed)}`,
  ];
  return parts.filter((part): part is string => typeof part === "string" && part !== "").join(" · ");
}

function warning(run: RunData, train: Json): Html | undefined {
  if (run.summary?.outcome === "done") return undefined;
  const planned = numberOf(train.steps) ?? run.metrics.length;
  const error = textOf(run.summary?.error);
  const how =
    run.summary === undefined
      ? `This run is running, or was killed (last written ${ago(run.written)})`
      : error === undefined
        ? "This run was stopped before its end"
        : `This run failed (${error})`;
  return html`<p class="card warning">${how}: ${run.metrics.length} of ${planned} steps are done. What follows is what was recorded.</p>`;
}

/** What the health checks said, with the step at which each began. */
function healthWarnings(run: RunData): Html[] {
  return run.metrics.flatMap(({ step, health }) =>
    health.map((text) => html`<p class="card warning">From step ${step + 1}: ${text}</p>`),
  );
}

function progressTiles(run: RunData, train: Json): Html[] {
  const seconds = numberOf(run.summary?.seconds);
  const tokens = numberOf(run.summary?.tokens);
  const perStep = (numberOf(train.promptsPerStep) ?? 0) * (numberOf(train.rolloutsPerPrompt) ?? 0);
  const tiles = [
    tile(
      "Training steps",
      String(run.metrics.length),
      perStep > 0 && train.method !== "sft"
        ? `${train.promptsPerStep} prompts × ${train.rolloutsPerPrompt} rollouts each`
        : `of ${numberOf(train.steps) ?? "?"} planned`,
    ),
  ];
  if (seconds !== undefined)
    tiles.push(
      tile(
        "Wall clock",
        seconds < 100
          ? html`${seconds.toFixed(0)}<small> s</small>`
          : html`${(seconds / 60).toFixed(1)}<small> min</small>`,
        tokens === undefined
          ? ""
          : `${tokens.toLocaleString("en-US")} tokens sampled + trained on, evaluations included`,
      ),
    );
  return tiles;
}

/** How long ago something was, for a person. */
function ago(written: number | undefined): string {
  if (written === undefined) return "at an unknown time";
  const seconds = Math.max(0, (Date.now() - written) / 1000);
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

/** Training settings whose value is not the default. */
function changed(run: RunData): [string, string][] {
  const train = objectOf(run.config.train) ?? {};
  return Object.entries(train).flatMap(([name, value]): [string, string][] => {
    const usual = Object.hasOwn(defaultConfig, name)
      ? JSON.stringify(defaultConfig[name as keyof typeof defaultConfig])
      : undefined;
    if (JSON.stringify(value) === usual) return [];
    return [[name, `${shownValue(value)}${usual === undefined ? "" : `  (default ${usual})`}`]];
  });
}

function shownValue(value: unknown): string {
  return textOf(value) ?? textOf(JSON.stringify(value)) ?? "–";
}

/** Every setting of config.json, flattened to `part.name`, folded away. */
function settings(run: RunData): Html | undefined {
  const rows = flatten(run.config, "").slice(0, 400);
  if (rows.length === 0) return undefined;
  const own = changed(run);
  const list = (entries: readonly (readonly [string, string])[]) =>
    entries.map(([name, value]) => html`<div><dt>${name}</dt><dd class="mono">${value}</dd></div>`);
  return html`<section><h2>Settings</h2>${
    own.length === 0
      ? html`<p class="lead">Every training setting has its default.</p>`
      : html`<p class="lead">Training settings that differ from the defaults.</p><dl class="card settings">${list(own)}</dl>`
  }<details><summary>All ${rows.length} settings of config.json</summary><dl class="card settings">${list(rows)}</dl></details></section>`;
}

function flatten(value: unknown, path: string): [string, string][] {
  const object = objectOf(value);
  if (object === undefined || path.split(".").length > 6) return [[path, shownValue(value)]];
  return Object.entries(object).flatMap(([name, inner]) =>
    flatten(inner, path === "" ? name : `${path}.${name}`),
  );
}
