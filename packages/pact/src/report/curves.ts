/** Which metrics become charts, and the sentence that says how to read each; names as in `metrics.ts`. */
import { lineChart } from "./chart.ts";
import type { Html } from "./html.ts";
import type { MetricsRow } from "./read-run.ts";

interface Curve {
  readonly title: string;
  readonly note: string;
  /** [legend label, metric name]; `time.` reads the line's timings. */
  readonly series: readonly (readonly [label: string, metric: string])[];
}

const curves: readonly Curve[] = [
  {
    title: "Reward",
    note: "Mean sum of turn rewards of the rollouts sampled in the step.",
    series: [["mean reward", "reward/mean"]],
  },
  {
    title: "Solve-F1 of rollouts",
    note: "On the training tasks of the step, sampled at temperature 1.",
    series: [["Solve-F1", "solve/f1"]],
  },
  {
    title: "Losses by component",
    note: "Each over its own tokens. A policy loss of 0 with a gradient is normal: the ratio is 1.",
    series: [
      ["Lˣ prompt only", "loss/x"],
      ["Lʰ with trace", "loss/h"],
      ["SFT", "loss/sft"],
    ],
  },
  {
    title: "Entropy",
    note: "Mean entropy of the policy at sampled tokens, in nats. A fall to 0 means it no longer explores.",
    series: [["entropy", "policy/entropy"]],
  },
  {
    title: "Context gap",
    note: "Mean log π(τ|x,h*) − log π(τ|x): strongly negative means rollouts look foreign under the trace.",
    series: [["gap", "trace/gap"]],
  },
  {
    title: "Gradient norm",
    note: "Global norm before clipping.",
    series: [["norm", "gradient/norm"]],
  },
  {
    title: "Tokens per rollout",
    note: "Mean number of tokens the policy sampled in a rollout.",
    series: [["tokens", "rollout/tokens"]],
  },
  {
    title: "Seconds per step",
    note: "Wall clock, rollouts and update together.",
    series: [["seconds", "time.seconds"]],
  },
];

/** The charts for which the run has values, in reading order. */
export function curveCharts(rows: readonly MetricsRow[]): Html[] {
  // The x axis counts finished steps from 1, as the command line does.
  const x = rows.map((row) => row.step + 1);
  return curves.flatMap(({ title, note, series }) => {
    const values = (name: string): (number | undefined)[] =>
      rows.map((row) => (name.startsWith("time.") ? row.time.get(name.slice(5)) : row.values.get(name)));
    const chart = lineChart({
      title,
      note,
      x,
      series: series.map(([label, name]) => ({ label, values: values(name) })),
    });
    return chart === undefined ? [] : [chart];
  });
}
