/**
 * `report.html`: one self-contained page made from the files of a run folder alone, so it can be made again.
 *
 * Style, script and curves are inline, nothing is requested from anywhere (a Content-Security-Policy says so to the
 * browser too), and every text from the run is escaped.
 */
import { curveCharts } from "./curves.ts";
import { type Html, html, raw } from "./html.ts";
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
import { headline, scoreTable, stopReasons, tile } from "./scores.ts";
import { pageScript, styleSheet } from "./style.ts";

/**
 * The report of a run folder, as a complete HTML document.
 *
 * @throws Error if the folder holds no run
 * @example writeFileSync("runs/first/report.html", await runReport("runs/first"));
 */
export async function runReport(folder: string): Promise<string> {
  return reportHtml(await readRun(folder));
}

/** The report of run data already read. */
function reportHtml(run: RunData): string {
  const train = objectOf(run.config.train) ?? {};
  const environment = textOf(objectOf(run.config.environment)?.id) ?? "unknown tasks";
  const method = textOf(train.method) ?? "training";
  const { before, after } = beforeAndAfter(run.evaluations);
  const title = `${method.toUpperCase()} on ${environment}`;
  const charts = curveCharts(run.metrics);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${title}</title><style>${raw(styleSheet)}</style></head>
<body><main><header><h1>${title}</h1><p class="lead">${subtitle(run, train)}</p></header>
${warning(run, train)}
<div class="tiles">${before === undefined ? undefined : [headline("Solve-F1, sampled", before.sampled, after?.sampled), headline("Solve-F1, greedy", before.greedy, after?.greedy)]}${progressTiles(run, train)}</div>
${
  before === undefined && after === undefined
    ? undefined
    : html`<section><h2>Before and after, on held-out tasks</h2><p class="lead">Solve-P, Solve-R and Solve-F1 as FTRL defines them, 0 to 1, means over tasks; SE is the standard error of that mean.</p>
<div class="stack">${scoreTable("Sampled, temperature 1", before?.sampled, after?.sampled)}${scoreTable("Greedy", before?.greedy, after?.greedy)}</div></section>`
}
${charts.length > 0 ? html`<section><h2>Training</h2><div class="charts">${charts}</div></section>` : undefined}
${stopReasons(before, after)}
${rolloutSection(chooseExhibits(run.rollouts))}
${settings(run)}
<footer>${run.badLines > 0 ? `${run.badLines} lines of the run folder could not be read and were left out. ` : ""}${run.rolloutsLeftOut > 0 ? `${run.rolloutsLeftOut.toLocaleString("en-US")} evaluation rollouts were left out of the choice of rollouts shown. ` : ""}Method: PACT, arXiv 2606.16215. Made from config.json, metrics.jsonl, evaluations.jsonl, rollouts.jsonl and summary.json of the run folder.</footer>
</main><script>${raw(pageScript)}</script></body></html>
`;
  return page.text;
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
      ? "This run has not ended"
      : error === undefined
        ? "This run was stopped before its end"
        : `This run failed (${error})`;
  return html`<p class="card warning">${how}: ${run.metrics.length} of ${planned} steps are done. What follows is what was recorded.</p>`;
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

/** Every setting of config.json, flattened to `part.name`, folded away. */
function settings(run: RunData): Html | undefined {
  const rows = flatten(run.config, "").slice(0, 400);
  if (rows.length === 0) return undefined;
  return html`<section><h2>Settings</h2><details><summary>All ${rows.length} settings of config.json</summary><dl class="card settings">${rows.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd class="mono">${value}</dd></div>`,
  )}</dl></details></section>`;
}

function flatten(value: unknown, path: string): [string, string][] {
  const object = objectOf(value);
  if (object === undefined || path.split(".").length > 6)
    return [[path, textOf(value) ?? textOf(JSON.stringify(value)) ?? "–"]];
  return Object.entries(object).flatMap(([name, inner]) =>
    flatten(inner, path === "" ? name : `${path}.${name}`),
  );
}
