/** Which metrics become charts. How to read one is what `metrics.ts` says about it, or a note for several together. */
import { metricDescriptions } from "../metric-table.ts";
import { lineChart } from "./chart.ts";
import type { Html } from "./html.ts";
import type { MetricsRow } from "./read-run.ts";

interface Curve {
  readonly title: string;
  /** [legend label, metric name]; `time.` reads the line's timings. */
  readonly series: readonly (readonly [label: string, metric: string])[];
  /** Default: the metric's description. */
  readonly note?: string;
}

const curves: readonly Curve[] = [
  { title: "Reward", series: [["mean", "reward/mean"]] },
  { title: "Solve-F1 of rollouts", series: [["F1", "solve/f1"]] },
  {
    title: "Calls per rollout",
    series: [
      ["calls", "rollout/calls"],
      ["malformed", "rollout/malformed"],
    ],
    note: "Mean numbers. Calls that rise without Solve-F1 are call spam.",
  },
  {
    title: "Losses by component",
    series: [
      ["Lˣ", "loss/x"],
      ["Lʰ", "loss/h"],
      ["SFT", "loss/sft"],
    ],
    note: "Prompt only, with trace, and SFT before its weight. A policy loss near 0 with a gradient is normal: ratios are 1.",
  },
  {
    title: "Expert tokens",
    series: [
      ["reasoning", "sft/reasoning_nll"],
      ["calls", "sft/call_nll"],
    ],
    note: "Mean −log π of the expert tokens that SFT trains. The curve of reasoning ends with its last prefix level.",
  },
  { title: "Gradient norm", series: [["norm", "gradient/norm"]] },
  { title: "Entropy", series: [["nats", "policy/entropy"]] },
  { title: "Context gap", series: [["gap", "trace/gap"]] },
  { title: "Reasoning", series: [["share", "rollout/think"]] },
  { title: "Tokens per rollout", series: [["tokens", "rollout/tokens"]] },
  { title: "Groups without variance", series: [["share", "reward/zero_variance"]] },
  {
    title: "Seconds per step",
    series: [["seconds", "time.seconds"]],
    note: "Wall clock, rollouts and update together.",
  },
];

/** What a comparison draws of each method. */
export const comparedCurves = [
  { title: "Reward", metric: "reward/mean" },
  { title: "Solve-F1 of rollouts", metric: "solve/f1" },
  { title: "Success of rollouts", metric: "solve/success" },
  { title: "Loss", metric: "loss/total" },
  { title: "Calls per rollout", metric: "rollout/calls" },
  { title: "Tokens per rollout", metric: "rollout/tokens" },
  { title: "Entropy", metric: "policy/entropy" },
  { title: "Context gap", metric: "trace/gap" },
  { title: "Groups without variance", metric: "reward/zero_variance" },
  { title: "Expert call tokens", metric: "sft/call_nll" },
  { title: "Gradient norm", metric: "gradient/norm" },
  { title: "Tokens sampled", metric: "tokens/sampled" },
] as const;

/** The charts for which the run has values, in reading order. */
export function curveCharts(rows: readonly MetricsRow[]): Html[] {
  return curves.flatMap((curve) => drawn(curve, rows));
}

/** Every metric for which the run has values, by group: the part of a name before "/". */
export function metricGroups(rows: readonly MetricsRow[]): { group: string; charts: Html[] }[] {
  const groups = new Map<string, Html[]>();
  for (const name of Object.keys(metricDescriptions)) {
    const [group] = name.split("/");
    const charts = groups.get(group) ?? [];
    charts.push(...drawn({ title: name, series: [["", name]] }, rows));
    groups.set(group, charts);
  }
  return [...groups].flatMap(([group, charts]) => (charts.length === 0 ? [] : [{ group, charts }]));
}

function drawn({ title, series, note }: Curve, rows: readonly MetricsRow[]): Html[] {
  const values = (name: string): (number | undefined)[] =>
    rows.map((row) => (name.startsWith("time.") ? row.time.get(name.slice(5)) : row.values.get(name)));
  const chart = lineChart({
    title,
    note: note ?? describeMetric(series[0][1]),
    // The x axis counts finished steps from 1, as the command line does.
    x: rows.map((row) => row.step + 1),
    series: series.map(([label, name]) => ({ label, values: values(name) })),
  });
  return chart === undefined ? [] : [chart];
}

/** What a metric is and how to read it, as a sentence. */
export function describeMetric(name: string): string {
  return sentence(metricDescriptions[name]);
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
