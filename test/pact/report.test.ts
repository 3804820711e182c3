import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultConfig } from "../../packages/pact/src/config.ts";
import { metricDescriptions } from "../../packages/pact/src/metric-table.ts";
import { lineChart, shortNumber, ticks, trailingMean } from "../../packages/pact/src/report/chart.ts";
import { escapeHtml, html } from "../../packages/pact/src/report/html.ts";
import { readRun } from "../../packages/pact/src/report/read-run.ts";
import { runReport } from "../../packages/pact/src/report/report.ts";
import { chooseExhibits } from "../../packages/pact/src/report/rollouts.ts";
import { hostileText, writeFixtureRun } from "./report.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "pact-report-"));
const done = join(root, "done");
const stopped = join(root, "stopped");
beforeAll(async () => {
  await writeFixtureRun(done, { steps: 12 });
  await writeFixtureRun(stopped, { steps: 3, interrupted: true });
});
afterAll(() => rmSync(root, { recursive: true }));

/** Elements whose end tag is left out in HTML, and the childless ones of SVG written as `<line …/>`. */
const voidElements = new Set(["meta", "br", "img", "input"]);

/** Checks that every element is closed in order; returns the names of all elements. */
function elements(document: string): string[] {
  const body = document
    .replace(/<(style|script)>[\s\S]*?<\/\1>/g, "<$1></$1>")
    .replace("<!doctype html>", "");
  const open: string[] = [];
  const names: string[] = [];
  for (const [tag, slash, name, attributes] of body.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/g,
  )) {
    if (slash !== "") expect(open.pop(), tag).toBe(name);
    else {
      names.push(name);
      if (!voidElements.has(name) && !attributes.endsWith("/")) open.push(name);
    }
  }
  expect(open).toEqual([]);
  // Whatever is left between tags has no stray angle bracket.
  expect(body.replace(/<\/?[a-z](?:"[^"]*"|[^">])*>/g, "")).not.toMatch(/[<>]/);
  return names;
}

describe("the report of a finished run", () => {
  it("is well-formed and has every part", async () => {
    const page = await runReport(done);
    const names = elements(page);
    const headings = ["Before and after", "Evaluations", "Training", "Every metric", "Why rollouts ended"];
    for (const heading of [...headings, "Rollouts", "Settings"]) expect(page).toContain(`<h2>${heading}`);
    // Twelve curves to begin with, then each metric that the run has, beside its meaning.
    const { metrics } = await readRun(done);
    const measured = new Set(metrics.flatMap(({ values }) => [...values.keys()]));
    const known = Object.keys(metricDescriptions).filter((name) => measured.has(name));
    expect(known.length).toBeGreaterThan(10);
    expect(names.filter((name) => name === "svg")).toHaveLength(12 + known.length);
    for (const name of known) {
      expect(page).toContain(`<h3>${name}</h3>`);
      expect(page).toContain(escapeHtml(metricDescriptions[name].slice(1)));
    }
    expect(names.filter((name) => name === "table")).toHaveLength(3);
    expect(page).toContain("pact explain &lt;run&gt; ");
    // Only a served page of a run that is going on reloads itself.
    expect(page).not.toContain('http-equiv="refresh"');
    expect(await runReport(done, 5)).toContain('http-equiv="refresh" content="5"');
    // Settings apart from the defaults stand in the open, with what the default is.
    const { config } = await readRun(done);
    const train = config.train as Record<string, unknown>;
    const different = Object.entries(defaultConfig).filter(([name, value]) => train[name] !== value);
    const open = different.filter(([, value]) => typeof value !== "object").slice(0, 3);
    expect(open.length).toBeGreaterThan(0);
    for (const [name, value] of open)
      expect(page).toContain(
        `<dt>${name}</dt><dd class="mono">${train[name]}  (default ${escapeHtml(JSON.stringify(value))})`,
      );
    for (const role of ["prompt", "reasoning", "call", "answer", "observation", "template"])
      expect(page).toContain(`<span class="t-${role}" title="${role}">`);
    expect(page).toContain("0.270");
    expect(page).toContain("+0.220");
    expect(page).toContain("parallel multi hop");
    expect(page).toMatch(/[0-9,]+ tokens sampled \+ trained on, evaluations included/);
    expect(page).not.toContain("has not ended");
  });
  it("shows what a model wrote as text, never as markup", async () => {
    const page = await runReport(done);
    const names = elements(page);
    expect(names.filter((name) => name === "script")).toHaveLength(1);
    expect(names).not.toContain("img");
    expect(page).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(page).not.toContain("<script>alert");
    expect(page.replace(/[\t\n]/g, "")).not.toMatch(/\p{Cc}/u);
  });
  it("requests nothing from anywhere", async () => {
    const page = await runReport(done);
    expect(page).not.toMatch(/https?:|url\(|@import/i);
    const tags = page
      .match(/<[a-z](?:"[^"]*"|[^">])*>/g)
      ?.join("\n")
      .replace(/"[^"]*"/g, "");
    expect(tags).toContain("data-rollout=");
    expect(tags).not.toMatch(/\s(src|href|srcset|action|on[a-z]+)=/i);
    expect(page).toContain("default-src 'none'");
  });
  it("is made from the folder alone: the same folder gives the same page", async () => {
    expect(await runReport(done)).toBe(await runReport(done));
  });
});

it("the report of a stopped run says so and shows what there is", async () => {
  const page = await runReport(stopped);
  elements(page);
  expect(page).toContain("This run was stopped before its end: 3 of 3 steps are done.");
  expect(page).toContain("before training, on 200 tasks");
});

describe("reading a run folder", () => {
  it("skips and counts cut, foreign and hostile lines", async () => {
    const folder = join(root, "damaged");
    await writeFixtureRun(folder, { steps: 2 });
    appendFileSync(
      join(folder, "metrics.jsonl"),
      'null\n[1]\n{"step":"x"}\n{"step":2,"values":{"__proto__":1,"a":"b"}}\n',
    );
    appendFileSync(
      join(folder, "rollouts.jsonl"),
      '{"step":0,"taskId":"t","spans":[{"role":"evil","text":"x"},3]}\n{"cut',
    );
    const run = await readRun(folder);
    expect(run.badLines).toBe(4);
    expect(run.metrics.map((row) => row.step)).toEqual([0, 1, 2]);
    expect(run.metrics[2].values.has("a")).toBe(false);
    expect(run.rollouts.find((row) => row.taskId === "t")?.spans).toEqual([]);
    expect(({} as { a?: unknown }).a).toBeUndefined();
    elements(await runReport(folder));
  });
  it("keeps training rollouts of the last three steps only", async () => {
    const run = await readRun(done);
    expect([...new Set(run.rollouts.filter((row) => row.phase === "train").map((row) => row.step))]).toEqual([
      9, 10, 11,
    ]);
  });
  it("keeps the same evaluation rollouts before and after, and says how many it left out", async () => {
    const folder = join(root, "large");
    mkdirSync(folder);
    const line = (step: number, task: number): string =>
      JSON.stringify({ step, phase: "evaluate", taskId: `t${task}`, spans: [] });
    const lines = [0, 7].flatMap((step) => Array.from({ length: 2600 }, (_, task) => line(step, task)));
    writeFileSync(join(folder, "config.json"), "{}");
    writeFileSync(join(folder, "rollouts.jsonl"), lines.join("\n"));
    const run = await readRun(folder);
    const tasks = (step: number): string[] =>
      run.rollouts.filter((row) => row.step === step).map((row) => row.taskId);
    expect(tasks(0)).toHaveLength(2500);
    expect(tasks(7)).toEqual(tasks(0));
    expect(run.rolloutsLeftOut).toBe(200);
    expect(await runReport(folder)).toContain("200 evaluation rollouts were left out");
    expect(await runReport(done)).not.toContain("were left out");
  });
  it("makes a page of a folder with a configuration alone, and refuses one that is no run", async () => {
    const folder = join(root, "empty");
    mkdirSync(folder);
    await expect(runReport(folder)).rejects.toThrow(
      /is no run folder: .* Give the folder that `pact train` wrote/,
    );
    writeFileSync(join(folder, "config.json"), "not json");
    elements(await runReport(folder));
  });
});

it("rollouts to show: pairs of one task before and after, then best, then worst", async () => {
  const { rollouts } = await readRun(done);
  const exhibits = chooseExhibits(rollouts, 2);
  for (const { group, rollouts: shown } of exhibits) {
    expect(shown).toHaveLength(group.startsWith("Same") ? 2 : 1);
    if (shown.length === 2) expect(shown[0].row.taskId).toBe(shown[1].row.taskId);
  }
  const best = exhibits.find((exhibit) => exhibit.group.startsWith("Highest"));
  const worst = exhibits.find((exhibit) => exhibit.group.startsWith("Lowest"));
  expect(best?.rollouts[0].row.reward).toBeGreaterThan(
    worst?.rollouts[0].row.reward ?? Number.POSITIVE_INFINITY,
  );
  expect(chooseExhibits([])).toEqual([]);
});

describe("charts", () => {
  it("ticks are round, evenly spaced and cover the range", () => {
    expect(ticks(0, 0.93, 4)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        (low, span) => {
          const high = low + span;
          fc.pre(high - low > 1e-9 * Math.abs(low));
          const positions = ticks(low, high, 4);
          expect(positions.length).toBeLessThanOrEqual(9);
          expect(positions[0]).toBeLessThanOrEqual(low + 1e-6 * span);
          expect(positions[positions.length - 1]).toBeGreaterThanOrEqual(high - 1e-6 * span);
        },
      ),
    );
  });
  it("gaps where a value is missing; nothing without values", () => {
    const x = [1, 2, 3, 4];
    const chart = lineChart({
      title: "t",
      note: "n",
      x,
      series: [{ label: "a", values: [1, 2, undefined, 4] }],
    });
    expect(chart?.text.match(/<path[^>]* d="([^"]*)"/)?.[1].match(/M/g)).toHaveLength(2);
    expect(
      lineChart({ title: "t", note: "n", x, series: [{ label: "a", values: [Number.NaN] }] }),
    ).toBeUndefined();
  });
  it("draws finite coordinates for any values", () => {
    const value = fc.option(fc.double(), { nil: undefined });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 80 }), (values) => {
        const chart = lineChart({
          title: "t",
          note: "n",
          x: values.map((_, i) => i + 1),
          series: [
            {
              label: "a",
              values,
            },
          ],
        });
        expect(chart?.text ?? "").not.toMatch(/NaN|Infinity/);
      }),
    );
  });
  it("trailing means and short numbers", () => {
    expect(trailingMean([1, undefined, 3, 5], 2)).toEqual([1, 1, 3, 4]);
    expect([0.412789, 12345.6, 0, -1.27e-7, Number.NaN].map(shortNumber)).toEqual([
      "0.4128",
      "12,346",
      "0",
      "-1.3e-7",
      "–",
    ]);
  });
});

describe("html", () => {
  it("escapes every value, joins lists, drops undefined and false", () => {
    expect(html`<a title="${'"'}">${["<", 1, undefined, false, html`<b></b>`]}</a>`.text).toBe(
      '<a title="&quot;">&lt;1<b></b></a>',
    );
    expect(escapeHtml(hostileText)).not.toMatch(/[<>"']/);
  });
  it("any text stays one text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(escapeHtml(text)).not.toMatch(/[<>"']/);
        expect(escapeHtml(text).replace(/&(amp|lt|gt|quot|#39);/g, "")).not.toContain("&");
      }),
    );
  });
  it("lone surrogates and control characters become the replacement character", () => {
    expect(escapeHtml("a\ud800b\u0000c\td\n")).toBe("a\ufffdb\ufffdc\td\n");
  });
});

it("the fixture's hostile text is in the folder as it is", () => {
  expect(readFileSync(join(done, "config.json"), "utf8")).toContain("<script>alert");
});
