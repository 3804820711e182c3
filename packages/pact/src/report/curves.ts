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

/** The charts for which the run has values, in reading order. */
export function curveCharts(rows: readonly MetricsRow[]): Html[] {
  // The x axis counts finished steps from 1, as the command line does.
  const x = rows.map((row) => row.step + 1);
  const values = (name: string): (number | undefined)[] =>
    rows.map((row) => (name.startsWith("time.") ? row.time.get(name.slice(5)) : row.values.get(name)));
  return curves.flatMap(({ title, series, note }) => {
    const chart = lineChart({
      title,
      note: note ?? sentence(metricDescriptions[series[0][1]]),
      x,
      series: series.map(([label, name]) => ({ label, values: values(name) })),
    });
    return chart === undefined ? [] : [chart];
  });
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
