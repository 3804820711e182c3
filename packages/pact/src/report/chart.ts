/**
 * Line charts as inline SVG, written by hand: axes with round ticks, one or more series over the training step.
 *
 * A single noisy series is drawn thin, with its trailing mean on top; several series are drawn as they are. Colours
 * come from the page (`--s1`, `--s2`, … of `style.ts`), so light and dark need one drawing. Leaves out: log axes.
 */
import { type Html, html } from "./html.ts";

/** A curve: one value per x; missing values (undefined, NaN, ±∞) leave a gap. */
export interface Series {
  readonly label: string;
  readonly values: readonly (number | undefined)[];
  /** Thin lines behind it in its colour: the runs that `values` is the mean of. */
  readonly members?: readonly (readonly (number | undefined)[])[];
}

/** What a chart shows. */
export interface ChartOptions {
  readonly title: string;
  /** One sentence on how to read it. */
  readonly note: string;
  readonly x: readonly number[];
  readonly series: readonly Series[];
  /** Keep a colour for a series without values, so that charts side by side agree. Default false. */
  readonly keepColours?: boolean;
  /** Include zero in the y axis. Default true. */
  readonly zero?: boolean;
}

/** Plot geometry in SVG units; the drawing scales with the page. */
const box = { width: 340, height: 170, left: 44, right: 8, top: 8, bottom: 24 };
/** Steps averaged by the thick line of a single series. */
const meanWindow = 5;

/**
 * Round tick positions covering [low, high]: multiples of 1, 2 or 5 times a power of ten, about `count` of them.
 *
 * @example ticks(0, 0.93, 4) // [0, 0.2, 0.4, 0.6, 0.8, 1]
 */
export function ticks(low: number, high: number, count: number): number[] {
  // Values that are equal up to rounding would need ticks finer than doubles can give.
  const size = Math.max(Math.abs(low), Math.abs(high));
  const flat = !(high - low > Math.max(1e-9 * size, 1e-100));
  const span = flat ? (size > 1e-100 ? size : 1) : high - low;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= count * 1.4) ?? 10 * power;
  const from = Math.floor(low / step + 1e-9);
  const to = Math.ceil((flat ? low + span : high) / step - 1e-9);
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)));
}

/** Mean of the present values among the last `window` positions; undefined where there is none. */
export function trailingMean(
  values: readonly (number | undefined)[],
  window: number,
): (number | undefined)[] {
  return values.map((_, i) => {
    const present = values.slice(Math.max(0, i - window + 1), i + 1).filter(isDrawable);
    return present.length === 0 ? undefined : present.reduce((a, b) => a + b, 0) / present.length;
  });
}

/** Class of the colour of the series at an index. */
export function colourOf(index: number): string {
  return `s${(index % 9) + 1}`;
}

/** Present and drawable: beyond 1e100 the difference of two values may overflow. */
function isDrawable(value: number | undefined): value is number {
  return value !== undefined && Math.abs(value) < 1e100;
}

/** A number in at most four significant digits, thousands grouped: `0.4127`, `12,300`, `1.2e-7`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(1).replace(".0e", "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(4)));
}

/**
 * One chart as a `<figure>`: title, legend with last values, drawing, note.
 *
 * Returns undefined if no series has a value, so that a page shows only what was measured.
 */
export function lineChart({
  title,
  note,
  x,
  series,
  keepColours = false,
  zero = true,
}: ChartOptions): Html | undefined {
  const shown = series.filter((s) => s.values.some(isDrawable));
  const colours = shown.map((s, i) => colourOf(keepColours ? series.indexOf(s) : i));
  const all = shown.flatMap((s) => [s.values, ...(s.members ?? [])].flatMap((v) => v.filter(isDrawable)));
  if (all.length === 0) return undefined;
  const yTicks = ticks(Math.min(...all, ...(zero ? [0] : [])), Math.max(...all, ...(zero ? [0] : [])), 4);
  const xLow = x[0];
  const xHigh = x[x.length - 1];
  const xTicks = ticks(xLow, xHigh, 6).filter((t) => t >= xLow && t <= xHigh && Number.isInteger(t));
  const yLow = yTicks[0];
  const yHigh = yTicks[yTicks.length - 1];
  const plotRight = box.width - box.right;
  const plotBottom = box.height - box.bottom;
  const toX = (v: number): number =>
    xHigh > xLow
      ? box.left + ((v - xLow) / (xHigh - xLow)) * (plotRight - box.left)
      : (box.left + plotRight) / 2;
  const toY = (v: number): number => plotBottom - ((v - yLow) / (yHigh - yLow)) * (plotBottom - box.top);

  const path = (values: readonly (number | undefined)[]): string => {
    let d = "";
    let pen = false;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (isDrawable(value)) d += `${pen ? "L" : "M"}${toX(x[i]).toFixed(1)} ${toY(value).toFixed(1)}`;
      pen = isDrawable(value);
    }
    return d;
  };
  const single = shown.length === 1 && x.length > meanWindow && shown[0].members === undefined;
  const curves = shown.map((s, i) => {
    const colour = colours[i];
    const dots = s.values.map((value, j) =>
      isDrawable(value) && x.length <= 60 && (s.members === undefined || x.length === 1)
        ? html`<circle cx="${toX(x[j]).toFixed(1)}" cy="${toY(value).toFixed(1)}" r="${single ? 1.6 : 1.8}"/>`
        : undefined,
    );
    const members = s.members?.map((values) => html`<path class="thin" d="${path(values)}"/>`);
    return html`<g class="${colour}">${members}<path class="${single ? "thin" : "line"}" d="${path(s.values)}"/><g class="${
      single ? "dots faint" : "dots"
    }">${dots}</g>${single ? html`<path class="line" d="${path(trailingMean(s.values, meanWindow))}"/>` : undefined}</g>`;
  });
  const legend = shown.map((s, i) => {
    const last = s.values.findLast(isDrawable);
    return html`<span class="key ${colours[i]}"><i></i>${s.label} <b>${last === undefined ? "–" : shortNumber(last)}</b></span>`;
  });
  const readout = shown.map((s) => [s.label, s.values.map((v) => (isDrawable(v) ? shortNumber(v) : "–"))]);
  return html`<figure class="chart"><figcaption><h3>${title}</h3><div class="legend">${legend}</div></figcaption>
<svg viewBox="0 0 ${box.width} ${box.height}" role="img" aria-label="${title}" data-x="${JSON.stringify(
    x.map((v) => [v, Number(toX(v).toFixed(1))]),
  )}" data-series="${JSON.stringify(readout)}">
${yTicks.map((t) => html`<line class="grid${t === 0 ? " base" : ""}" x1="${box.left}" x2="${plotRight}" y1="${toY(t).toFixed(1)}" y2="${toY(t).toFixed(1)}"/><text class="tick" text-anchor="end" x="${box.left - 6}" y="${(toY(t) + 3.5).toFixed(1)}">${shortNumber(t)}</text>`)}
${xTicks.map((t) => html`<text class="tick" text-anchor="middle" x="${toX(t).toFixed(1)}" y="${box.height - 7}">${t}</text>`)}
${curves}<line class="cursor" y1="${box.top}" y2="${plotBottom}" x1="-9" x2="-9"/></svg>
<p class="note">${note}${single ? ` Thick: mean of the last ${meanWindow} steps.` : ""}</p></figure>`;
}
