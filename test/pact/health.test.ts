import { describe, expect, it } from "vitest";
import { defaultConfig } from "../../packages/pact/src/config.ts";
import { Health, healthChecks } from "../../packages/pact/src/health.ts";

/** Values of real runs of 30 steps from the shipped base (docs/log.md), two digits: what healthy runs look like. */
const healthy: Record<string, Record<string, string>> = {
  pact: {
    "reward/zero_variance":
      "0 0 0 0 0.063 0.063 0.063 0 0.19 0.13 0.13 0.063 0.19 0 0.25 0 0 0 0 0.25 0.13 0 0.13 0.25 0.063 0 0.063 0.13 0.063 0.19",
    "policy/entropy":
      "0.26 0.24 0.24 0.27 0.22 0.27 0.31 0.27 0.28 0.27 0.25 0.24 0.19 0.24 0.2 0.22 0.2 0.2 0.18 0.17 0.2 0.23 0.17 0.18 0.24 0.19 0.23 0.21 0.23 0.22",
    "rollout/calls":
      "1.1 1.8 1.9 2.5 2.5 2.7 3.7 3.6 3.4 3.6 3.3 3.5 2.7 3.4 2.2 2.3 2.8 2.3 2.8 2.3 2.8 2.6 2 2.2 2.4 2.9 2.2 2.3 2.2 2.2",
    "rollout/malformed":
      "0.031 0.063 0.063 0.094 0.078 0.19 0.17 0.31 0.27 0.33 0.27 0.17 0.19 0.19 0.094 0.094 0.094 0.031 0.031 0.047 0.19 0.063 0.063 0.016 0.047 0.031 0.13 0.078 0.063 0.047",
    "solve/f1":
      "0.17 0.3 0.26 0.19 0.51 0.52 0.36 0.48 0.38 0.35 0.42 0.44 0.55 0.32 0.55 0.49 0.34 0.45 0.39 0.57 0.41 0.42 0.54 0.53 0.43 0.48 0.39 0.47 0.46 0.39",
    "gradient/norm":
      "3.1 3.7 2.3 3 2.2 2.6 2.2 2.1 3 4.3 3.9 2.7 2.6 3.1 3 3.2 2.2 4 3.3 3 1.9 3.6 3.2 2.1 2.6 3.4 1.9 2.1 3 3.3",
    "rollout/think": "0.69 0.77 0.85 0.9 0.96 0.99 0.98 1 1 1 1 1 1 1 1 1 1 0.99 1 1 0.99 1 1 1 1 1 1 1 1 1",
  },
  matchtir: {
    "reward/zero_variance":
      "0 0 0 0 0 0.063 0 0 0.063 0.063 0 0.063 0.13 0.19 0.13 0.13 0 0.063 0 0.063 0.13 0.19 0.13 0.25 0 0 0.063 0.063 0 0.19",
    "policy/entropy":
      "0.26 0.24 0.3 0.35 0.28 0.29 0.31 0.25 0.32 0.32 0.31 0.28 0.34 0.38 0.33 0.33 0.36 0.3 0.36 0.33 0.4 0.38 0.31 0.33 0.35 0.34 0.33 0.3 0.41 0.32",
    "rollout/calls":
      "1.1 1.7 1.9 2.8 2.4 1.8 2 1.8 1.8 1.7 1.7 1.6 1.4 1.7 1.5 1.5 1.6 1.5 1.5 1.4 1.5 1.5 1.5 1.5 1.8 1.7 1.6 1.5 1.8 1.5",
    "rollout/malformed":
      "0.031 0.063 0.11 0.16 0.11 0.11 0.11 0.031 0.047 0.094 0.047 0.047 0.047 0.047 0.031 0.047 0.031 0.016 0.047 0.078 0.031 0 0.047 0.047 0.11 0.078 0.11 0.063 0.11 0.047",
    "solve/f1":
      "0.17 0.3 0.22 0.17 0.3 0.37 0.26 0.3 0.31 0.26 0.28 0.29 0.32 0.31 0.35 0.39 0.28 0.44 0.25 0.45 0.22 0.34 0.51 0.43 0.4 0.34 0.36 0.49 0.29 0.35",
    "gradient/norm":
      "0.56 0.48 0.58 0.42 0.43 0.4 0.44 0.46 0.47 0.56 0.75 0.54 0.53 0.53 0.52 0.54 0.62 0.52 0.56 0.53 0.43 0.49 0.49 0.45 0.5 0.52 0.52 0.45 0.51 0.48",
    "rollout/think":
      "0.69 0.72 0.7 0.64 0.63 0.72 0.69 0.81 0.88 0.9 0.92 0.93 0.94 0.97 0.99 0.99 0.99 0.99 0.99 1 1 1 0.99 1 0.99 0.99 0.99 0.99 1 0.99",
  },
};

type Values = Record<string, number | null>;

/** Lines of a run, from one series per metric; a metric whose series is over has no value. */
function linesOf(series: Record<string, readonly (number | null)[]>): { values: Values }[] {
  const steps = Math.max(...Object.values(series).map((values) => values.length));
  return Array.from({ length: steps }, (_, step) => ({
    values: Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values[step] ?? null])),
  }));
}

/** Warnings as [step, text]. */
function warnings(series: Record<string, readonly (number | null)[]>): [number, string][] {
  const health = new Health();
  return linesOf(series).flatMap((line, step) =>
    health.observe(line).map((text): [number, string] => [step, text]),
  );
}

const recorded = (name: string) =>
  Object.fromEntries(
    Object.entries(healthy[name]).map(([metric, text]) => [metric, text.split(" ").map(Number)]),
  );
const repeat = (value: number, times: number) => Array.from({ length: times }, () => value);

describe("health checks", () => {
  it.each(Object.keys(healthy))("are silent on a healthy run of %s", (name) => {
    const difference = { "policy/sampler_difference": repeat(1.2e-6, 30) };
    expect(warnings({ ...recorded(name), ...difference, "rollout/truncated": repeat(0.2, 30) })).toEqual([]);
  });

  const ill: [string, number, Record<string, readonly (number | null)[]>][] = [
    ["groups without variance", 5, { "reward/zero_variance": [0.1, 0.9, 0.8, 1, 0.9, 0.8, 0.8] }],
    ["groups without variance", 4, { "reward/zero_variance": repeat(1, 5) }],
    ["entropy collapse", 6, { "policy/entropy": [0.3, 0.28, 0.3, 0.1, 0.03, 0.01, 0.01, 0.01] }],
    ["ratio blow-up", 1, { "policy/ratio_max": [1, 400] }],
    ["ratio blow-up", 3, { "policy/clip_fraction": [0.1, 0.6, 0.7, 0.6] }],
    ["everything truncated", 2, { "rollout/truncated": [1, 0.95, 1], "stop/max_turns": [1, 0.9, 0.9] }],
    ["no valid call", 3, { "rollout/calls": [0.1, 0, 0, 0], "rollout/malformed": [0, 2, 2, 2] }],
    ["gradient spike", 6, { "gradient/norm": [2, 3, 2, 3, 2, 3, 31] }],
    [
      "call spam",
      9,
      {
        "rollout/calls": [...repeat(1, 5), ...repeat(4, 5)],
        "solve/f1": [...repeat(0.3, 5), ...repeat(0.2, 5)],
      },
    ],
    ["reasoning fades", 7, { "rollout/think": [0.9, 0.9, 0.9, 0.7, 0.3, 0.3, 0.2, 0.1] }],
    ["sampler and trainer disagree", 1, { "policy/sampler_difference": [1e-6, 0.01] }],
  ];

  it.each(ill)("%s: warns at step %i, once", (name, step, series) => {
    const longer = Object.fromEntries(
      Object.entries(series).map(([metric, values]) => [
        metric,
        [...values, ...repeat(values.at(-1) ?? 0, 3)],
      ]),
    );
    const found = warnings(longer);
    expect(found.map(([at, text]) => [at, text.split(":")[0]])).toEqual([[step, name]]);
  });

  it("has a test for each check", () => {
    expect([...new Set(ill.map(([name]) => name))].sort()).toEqual(
      healthChecks.map(({ name }) => name).sort(),
    );
  });

  it("names what is wrong, the likely cause and settings that exist", () => {
    const [[, text]] = warnings({
      "rollout/truncated": repeat(1, 3),
      "stop/turn_tokens": repeat(0.1, 3),
      "stop/rollout_tokens": repeat(0.9, 3),
    });
    expect(text).toMatch(
      /^everything truncated: 100 % .* most by stop\/rollout_tokens\. Likely cause: .*maxRolloutTokens/,
    );
    for (const { advice, settings } of healthChecks)
      for (const setting of settings) {
        expect(Object.keys(defaultConfig)).toContain(setting);
        expect(advice).toContain(setting);
      }
  });

  it("ignores metrics without a value, whatever they were before", () => {
    expect(warnings({ "rollout/calls": [null, null, null, 2, 2] })).toEqual([]);
    expect(warnings({ "rollout/calls": [0, 0, null, null], "solve/f1": repeat(0.1, 4) })).toEqual([]);
    expect(warnings({ "reward/zero_variance": [1, 1, null, 1, null, 1, 1] })).toHaveLength(1);
  });

  it("does not warn of rises that pay: more calls with more solved, falls that are slight", () => {
    const calls = [...repeat(1, 5), ...repeat(4, 10)];
    expect(warnings({ "rollout/calls": calls, "solve/f1": calls.map((n) => n / 10) })).toEqual([]);
    expect(warnings({ "policy/entropy": repeat(0.01, 9) })).toEqual([]);
    expect(warnings({ "rollout/think": [0.9, 0.8, 0.9, 0.6, 0.5, 0.5, 0.5, 0.5] })).toEqual([]);
    expect(warnings({ "gradient/norm": [2, 3, 2, 9] })).toEqual([]);
  });
});
